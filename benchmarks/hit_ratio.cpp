// SPDX-License-Identifier: BSL-1.0

// Which share of requests does each eviction policy answer? Replays real traces (`--traces DIR`), or
// synthetic streams when there are none, through every policy at every capacity of the reference: look up,
// insert on a miss, nothing expires. The policy is judged alone, under `single_threaded`; what sharding costs
// is a second table. Exits non-zero when a policy leaves its reference by more than its tolerance.

#include "peers/list_map_lru.hpp"
#include "peers/queue_fifo.hpp"
#include "support/reference.hpp"
#include "support/report.hpp"
#include "support/streams.hpp"
#include "support/trace.hpp"

#include <tideover/policy/eviction/fifo.hpp>
#include <tideover/policy/eviction/lru.hpp>
#include <tideover/policy/eviction/unbounded.hpp>
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
#include <cstdint>
#include <exception>
#include <filesystem>
#include <optional>
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

template <class... Policies>
double replay_with(key_span keys, std::size_t capacity) {
  tideover::ttl_cache<key_type, nothing, tideover::never, Policies...> cache({.capacity = capacity});
  return replay(cache, keys);
}

using replayer = double (*)(key_span, std::size_t);

/// An eviction policy and what holds it to account: the column of reference_hit_ratios.csv that it must
/// reproduce, and by how many points it may miss it.
struct contender {
  char const* name;
  char const* column;
  double tolerance;
  replayer alone;
  replayer sharded;
};

/// Half of the last digit that the reference gives, in points: agreement "to 0.0 points".
constexpr double rounding = 0.005 + 1e-9;

template <class Policy>
constexpr contender contend(char const* name, char const* column, double tolerance) {
  return {name, column, tolerance, &replay_with<Policy, tideover::single_threaded>, &replay_with<Policy>};
}

// One line for each policy.
constexpr std::array contenders = {
    contend<tideover::lru>("lru", "lru", 0.1),
    contend<tideover::fifo>("fifo", "fifo", rounding),
};

/// Columns of the reference that are printed beside ours.
constexpr std::array shown_columns = {"lru", "fifo", "caffeine", "belady"};

/// One trace with the capacities at which it is replayed.
struct workload {
  std::string name;
  std::vector<bench::reference_pair> pairs;
  std::vector<key_type> keys;
};

struct measured {
  std::string trace;
  std::size_t capacity;
  char const* policy;
  double hit_ratio;
  double sharded;
  std::optional<double> reference;
};

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

/// The replay itself, with what it found.
class replays {
 public:
  explicit replays(std::vector<std::string> const& chosen) {
    for (auto const& c : contenders) {
      if (chosen.empty() || std::find(chosen.begin(), chosen.end(), c.name) != chosen.end()) {
        policies_.push_back(&c);
      }
    }
  }

  void run(workload const& w) {
    std::unordered_set<key_type> const distinct(w.keys.begin(), w.keys.end());
    auto const requests = static_cast<double>(w.keys.size());
    double const compulsory = replay_with<tideover::unbounded, tideover::single_threaded>(w.keys, 1);
    traces_.push_back({w.name, w.keys.size(), distinct.size(), compulsory});
    bound_holds_ =
        bound_holds_ && std::abs(compulsory - (1 - static_cast<double>(distinct.size()) / requests)) < 1e-9;
    for (auto const& pair : w.pairs) {
      for (auto const* const policy : policies_) {
        results_.push_back({w.name, pair.capacity, policy->name, policy->alone(w.keys, pair.capacity),
                            policy->sharded(w.keys, pair.capacity), pair.of(policy->column)});
      }
      pairs_.push_back(pair);
    }
  }

  void print_by_trace() const {
    std::vector<std::string> heading = {"trace", "requests", "keys", "sizes"};
    for (auto const* const policy : policies_) heading.emplace_back(policy->name);
    heading.emplace_back("unbounded");
    for (auto const* const column : columns()) heading.push_back(fmt::format("ref:{}", column));
    bench::table t(heading);
    for (auto const& trace : traces_) {
      auto const sizes = std::count_if(pairs_.begin(), pairs_.end(),
                                       [&](auto const& pair) { return pair.trace == trace.name; });
      std::vector<std::string> row = {trace.name, fmt::format("{}", trace.requests),
                                      fmt::format("{}", trace.keys), fmt::format("{}", sizes)};
      for (auto const* const policy : policies_) row.push_back(percent(mean_of(*policy, trace.name)));
      row.push_back(percent(trace.compulsory));
      for (auto const* const column : columns()) row.push_back(percent(mean_of(column, trace.name)));
      t.add(std::move(row));
    }
    t.add_rule();
    std::vector<std::string> row = {"mean of all pairs", "", "", fmt::format("{}", pairs_.size())};
    for (auto const* const policy : policies_) row.push_back(percent(mean_of(*policy)));
    row.emplace_back();
    for (auto const* const column : columns()) row.push_back(percent(mean_of(column)));
    t.add(std::move(row));
    t.print();
  }

  /// Judges each policy against its own column. Returns whether all agree.
  bool print_verdicts() const {
    bool all = true;
    bench::table t({"policy", "mean", "reference", "largest difference", "allowed", "at", "verdict"},
                   {0, 5, 6});
    for (auto const* const policy : policies_) {
      auto const v = verdict_of(*policy);
      all = all && v.holds;
      t.add({policy->name, percent(mean_of(*policy)), percent(mean_of(policy->column)),
             fmt::format("{:.4f} points", v.difference), fmt::format("{:.1f}", policy->tolerance), v.where,
             v.text});
    }
    t.add({"unbounded", "", "", "", "", "",
           bound_holds_ ? "each key misses once" : "WRONG: not 1 - keys/requests"});
    t.print();
    return all && bound_holds_;
  }

  void print_sharding() const {
    for (auto const* const policy : policies_) {
      mean alone;
      mean sharded;
      measured const* worst = nullptr;
      for (auto const& m : results_) {
        if (m.policy != policy->name) continue;
        alone.add(m.hit_ratio);
        sharded.add(m.sharded);
        if (worst == nullptr ||
            std::abs(m.sharded - m.hit_ratio) > std::abs(worst->sharded - worst->hit_ratio)) {
          worst = &m;
        }
      }
      if (worst == nullptr) continue;
      fmt::print(
          "{} with the default, sharded locking: mean {} instead of {}; largest difference {:+.2f} points "
          "({}@{})\n",
          policy->name, percent(sharded.value()), percent(alone.value()),
          100 * (worst->sharded - worst->hit_ratio), worst->trace, worst->capacity);
    }
  }

  nlohmann::ordered_json json(std::string const& source) const {
    nlohmann::ordered_json out = {
        {"benchmark", "hit_ratio"}, {"compiled_with", bench::compiled_with()}, {"source", source}};
    for (auto const& trace : traces_) {
      out["traces"].push_back({{"trace", trace.name},
                               {"requests", trace.requests},
                               {"keys", trace.keys},
                               {"unbounded", trace.compulsory}});
    }
    for (auto const* const policy : policies_) {
      auto const v = verdict_of(*policy);
      out["policies"].push_back({{"policy", policy->name},
                                 {"mean", mean_of(*policy).value_or(0)},
                                 {"largest_difference_points", v.difference},
                                 {"tolerance_points", policy->tolerance},
                                 {"verdict", v.text}});
    }
    for (auto const& m : results_) {
      nlohmann::ordered_json pair = {{"trace", m.trace},
                                     {"capacity", m.capacity},
                                     {"policy", m.policy},
                                     {"hit_ratio", m.hit_ratio},
                                     {"hit_ratio_default_locking", m.sharded}};
      if (m.reference) pair["reference"] = *m.reference;
      out["results"].push_back(std::move(pair));
    }
    for (auto const& pair : pairs_) {
      out["reference"].push_back(
          {{"trace", pair.trace}, {"capacity", pair.capacity}, {"hit_ratio", pair.hit_ratio}});
    }
    return out;
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

  /// The shown columns that the reference has.
  std::vector<char const*> columns() const {
    std::vector<char const*> known;
    for (auto const* const column : shown_columns) {
      if (std::any_of(pairs_.begin(), pairs_.end(),
                      [&](auto const& p) { return p.of(column).has_value(); })) {
        known.push_back(column);
      }
    }
    return known;
  }

  std::optional<double> mean_of(contender const& policy, std::string_view trace = {}) const {
    mean m;
    for (auto const& r : results_) {
      if (r.policy == policy.name && (trace.empty() || r.trace == trace)) m.add(r.hit_ratio);
    }
    return m.value();
  }

  std::optional<double> mean_of(char const* column, std::string_view trace = {}) const {
    mean m;
    for (auto const& pair : pairs_) {
      auto const ratio = pair.of(column);
      if (ratio && (trace.empty() || pair.trace == trace)) m.add(*ratio);
    }
    return m.value();
  }

  verdict verdict_of(contender const& policy) const {
    verdict v;
    bool compared = false;
    for (auto const& m : results_) {
      if (m.policy != policy.name || !m.reference) continue;
      double const difference = 100 * std::abs(m.hit_ratio - *m.reference);
      if (!compared || difference > v.difference) {
        v.difference = difference;
        v.where = fmt::format("{}@{}", m.trace, m.capacity);
      }
      compared = true;
    }
    v.holds = compared && v.difference <= policy.tolerance;
    v.text = !compared ? "no reference" : v.holds ? "agrees" : "DIFFERS";
    return v;
  }

  std::vector<contender const*> policies_;
  std::vector<trace_facts> traces_;
  std::vector<bench::reference_pair> pairs_;
  std::vector<measured> results_;
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
  bench::print_heading("Hit ratio by trace, percent (mean over the cache sizes of the reference)");
  replays all(s.policies);
  auto const source = s.traces.empty() ? replay_streams(all, s) : replay_traces(all, s);
  all.print_by_trace();
  bench::print_heading("Each policy against the same policy of the reference (single_threaded)");
  bool const agree = all.print_verdicts();
  fmt::print("\n");
  all.print_sharding();
  bench::write_json(s.out, all.json(source));
  return agree ? 0 : 1;
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
  options.add_flag("--quick", s.quick, "shorter synthetic streams");
  CLI11_PARSE(options, argc, argv);
  try {
    return run(s);
  } catch (std::exception const& e) {
    fmt::print(stderr, "hit_ratio: {}\n", e.what());
    return 2;
  }
}
