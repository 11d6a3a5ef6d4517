// SPDX-License-Identifier: BSL-1.0

// Which share of requests does each eviction policy answer? Replays real traces (`--traces DIR`), or
// synthetic streams when there are none, through every policy at every capacity of the reference: look up,
// insert on a miss, nothing expires. Default locking and options; the median of several seeds, since where
// keys go and which are sampled is chance. Judged are
//   - lru, fifo, s3_fifo and sieve against the same policy of the reference, under `single_threaded`;
//   - steered, the default, against what is promised of it (docs/eviction.md).
// Exits non-zero when a verdict is bad. Figures go to a JSON file, curves by capacity to an HTML file.

#include "peers/list_map_lru.hpp"
#include "peers/queue_fifo.hpp"
#include "support/plot.hpp"
#include "support/reference.hpp"
#include "support/report.hpp"
#include "support/streams.hpp"
#include "support/trace.hpp"

#include <tideover/policy/eviction/fifo.hpp>
#include <tideover/policy/eviction/lru.hpp>
#include <tideover/policy/eviction/s3_fifo.hpp>
#include <tideover/policy/eviction/sieve.hpp>
#include <tideover/policy/eviction/steered.hpp>
#include <tideover/policy/eviction/unbounded.hpp>
#include <tideover/policy/eviction/w_tinylfu.hpp>
#include <tideover/policy/expiry/never.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/ttl_cache.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace {

using key_type = std::uint64_t;
using key_span = std::span<key_type const>;
struct nothing {};

/// The share of requests that `cache` answered.
template <class Cache>
double replay(Cache& cache, key_span keys) {
  std::size_t hits = 0;
  for (auto const key : keys) {
    if (cache.get(key)) {
      ++hits;
    } else {
      cache.put(key, {});
    }
  }
  return keys.empty() ? 0 : static_cast<double>(hits) / static_cast<double>(keys.size());
}

/// The seed decides the hashes, and so the shards, the places in sketches and the sample.
template <class... Policies>
double replay_with(key_span keys, std::size_t capacity, std::uint64_t seed) {
  tideover::ttl_cache<key_type, nothing, tideover::never, Policies...> cache(
      {.capacity = capacity}, tideover::seeded_hash(seed), tideover::xoshiro(seed));
  return replay(cache, keys);
}

using replayer = double (*)(key_span, std::size_t, std::uint64_t);

/// How a policy is held to the same policy of the reference.
enum class agreement { none, equal, not_below };

/// An eviction policy and what holds it to account: the column of reference_hit_ratios.csv that it must
/// reproduce, and by how many points it may miss it.
struct contender {
  char const* name;
  agreement with_column;
  char const* column;
  double tolerance;
  replayer alone;
  replayer standard;
};

/// Half of the last digit that the reference gives, in points: agreement "to 0.0 points".
constexpr double rounding = 0.005 + 1e-9;

template <class Policy>
constexpr contender contend(char const* name, agreement with = agreement::none, char const* column = "",
                            double tolerance = 0) {
  return {
      name, with, column, tolerance, &replay_with<Policy, tideover::single_threaded>, &replay_with<Policy>};
}

// One line for each policy; the default first. sieve has a guard against locking up: where that works it
// must be above its reference.
constexpr std::array contenders = {
    contend<tideover::steered>("steered"),
    contend<tideover::w_tinylfu>("w_tinylfu"),
    contend<tideover::w_tinylfu_fixed<1>>("w_tinylfu_fixed<1>"),
    contend<tideover::w_tinylfu_fixed<10>>("w_tinylfu_fixed<10>"),
    contend<tideover::w_tinylfu_fixed<20>>("w_tinylfu_fixed<20>"),
    contend<tideover::s3_fifo>("s3_fifo", agreement::equal, "s3fifo", 1.0),
    contend<tideover::sieve>("sieve", agreement::not_below, "sieve", 0.1),
    contend<tideover::lru>("lru", agreement::equal, "lru", 0.1),
    contend<tideover::fifo>("fifo", agreement::equal, "fifo", rounding),
};

/// What is promised of the default policy, in points.
namespace promise {
constexpr char const* policy = "steered";
constexpr double above_caffeine = 1.0;  // on the mean of all pairs
constexpr double below_lru = 3.0;       // at most, for any pair but the exempt one
constexpr double below_caffeine = 5.0;  // at most, for any pair
constexpr double floor_below = 1.0;     // the mean is never so far below Caffeine's, with any seed
constexpr char const* exempt_trace =
    "lirs_zigzag";                             // pure recency: CLOCK is no LRU there, see docs/eviction.md
constexpr std::size_t exempt_capacity = 1500;  // but it must be as good as Caffeine
}  // namespace promise

/// The reference's optimum is not an online policy.
constexpr std::string_view offline = "belady";

/// One trace with the capacities at which it is replayed.
struct workload {
  std::string name;
  std::vector<bench::reference_pair> pairs;
  std::vector<key_type> keys;
};

double median(std::vector<double> sample) {
  std::sort(sample.begin(), sample.end());
  std::size_t const n = sample.size();
  return n % 2 != 0 ? sample[n / 2] : (sample[n / 2 - 1] + sample[n / 2]) / 2;
}

/// The mean of what was added.
class mean {
 public:
  void add(double x) {
    sum_ += x;
    ++count_;
  }
  std::optional<double> value() const {
    return count_ == 0 ? std::nullopt : std::optional(sum_ / static_cast<double>(count_));
  }

 private:
  double sum_ = 0;
  std::size_t count_ = 0;
};

std::string percent(std::optional<double> ratio) { return ratio ? fmt::format("{:.2f}", 100 * *ratio) : "-"; }

/// One trace at one capacity, with everybody's hit ratio.
struct cell {
  bench::reference_pair reference;
  std::map<std::string, std::vector<double>, std::less<>> seeds;  // ours, default locking
  std::map<std::string, double, std::less<>> alone;               // ours, single_threaded

  std::string name() const { return fmt::format("{}@{}", reference.trace, reference.capacity); }
  std::optional<double> ours(std::string_view policy) const {
    auto const at = seeds.find(policy);
    return at == seeds.end() ? std::nullopt : std::optional(median(at->second));
  }
  /// The best that the reference has online.
  std::optional<double> best() const {
    std::optional<double> found;
    for (auto const& [name, ratio] : reference.hit_ratio) {
      if (name != offline) found = std::max(found.value_or(0), ratio);
    }
    return found;
  }
};

/// How one policy, ours or the reference's, stands over all cells.
struct standing {
  mean ratio;
  mean gap;  // to the best online, 0 where it is better
  struct worst_cell {
    std::optional<double> points;
    std::string where = "-";
    std::size_t below_by_one = 0;
    void add(double difference, std::string const& cell) {
      if (!points || 100 * difference < *points) {
        points = 100 * difference;
        where = cell;
      }
      if (100 * difference < -1) ++below_by_one;
    }
    std::string text() const { return points ? fmt::format("{:+.2f} {}", *points, where) : "-"; }
  } to_lru, to_caffeine;

  void add(double hit_ratio, cell const& c) {
    ratio.add(hit_ratio);
    if (auto const best = c.best()) gap.add(std::max(0.0, *best - hit_ratio));
    if (auto const lru = c.reference.of("lru")) to_lru.add(hit_ratio - *lru, c.name());
    if (auto const caffeine = c.reference.of("caffeine")) to_caffeine.add(hit_ratio - *caffeine, c.name());
  }
};

/// The replay itself, with what it found.
class replays {
 public:
  replays(std::vector<std::string> const& chosen, std::size_t seeds) : seeds_(seeds) {
    for (auto const& c : contenders) {
      if (chosen.empty() || std::find(chosen.begin(), chosen.end(), c.name) != chosen.end()) {
        policies_.push_back(&c);
      }
    }
  }

  void run(workload const& w) {
    std::unordered_set<key_type> const distinct(w.keys.begin(), w.keys.end());
    auto const requests = static_cast<double>(w.keys.size());
    double const compulsory = replay_with<tideover::unbounded, tideover::single_threaded>(w.keys, 1, 1);
    traces_.push_back({w.name, w.keys.size(), distinct.size(), compulsory});
    bound_holds_ =
        bound_holds_ && std::abs(compulsory - (1 - static_cast<double>(distinct.size()) / requests)) < 1e-9;
    for (auto const& pair : w.pairs) {
      cell c{pair, {}, {}};
      for (auto const* const policy : policies_) {
        for (std::uint64_t seed = 1; seed <= seeds_; ++seed) {
          c.seeds[policy->name].push_back(policy->standard(w.keys, pair.capacity, seed));
        }
        if (policy->with_column != agreement::none) {
          c.alone[policy->name] = policy->alone(w.keys, pair.capacity, 1);
        }
      }
      cells_.push_back(std::move(c));
    }
  }

  void print_by_trace() const {
    std::vector<std::string> heading = {"trace", "requests", "keys", "sizes"};
    for (auto const* const policy : policies_) heading.emplace_back(policy->name);
    heading.emplace_back("unbounded");
    bench::table ours(heading);
    std::vector<std::string> columns_heading = {"trace"};
    for (auto const& column : columns()) columns_heading.push_back(column);
    bench::table theirs(columns_heading);
    auto const add_rows = [&](std::string const& name, std::vector<std::string> row, std::string last) {
      for (auto const* const policy : policies_) row.push_back(percent(mean_of(*policy, name)));
      row.push_back(std::move(last));
      ours.add(std::move(row));
      std::vector<std::string> their_row = {name.empty() ? "mean of all pairs" : name};
      for (auto const& column : columns()) their_row.push_back(percent(mean_of(column, name)));
      theirs.add(std::move(their_row));
    };
    for (auto const& trace : traces_) {
      auto const sizes = std::count_if(cells_.begin(), cells_.end(),
                                       [&](cell const& c) { return c.reference.trace == trace.name; });
      add_rows(trace.name,
               {trace.name, fmt::format("{}", trace.requests), fmt::format("{}", trace.keys),
                fmt::format("{}", sizes)},
               percent(trace.compulsory));
    }
    ours.add_rule(), theirs.add_rule();
    add_rows("", {"mean of all pairs", "", "", fmt::format("{}", cells_.size())}, "");
    ours.print();
    bench::print_heading("The reference on the same traces and sizes");
    theirs.print();
  }

  void print_by_policy() const {
    bench::table t({"policy", "mean", "behind the best online", "worst beside lru", "cells 1 below lru",
                    "worst beside caffeine", "cells 1 below caffeine"},
                   {0, 3, 5});
    auto const add = [&](std::string const& name, standing const& s) {
      t.add({name, percent(s.ratio.value()), percent(s.gap.value()), s.to_lru.text(),
             fmt::format("{}", s.to_lru.below_by_one), s.to_caffeine.text(),
             fmt::format("{}", s.to_caffeine.below_by_one)});
    };
    for (auto const* const policy : policies_) add(policy->name, standing_of(*policy));
    t.add_rule();
    for (auto const& column : columns()) add("ref:" + column, standing_of(column));
    t.print();
  }

  /// Judges each policy that has a column of its own, and the default. Returns whether all is well.
  bool print_verdicts() const {
    bool all = bound_holds_;
    bench::table t({"policy", "must", "is", "at", "verdict"}, {0, 1, 3, 4});
    for (auto const* const policy : policies_) {
      if (policy->with_column == agreement::none) continue;
      auto const v = verdict_of(*policy);
      all = all && v.holds;
      t.add({policy->name,
             fmt::format("{} its reference by {:.1f}",
                         policy->with_column == agreement::equal ? "differ from" : "be below",
                         policy->tolerance),
             fmt::format("{:.4f}", v.difference), v.where, v.text});
    }
    for (auto const& p : promises()) {
      all = all && (p.holds || !p.counts);
      t.add(
          {promise::policy, p.what, p.is, p.where, p.counts ? (p.holds ? "kept" : "BROKEN") : "shown only"});
    }
    t.add({"unbounded", "miss each key once", "", "",
           bound_holds_ ? "each key misses once" : "WRONG: not 1 - keys/requests"});
    t.print();
    return all;
  }

  nlohmann::ordered_json json(std::string const& source) const {
    nlohmann::ordered_json out = {{"benchmark", "hit_ratio"},
                                  {"compiled_with", bench::compiled_with()},
                                  {"source", source},
                                  {"seeds", seeds_}};
    for (auto const& trace : traces_) {
      out["traces"].push_back({{"trace", trace.name},
                               {"requests", trace.requests},
                               {"keys", trace.keys},
                               {"unbounded", trace.compulsory}});
    }
    for (auto const* const policy : policies_) {
      nlohmann::ordered_json one = {{"policy", policy->name}, {"mean", mean_of(*policy).value_or(0)}};
      if (policy->with_column != agreement::none) {
        auto const v = verdict_of(*policy);
        one["largest_difference_points"] = v.difference;
        one["tolerance_points"] = policy->tolerance;
        one["verdict"] = v.text;
      }
      out["policies"].push_back(std::move(one));
    }
    for (auto const& p : promises()) {
      out["promises"].push_back({{"promise", p.what}, {"is", p.is}, {"at", p.where}, {"kept", p.holds}});
    }
    for (auto const& c : cells_) {
      for (auto const* const policy : policies_) {
        nlohmann::ordered_json pair = {{"trace", c.reference.trace},
                                       {"capacity", c.reference.capacity},
                                       {"policy", policy->name},
                                       {"hit_ratio", c.ours(policy->name).value_or(0)},
                                       {"seeds", c.seeds.at(policy->name)}};
        if (auto const at = c.alone.find(policy->name); at != c.alone.end()) {
          pair["hit_ratio_single_threaded"] = at->second;
        }
        if (auto const r = c.reference.of(policy->column)) pair["reference"] = *r;
        out["results"].push_back(std::move(pair));
      }
      out["reference"].push_back({{"trace", c.reference.trace},
                                  {"capacity", c.reference.capacity},
                                  {"hit_ratio", c.reference.hit_ratio}});
    }
    return out;
  }

  std::vector<bench::chart> charts() const {
    std::vector<bench::chart> all;
    for (auto const& trace : traces_) {
      bench::chart one{trace.name + ": hit ratio by capacity, percent", "entries", {}};
      for (auto const* const policy : policies_) {
        bench::series line{policy->name, {}, false};
        for (auto const& c : cells_) {
          if (c.reference.trace == trace.name) {
            line.points.emplace_back(static_cast<double>(c.reference.capacity),
                                     c.ours(policy->name).value_or(0));
          }
        }
        one.lines.push_back(std::move(line));
      }
      for (char const* const column : {"caffeine", "belady"}) {
        bench::series line{fmt::format("ref:{}", column), {}, true};
        for (auto const& c : cells_) {
          auto const ratio = c.reference.of(column);
          if (ratio && c.reference.trace == trace.name) {
            line.points.emplace_back(static_cast<double>(c.reference.capacity), *ratio);
          }
        }
        if (!line.points.empty()) one.lines.push_back(std::move(line));
      }
      for (auto& line : one.lines) std::sort(line.points.begin(), line.points.end());
      all.push_back(std::move(one));
    }
    return all;
  }

 private:
  struct trace_facts {
    std::string name;
    std::size_t requests;
    std::size_t keys;
    double compulsory;  // the bound that the first request of each key sets
  };
  struct verdict {
    double difference = 0;
    std::string where = "-";
    std::string text;
    bool holds = false;
  };
  /// Something that was promised of the default policy. Pairs are promised of the median of several seeds.
  struct kept_promise {
    std::string what;
    std::string is;
    std::string where;
    bool holds;
    bool counts;
  };

  /// The columns that the reference has.
  std::set<std::string> columns() const {
    std::set<std::string> known;
    for (auto const& c : cells_) {
      for (auto const& [name, ratio] : c.reference.hit_ratio) known.insert(name);
    }
    return known;
  }

  std::optional<double> mean_of(contender const& policy, std::string_view trace = {}) const {
    mean m;
    for (auto const& c : cells_) {
      if (trace.empty() || c.reference.trace == trace) m.add(c.ours(policy.name).value_or(0));
    }
    return m.value();
  }
  std::optional<double> mean_of(std::string const& column, std::string_view trace = {}) const {
    mean m;
    for (auto const& c : cells_) {
      auto const ratio = c.reference.of(column);
      if (ratio && (trace.empty() || c.reference.trace == trace)) m.add(*ratio);
    }
    return m.value();
  }
  standing standing_of(contender const& policy) const {
    standing s;
    for (auto const& c : cells_) s.add(c.ours(policy.name).value_or(0), c);
    return s;
  }
  standing standing_of(std::string const& column) const {
    standing s;
    for (auto const& c : cells_) {
      if (auto const ratio = c.reference.of(column)) s.add(*ratio, c);
    }
    return s;
  }

  verdict verdict_of(contender const& policy) const {
    verdict v;
    bool compared = false;
    std::size_t above = 0;
    for (auto const& c : cells_) {
      auto const reference = c.reference.of(policy.column);
      auto const is = c.alone.find(policy.name);
      if (!reference || is == c.alone.end()) continue;
      double const signed_difference = 100 * (is->second - *reference);
      bool const guarded = policy.with_column == agreement::not_below && signed_difference > 0;
      double const difference = guarded ? 0 : std::abs(signed_difference);
      above += guarded && signed_difference > policy.tolerance;
      if (!compared || difference > v.difference) {
        v.difference = difference;
        v.where = c.name();
      }
      compared = true;
    }
    v.holds = compared && v.difference <= policy.tolerance;
    v.text = !compared ? "no reference" : v.holds ? "agrees" : "DIFFERS";
    if (above != 0) v.text += fmt::format("; {} cells above it", above);
    if (!compared) v.holds = true;
    return v;
  }

  std::vector<kept_promise> promises() const {
    auto const policy = std::find_if(policies_.begin(), policies_.end(), [](auto const* p) {
      return p->name == std::string_view(promise::policy);
    });
    auto const caffeine = mean_of("caffeine");
    if (policy == policies_.end() || !caffeine) return {};
    bool const several = seeds_ > 1;
    double const ahead = 100 * (mean_of(**policy).value_or(0) - *caffeine);
    std::vector<kept_promise> all;
    all.push_back({fmt::format("have a mean not {:.1f} below Caffeine's", promise::floor_below),
                   fmt::format("{:+.2f}", ahead), "", ahead >= -promise::floor_below, true});
    all.push_back({fmt::format("have a mean {:.1f} above Caffeine's", promise::above_caffeine),
                   fmt::format("{:+.2f}", ahead), "", ahead >= promise::above_caffeine, several});
    standing::worst_cell to_lru, to_caffeine, exempt;
    for (auto const& c : cells_) {
      double const is = c.ours(promise::policy).value_or(0);
      bool const is_exempt =
          c.reference.trace == promise::exempt_trace && c.reference.capacity == promise::exempt_capacity;
      if (auto const lru = c.reference.of("lru"); lru && !is_exempt) to_lru.add(is - *lru, c.name());
      if (auto const other = c.reference.of("caffeine")) {
        to_caffeine.add(is - *other, c.name());
        if (is_exempt) exempt.add(is - *other, c.name());
      }
    }
    auto const add = [&](std::string what, standing::worst_cell const& w, double least) {
      if (w.points) {
        all.push_back(
            {std::move(what), fmt::format("{:+.2f}", *w.points), w.where, *w.points >= least, several});
      }
    };
    add(fmt::format("nowhere be {:.1f} below lru", promise::below_lru), to_lru, -promise::below_lru);
    add(fmt::format("nowhere be {:.1f} below Caffeine", promise::below_caffeine), to_caffeine,
        -promise::below_caffeine);
    add("not be below Caffeine here", exempt, 0);
    return all;
  }

  std::size_t seeds_;
  std::vector<contender const*> policies_;
  std::vector<trace_facts> traces_;
  std::vector<cell> cells_;
  bool bound_holds_ = true;
};

/// A stream with its reference from the plainest caches that can be written: an independent second opinion.
workload with_own_reference(bench::synthetic_trace&& stream) {
  workload w{stream.name, {}, std::move(stream.keys)};
  for (auto const capacity : stream.capacities) {
    bench::list_map_lru<key_type, nothing> lru(capacity, std::chrono::hours(1));
    bench::queue_fifo<key_type, nothing> fifo(capacity);
    w.pairs.push_back({w.name, capacity, {{"lru", replay(lru, w.keys)}, {"fifo", replay(fifo, w.keys)}}});
  }
  return w;
}

struct settings {
  std::string traces;
  std::vector<std::string> policies;
  std::string out = "build/hit_ratio.json";
  std::string plot = "build/hit_ratio.html";
  std::size_t seeds = 5;
  bool quick = false;
};

std::string replay_traces(replays& all, settings const& s) {
  std::filesystem::path const directory = s.traces;
  auto const reference = bench::read_reference(directory / "reference_hit_ratios.csv");
  std::vector<std::string> names;
  for (auto const& pair : reference) {
    if (names.empty() || names.back() != pair.trace) names.push_back(pair.trace);
  }
  for (std::size_t i = 0; i != names.size(); ++i) {
    auto const file = bench::find_trace(directory, names[i]);
    if (!file) throw std::runtime_error(fmt::format("no trace {} in {}", names[i], directory.string()));
    workload w{names[i], {}, bench::read_trace(*file)};
    for (auto const& pair : reference) {
      if (pair.trace == w.name) w.pairs.push_back(pair);
    }
    bench::progress("hit_ratio", fmt::format("{}/{} {}: {} requests, {} sizes", i + 1, names.size(), w.name,
                                             w.keys.size(), w.pairs.size()));
    all.run(w);
  }
  return fmt::format("real traces of {}", directory.filename().string());
}

std::string replay_streams(replays& all, settings const& s) {
  auto streams = bench::synthetic_traces(s.quick ? 300'000 : 1'000'000, 1);
  fmt::print(
      "No real traces were given (--traces DIR): these are synthetic streams, and the reference is the\n"
      "hit ratio of a plain list-and-map lru and a plain queue.\n");
  for (auto& stream : streams) {
    bench::progress("hit_ratio", fmt::format("{}: {}", stream.name, stream.what));
    all.run(with_own_reference(std::move(stream)));
  }
  return "synthetic streams";
}

int run(settings const& s) {
  replays all(s.policies, s.quick ? 1 : s.seeds);
  auto const source = s.traces.empty() ? replay_streams(all, s) : replay_traces(all, s);
  bench::print_heading(fmt::format("Hit ratio by trace, percent: mean over the sizes, {}",
                                   s.quick ? "one seed" : fmt::format("median of {} seeds", s.seeds)));
  all.print_by_trace();
  bench::print_heading("Each policy over all pairs of trace and size, in points");
  all.print_by_policy();
  bench::print_heading("Verdicts, in points (agreement with a reference: under single_threaded)");
  bool const well = all.print_verdicts();
  bench::write_json(s.out, all.json(source));
  bench::write_charts(s.plot, "Hit ratio by capacity", all.charts());
  fmt::print("\nCurves: {}\n", s.plot);
  return well ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App options("Replays cache traces through the eviction policies of tideover.");
  std::vector<std::string> names;
  for (auto const& c : contenders) names.emplace_back(c.name);
  options.add_option("--traces", s.traces, "folder with traces and reference_hit_ratios.csv")
      ->check(CLI::ExistingDirectory);
  options.add_option("--policy", s.policies, "replay this policy only (may be repeated)")
      ->check(CLI::IsMember(names));
  options.add_option("--out", s.out, "JSON file to write")->capture_default_str();
  options.add_option("--plot", s.plot, "HTML file with the curves to write")->capture_default_str();
  options.add_option("--seeds", s.seeds, "how many seeds to take the median of")
      ->check(CLI::Range(1, 99))
      ->capture_default_str();
  options.add_flag("--quick", s.quick, "one seed, shorter synthetic streams");
  CLI11_PARSE(options, argc, argv);
  try {
    return run(s);
  } catch (std::exception const& e) {
    fmt::print(stderr, "hit_ratio: {}\n", e.what());
    return 2;
  }
}
