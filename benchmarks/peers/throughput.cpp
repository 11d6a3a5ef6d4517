// SPDX-License-Identifier: BSL-1.0

// What does an operation of ttl_cache cost beside other caches, over workloads, kinds of key and value, and
// threads? Everything that takes part in a workload does so in turn, in slices of as many operations (fewer
// for what is more than four times slower), on 1, 2 and 4 threads that divide the work of one. ns per
// operation is the wall time of a slice over the operations of all its threads together, so that two cores,
// used perfectly, halve it; on one thread it is the CPU time of that thread. What is reported are medians of
// the ratios of neighbouring slices (support/paired.hpp). A part of each slice goes before it untimed and
// brings back into the processor's caches what the others drove out.
//
// Peers: see peers/contestants.hpp and peers/debian.hpp. flat_map is the price of a lookup alone, beside
// which the goal for a hit is set; it is no cache, and no floor is set by it. The floor: on one thread
// ttl_cache with its defaults is not slower than any cache here on any workload, and twice as fast as the
// hand-written one at reading through; it is broken when the whole 95 % interval of the ratio lies above.
// What more threads do on a small machine is shown, not judged. Exits non-zero when a floor is broken.

#include "peers/throughput.hpp"

#include "peers/contestants.hpp"
#include "peers/debian.hpp"
#include "support/crew.hpp"
#include "support/paired.hpp"
#include "support/report.hpp"
#include "support/verdicts.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using bench::contestant;
using bench::workload;

constexpr std::size_t resident_keys = 100'000;
constexpr std::size_t resident_capacity = 120'000;  // room in every shard: all of them stay
constexpr std::size_t origin_keys = 1'000'000;
constexpr std::size_t origin_capacity = 100'000;
constexpr double alpha = 0.99;
constexpr std::array<std::size_t, 3> thread_counts = {1, 2, 4};
constexpr std::size_t tape_length = std::size_t{1} << 20;

struct about {
  workload which;
  char const* name;
  char const* what;
};
constexpr std::array<about, 5> workloads = {{
    {workload::all_hit, "all hits", "get of present keys, Zipf"},
    {workload::read_through, "read-through", "get_or_compute, Zipf over 10 times the capacity"},
    {workload::mixed, "75/25", "three gets and a put of present keys, Zipf"},
    {workload::hot_key, "hot key", "get of one present key"},
    {workload::scan, "scan", "get_or_compute of a loop over 10 times the capacity"},
}};

struct settings {
  std::size_t rounds = 41;
  double slice_milliseconds = 10;
  bool every_eviction = false;
  std::filesystem::path out;
};

/// What one contestant did on one workload, its figures by number of threads.
struct figures {
  std::string name;
  std::map<std::size_t, double> nanoseconds;
  std::map<std::size_t, bench::median_summary> ratio;  // the subject's time over this one's
  std::optional<bench::median_summary> two_to_one;     // its time for two threads over that for one
  double hit_ratio = 0;
};

struct section {
  std::string workload;
  std::string kind;
  std::vector<figures> all;

  figures const* of(std::string const& name) const {
    auto const at = std::ranges::find(all, name, &figures::name);
    return at == all.end() ? nullptr : &*at;
  }
};

std::uint64_t volatile sink = 0;

/// The keys that are asked for, drawn ahead, so that a slice measures the cache and not the generator.
template <class Kind>
std::vector<typename Kind::key> tape_of(workload w) {
  std::vector<std::uint64_t> ranks;
  switch (w) {
    case workload::all_hit:
    case workload::mixed:
      bench::append(ranks, bench::zipf_stream(alpha, resident_keys, 1), tape_length);
      break;
    case workload::read_through:
      bench::append(ranks, bench::zipf_stream(alpha, origin_keys, 1), 2 * tape_length);
      break;
    case workload::hot_key:
      ranks.assign(tape_length, 0);
      break;
    case workload::scan:
      bench::append(ranks, bench::loop_stream(origin_keys), origin_keys);
      break;
  }
  std::vector<typename Kind::key> keys;
  keys.reserve(ranks.size());
  for (auto const rank : ranks) keys.push_back(Kind::key_of(rank));
  return keys;
}

/// A contestant with its place on the tape.
template <class Kind>
class runner {
 public:
  using key_span = std::span<typename Kind::key const>;

  runner(std::unique_ptr<contestant<Kind>> who, workload w, key_span tape)
      : who_(std::move(who)), workload_(w), tape_(tape) {}

  /// As many requests as fill it and bring its policy to rest. What follows is asked for next: asked again,
  /// the first of them would find what was kept of them while there was room.
  void warm_up() {
    // A scan shorter than its loop, so that it does not begin anew where what was kept first lies. What is
    // slow has no policy that adapts: it is full after four times its capacity.
    std::size_t const most = workload_ == workload::scan ? 4 : 40;
    double const start = bench::thread_time::now();
    for (std::size_t i = 0; i != most && (i < 4 || bench::thread_time::now() < start + 1); ++i) {
      sink = sink + who_->run(workload_, next(origin_capacity));
    }
  }

  contestant<Kind>& who() const { return *who_; }

  /// Finds what an operation of one thread takes about.
  double trial() {
    constexpr std::size_t trial = 4000;
    double best = 1;
    for (int i = 0; i < 3; ++i) {
      double const start = bench::thread_time::now();
      sink = sink + who_->run(workload_, next(trial));
      best = std::min(best, bench::thread_time::now() - start);
    }
    return best / static_cast<double>(trial);
  }

  void set_slice(double operations) {
    auto const wanted = static_cast<std::size_t>(operations);
    operations_ = std::clamp<std::size_t>(wanted, 2000, tape_.size() / 2) / 16 * 16;
  }

  /// Seconds for one operation.
  struct time {
    double wall;
    double judged;  // on one thread its CPU time: that others had the processor meanwhile does not count
  };
  time slice(bench::crew& threads) {
    work(threads, next(operations_ / 4));
    auto const keys = next(operations_);
    auto const made = bench::values_made;
    double const start = bench::wall_time::now();
    double const own_start = bench::thread_time::now();
    work(threads, keys);
    double const own = bench::thread_time::now() - own_start;
    double const wall = bench::wall_time::now() - start;
    if (threads.size() == 1) {
      asked_ += keys.size();
      missed_ += bench::values_made - made;
    }
    auto const operations = static_cast<double>(keys.size());
    return {wall / operations, (threads.size() == 1 ? own : wall) / operations};
  }

  double hit_ratio() const { return 1 - static_cast<double>(missed_) / static_cast<double>(asked_); }

 private:
  key_span next(std::size_t length) {
    if (at_ + length > tape_.size()) at_ = 0;
    return tape_.subspan(std::exchange(at_, at_ + length), length);
  }

  void work(bench::crew& threads, key_span keys) {
    auto const share = keys.size() / threads.size();
    std::array<std::uint64_t, 16> sums{};
    threads.run([&](std::size_t t) { sums[t] = who_->run(workload_, keys.subspan(t * share, share)); });
    for (auto const sum : sums) sink = sink + sum;
  }

  std::unique_ptr<contestant<Kind>> who_;
  workload workload_;
  key_span tape_;
  std::size_t at_ = 0;
  std::size_t operations_ = 0;
  std::uint64_t asked_ = 0;
  std::uint64_t missed_ = 0;
};

template <class Kind>
section measure(about const& w, settings const& chosen) {
  bench::progress("throughput", fmt::format("{}, {}", w.name, Kind::name));
  auto const tape = tape_of<Kind>(w.which);
  bool const evicts = w.which == workload::read_through || w.which == workload::scan;
  std::vector<typename Kind::key> resident;
  if (!evicts) {
    for (std::size_t rank = 0; rank != resident_keys; ++rank) resident.push_back(Kind::key_of(rank));
  }

  std::vector<runner<Kind>> all;
  for (auto const enter : bench::entries<Kind>(chosen.every_eviction)) {
    auto who = enter(evicts ? origin_capacity : resident_capacity);
    if (!who->takes_part_in(w.which)) continue;
    if (!evicts) who->fill(resident);
    all.emplace_back(std::move(who), w.which, tape);
    if (evicts) all.back().warm_up();
  }
  // As many operations for each as take the subject so long, but no slice takes four times its time.
  double const time = all.front().trial();
  for (auto& r : all) {
    r.set_slice(1e-3 * chosen.slice_milliseconds / time * std::min(1.0, 4 * time / r.trial()));
  }

  struct slot {
    std::size_t who;
    std::size_t crew;
  };
  std::vector<slot> slots;
  std::array<bench::crew, 3> crews = {bench::crew(thread_counts[0]), bench::crew(thread_counts[1]),
                                      bench::crew(thread_counts[2])};
  for (std::size_t c = 0; c != crews.size(); ++c) {
    for (std::size_t who = 0; who != all.size(); ++who) {
      if (c == 0 || all[who].who().may_be_shared()) slots.push_back({who, c});
    }
  }
  bench::paired pairs;
  for (std::size_t round = 0; round != chosen.rounds; ++round) {
    bench::paired::times taken(2 * slots.size());  // what is judged; then all wall times
    for (std::size_t s = 0; s != slots.size(); ++s) {
      auto const slice = all[slots[s].who].slice(crews[slots[s].crew]);
      taken[s] = slice.judged;
      taken[slots.size() + s] = slice.wall;
    }
    pairs.add(std::move(taken));
  }

  section result{w.name, Kind::name, {}};
  for (auto const& r : all) result.all.push_back({r.who().name(), {}, {}, std::nullopt, r.hit_ratio()});
  std::array<std::size_t, 3> subject{};  // its slot on each crew
  for (std::size_t s = 0; s != slots.size(); ++s) {
    if (slots[s].who == 0) subject[slots[s].crew] = s;
  }
  for (std::size_t s = 0; s != slots.size(); ++s) {
    auto& f = result.all[slots[s].who];
    auto const threads = thread_counts[slots[s].crew];
    f.nanoseconds[threads] = 1e9 * pairs.seconds(s).median;
    if (slots[s].who != 0) f.ratio[threads] = pairs.ratio(subject[slots[s].crew], s);
    if (threads == 2) {
      auto const alone =
          std::ranges::find_if(slots, [&](slot const& o) { return o.who == slots[s].who && o.crew == 0; });
      f.two_to_one =
          pairs.ratio(slots.size() + s, slots.size() + static_cast<std::size_t>(alone - slots.begin()));
    }
  }
  return result;
}

std::string text_of(bench::median_summary const& ratio) {
  return fmt::format("{:.2f} [{:.2f}, {:.2f}]", ratio.median, ratio.first_quartile, ratio.third_quartile);
}

std::string with_interval(bench::median_summary const& ratio) {
  return fmt::format("{:.2f} [95 %: {:.2f}, {:.2f}]", ratio.median, ratio.low, ratio.high);
}

void print(section const& s) {
  bench::table t({"workload", "values", "cache", "ns, 1 thread", "2", "4", "ratio to it, 1 thread",
                  "2 threads", "4 threads", "hit ratio"},
                 {0, 1, 2});
  for (auto const& f : s.all) {
    std::vector<std::string> row = {s.workload, s.kind, f.name};
    for (auto const n : thread_counts) {
      auto const at = f.nanoseconds.find(n);
      row.push_back(at == f.nanoseconds.end() ? "" : fmt::format("{:.1f}", at->second));
    }
    for (auto const n : thread_counts) {
      auto const at = f.ratio.find(n);
      row.push_back(at == f.ratio.end() ? "" : text_of(at->second));
    }
    row.push_back(fmt::format("{:.3f}", f.hit_ratio));
    t.add(std::move(row));
  }
  t.print();
  fmt::print("\n");
}

constexpr double goal_to_flat_map = 2.5;
constexpr double goal_to_list_map = 1.0 / 3;
constexpr double floor_to_list_map = 1.0 / 2;

/// The names of ttl_cache's policies here, whose hits write nothing that threads share.
constexpr std::array<char const*, 4> quiet_hits = {"steered", "w_tinylfu", "s3_fifo", "sieve"};

void judge(section const& s, bench::verdicts& verdicts) {
  auto const subject = s.all.front().name;
  auto const title = fmt::format("{}, {}", s.workload, s.kind);
  bool const is_numbers = s.kind == bench::numbers::name;
  if (is_numbers && s.workload == "all hits") {
    auto const& ratio = s.of("flat_map")->ratio.at(1);
    verdicts.goal(fmt::format("{}: at most {} times flat_map", title, goal_to_flat_map), text_of(ratio),
                  ratio.median <= goal_to_flat_map);
  }
  if (is_numbers && s.workload == "read-through") {
    auto const& ratio = s.of("list_map")->ratio.at(1);
    verdicts.goal(
        fmt::format("{}: 3 times as fast as list_map, a ratio of at most {:.2f}", title, goal_to_list_map),
        text_of(ratio), ratio.median <= goal_to_list_map);
    verdicts.floor(fmt::format("{}: twice as fast as list_map, at the least", title), with_interval(ratio),
                   ratio.low <= floor_to_list_map);
    for (auto const* name : quiet_hits) {
      if (auto const* f = s.of(name)) {
        verdicts.goal(fmt::format("{}: {} with 2 threads no slower than with 1", title, name),
                      text_of(*f->two_to_one), f->two_to_one->median <= 1);
      }
    }
  }
  for (auto const& f : s.all) {
    if (!f.ratio.contains(1) || f.name == "flat_map") continue;
    if (std::ranges::find(quiet_hits, f.name) != quiet_hits.end() || f.name == "lru") continue;
    for (auto const& [threads, ratio] : f.ratio) {
      auto asked = fmt::format("{}, {} thread{}: {} no slower than {}", title, threads,
                               threads == 1 ? "" : "s", subject, f.name);
      if (threads == 1) {
        verdicts.floor(std::move(asked), with_interval(ratio), ratio.low <= 1);
      } else {
        verdicts.goal(std::move(asked), text_of(ratio), ratio.median <= 1);
      }
    }
  }
}

nlohmann::ordered_json json_of(section const& s) {
  nlohmann::ordered_json json = {{"workload", s.workload}, {"values", s.kind}};
  for (auto const& f : s.all) {
    nlohmann::ordered_json one = {{"cache", f.name}, {"hit_ratio", f.hit_ratio}};
    for (auto const& [threads, ns] : f.nanoseconds) {
      nlohmann::ordered_json at = {{"threads", threads}, {"nanoseconds", ns}};
      if (auto const ratio = f.ratio.find(threads); ratio != f.ratio.end()) {
        at["ratio"] = ratio->second.median;
        at["quartiles"] = {ratio->second.first_quartile, ratio->second.third_quartile};
      }
      one["times"].push_back(std::move(at));
    }
    json["caches"].push_back(std::move(one));
  }
  return json;
}

template <class Kind>
void print_set_ups(settings const& chosen) {
  for (auto const enter : bench::entries<Kind>(chosen.every_eviction)) {
    auto const who = enter(1);
    fmt::print("{}: {}\n", who->name(), who->set_up());
  }
}

void print_heading(settings const& chosen) {
  bench::print_heading(
      "Throughput beside peers (ratios: the time of steered over that of the other; below 1 it is faster)");
  fmt::print("{}\n", bench::compiled_with());
  fmt::print(
      "{} rounds of slices in turn, of as many operations as take steered {} ms, each after an untimed "
      "quarter\n",
      chosen.rounds, chosen.slice_milliseconds);
  fmt::print(
      "ns: wall time of a slice / operations of all threads together, which divide the work of one; 1 "
      "thread: "
      "its CPU time; ratios are medians with [quartiles]\n");
  fmt::print("{}: {}; {}: {}\n", bench::numbers::name, bench::numbers::what, bench::texts::name,
             bench::texts::what);
  fmt::print(
      "{} keys in a cache for {}, all resident; read-through and scan: {} keys, capacity {}; Zipf {}\n",
      resident_keys, resident_capacity, origin_keys, origin_capacity, alpha);
  for (auto const& w : workloads) fmt::print("{}: {}\n", w.name, w.what);
  print_set_ups<bench::numbers>(chosen);
  fmt::print("\n");
}

}  // namespace

int main(int argc, char** argv) {
  settings chosen;
  CLI::App options("Throughput of ttl_cache beside peers.");
  options.add_option("--rounds", chosen.rounds, "rounds of alternating slices")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  options.add_option("--slice", chosen.slice_milliseconds, "milliseconds of a slice on one thread")
      ->check(CLI::Range(0.1, 10'000.0))
      ->capture_default_str();
  options.add_flag("--every-eviction", chosen.every_eviction, "enter ttl_cache with its other evictions too");
  options.add_option("--out", chosen.out, "file for the figures, JSON");
  CLI11_PARSE(options, argc, argv);
  try {
    print_heading(chosen);
    bench::verdicts verdicts;
    nlohmann::ordered_json json = {{"compiled_with", bench::compiled_with()}, {"rounds", chosen.rounds}};
    auto const report = [&](section const& s) {
      print(s);
      judge(s, verdicts);
      json["sections"].push_back(json_of(s));
    };
    for (auto const& w : workloads) {
      report(measure<bench::numbers>(w, chosen));
      report(measure<bench::texts>(w, chosen));
    }
    for (auto const& peer : bench::missing_peers()) {
      verdicts.skipped(peer.name, fmt::format("not installed ({})", peer.package));
    }
    verdicts.print();
    json["verdicts"] = verdicts.json();
    if (!chosen.out.empty()) bench::write_json(chosen.out, json);
    return verdicts.floors_hold() ? 0 : 1;
  } catch (std::exception const& e) {
    fmt::print(stderr, "throughput: {}\n", e.what());
    return 2;
  }
}
