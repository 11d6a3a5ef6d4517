// SPDX-License-Identifier: BSL-1.0

// What does an operation of ttl_cache cost beside what people use today? Peers: the mutex + std::list +
// std::unordered_map LRU that everybody writes (peers/list_map_lru.hpp), and a bare
// boost::unordered_flat_map, which neither bounds nor expires nor locks: the price of a lookup alone.
//
// Subject and peers take turns in short slices of the same keys, and what is reported are the medians of the
// ratios of neighbouring slices (support/paired.hpp). Absolute nanoseconds are printed, never judged. One
// iteration of Google Benchmark is one round of slices, and its manual time the subject's time for one
// operation; the ratios are counters, so its JSON has them. Exits non-zero when one thread on ttl_cache is
// slower than on the hand-written LRU, with the whole 95 % interval above 1.

#include "peers/list_map_lru.hpp"
#include "support/crew.hpp"
#include "support/paired.hpp"
#include "support/report.hpp"
#include "support/streams.hpp"

#include <tideover/policy/locking.hpp>
#include <tideover/ttl_cache.hpp>

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <boost/unordered/unordered_flat_map.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace {

using namespace std::chrono_literals;

using key_type = std::uint64_t;
using key_span = std::span<key_type const>;
struct value_type {
  std::array<std::uint64_t, 8> words{};
};
static_assert(sizeof(value_type) == 64);

constexpr std::size_t resident_keys = 100'000;
constexpr std::size_t resident_capacity = 120'000;  // room in every shard: all of them stay
constexpr std::size_t origin_keys = 1'000'000;
constexpr std::size_t origin_capacity = 100'000;
constexpr double alpha = 0.99;
constexpr auto ttl = 60s;

using default_cache = tideover::ttl_cache<key_type, value_type>;
using single_threaded_cache = tideover::ttl_cache<key_type, value_type, tideover::single_threaded>;
using lru_cache = tideover::ttl_cache<key_type, value_type, tideover::lru>;
using list_map = bench::list_map_lru<key_type, value_type>;
using flat_map = boost::unordered_flat_map<key_type, value_type>;

value_type made_for(key_type key) { return {{key, key + 1, key + 2, key + 3, key, key, key, key}}; }

template <class Cache>
std::unique_ptr<Cache> make(std::size_t capacity) {
  if constexpr (std::is_same_v<Cache, list_map>) {
    return std::make_unique<list_map>(capacity, ttl);
  } else if constexpr (std::is_same_v<Cache, flat_map>) {
    return std::make_unique<flat_map>(capacity);
  } else {
    return std::make_unique<Cache>(typename Cache::options{.capacity = capacity, .ttl = ttl});
  }
}

// The operations, each over the keys of one slice. What they return depends on every value that was read.

struct get {
  static constexpr char const* name = "get";
  static constexpr char const* what = "copy out a present value; flat_map: find and read one word";
  template <class Cache>
  static std::uint64_t run(Cache& cache, key_span keys) {
    std::uint64_t sum = 0;
    for (auto const key : keys) {
      if constexpr (std::is_same_v<Cache, flat_map>) {
        if (auto const at = cache.find(key); at != cache.end()) sum += at->second.words[1];
      } else {
        if (auto const value = cache.get(key)) sum += value->words[1];
      }
    }
    return sum;
  }
};

struct visit {
  static constexpr char const* name = "visit";
  static constexpr char const* what = "look at a present value in place; peers as in get";
  template <class Cache>
  static std::uint64_t run(Cache& cache, key_span keys) {
    if constexpr (std::is_same_v<Cache, flat_map> || std::is_same_v<Cache, list_map>) {
      return get::run(cache, keys);
    } else {
      std::uint64_t sum = 0;
      for (auto const key : keys) cache.visit(key, [&](value_type const& value) { sum += value.words[1]; });
      return sum;
    }
  }
};

struct put {
  static constexpr char const* name = "put";
  static constexpr char const* what = "replace a present value";
  template <class Cache>
  static std::uint64_t run(Cache& cache, key_span keys) {
    for (auto const key : keys) {
      if constexpr (std::is_same_v<Cache, flat_map>) {
        cache.insert_or_assign(key, made_for(key));
      } else {
        cache.put(key, made_for(key));
      }
    }
    return keys.size();
  }
};

struct get_or_compute {
  static constexpr char const* name = "get_or_compute";
  static constexpr char const* what = "read-through: a miss makes the value and stores it";
  template <class Cache>
  static std::uint64_t run(Cache& cache, key_span keys) {
    std::uint64_t sum = 0;
    for (auto const key : keys) sum += cache.get_or_compute(key, made_for).words[1];
    return sum;
  }
};

struct settings {
  std::size_t rounds = 61;
  std::size_t slice = 100'000;
};

/// What a benchmark is about: its keys, the size of the caches, the threads.
struct scene {
  std::size_t threads;
  std::size_t keys;
  std::size_t capacity;
};

/// Keys of one thread, drawn ahead, so that a slice measures the cache and not the generator.
class key_tape {
 public:
  key_tape(scene const& s, std::size_t length, std::uint64_t seed) {
    bench::zipf_stream ranks(alpha, s.keys, seed);
    bench::append(
        keys_, [&] { return bench::scrambled(ranks()); }, length);
  }
  key_span all() const { return keys_; }
  /// Slice number i; the tape starts again at its end.
  key_span slice(std::size_t i, std::size_t length) const {
    auto const slices = keys_.size() / length;
    return key_span(keys_).subspan(i % slices * length, length);
  }

 private:
  std::vector<key_type> keys_;
};

/// One line of the table at the end.
struct result {
  std::string name;
  std::size_t threads = 1;
  double nanoseconds = 0;
  double list_map_nanoseconds = 0;
  std::optional<double> flat_map_nanoseconds = std::nullopt;
  bench::median_summary to_list_map = {};
  std::optional<bench::median_summary> to_flat_map = std::nullopt;
  double hit_ratio = 0;
};
std::vector<result> results;

template <class Operation, class Cache>
void fill(Cache& cache, key_span origin, key_span warm_up) {
  if constexpr (std::is_same_v<Operation, get_or_compute>) {
    Operation::run(cache, warm_up);
  } else {
    for (auto const key : origin) put::run(cache, key_span(&key, 1));
  }
}

/// The share of requests that the cache answers in the state that it was measured in.
template <class Operation, class Cache>
double hit_ratio_of(Cache& cache, key_span keys) {
  std::size_t hits = 0;
  for (auto const key : keys) {
    if (cache.get(key)) {
      ++hits;
    } else if constexpr (std::is_same_v<Operation, get_or_compute>) {
      cache.put(key, made_for(key));
    }
  }
  return static_cast<double>(hits) / static_cast<double>(keys.size());
}

void count(benchmark::State& state, std::string const& peer, bench::median_summary const& ratio,
           double peer_ns) {
  state.counters["ratio_to_" + peer] = ratio.median;
  state.counters["ratio_to_" + peer + "_low"] = ratio.low;
  state.counters["ratio_to_" + peer + "_high"] = ratio.high;
  state.counters["ratio_to_" + peer + "_q1"] = ratio.first_quartile;
  state.counters["ratio_to_" + peer + "_q3"] = ratio.third_quartile;
  state.counters[peer + "_ns"] = peer_ns;
}

/// Subject and peers in alternating slices. The flat_map takes part where it can: alone, and where nothing
/// has to be evicted.
template <class Operation, class Subject, class Stopwatch, bool WithFlatMap>
void compare(benchmark::State& state, std::string const& name, scene const& s, settings const& chosen) {
  std::vector<key_tape> tapes;
  for (std::size_t t = 0; t != s.threads; ++t)
    tapes.emplace_back(s, std::max(chosen.slice, std::size_t{1} << 21), 1 + t);
  std::vector<key_type> origin;
  bench::append(origin, bench::scan_stream(), s.keys);
  for (auto& key : origin) key = bench::scrambled(key);

  auto const subject = make<Subject>(s.capacity);
  auto const list = make<list_map>(s.capacity);
  auto const flat = make<flat_map>(WithFlatMap ? s.capacity : 0);
  fill<Operation>(*subject, origin, tapes[0].all());
  fill<Operation>(*list, origin, tapes[0].all());
  if constexpr (WithFlatMap) fill<Operation>(*flat, origin, tapes[0].all());

  bench::crew threads(s.threads);
  bench::paired pairs;
  std::size_t i = 0;
  auto const slice_of = [&](auto& cache) {
    return [&] {
      threads.run([&](std::size_t t) {
        benchmark::DoNotOptimize(Operation::run(cache, tapes[t].slice(i, chosen.slice)));
      });
    };
  };
  auto const round = [&] {
    ++i;
    if constexpr (WithFlatMap) {
      return pairs.round(Stopwatch(), slice_of(*subject), slice_of(*list), slice_of(*flat));
    } else {
      return pairs.round(Stopwatch(), slice_of(*subject), slice_of(*list));
    }
  };
  auto const operations = static_cast<double>(s.threads * chosen.slice);
  for ([[maybe_unused]] auto _ : state) state.SetIterationTime(round()[0] / operations);

  auto const nanoseconds = [&](std::size_t which) { return 1e9 * pairs.seconds(which).median / operations; };
  result r{.name = name,
           .threads = s.threads,
           .nanoseconds = nanoseconds(0),
           .list_map_nanoseconds = nanoseconds(1),
           .to_list_map = pairs.ratio_to(0),
           .hit_ratio = hit_ratio_of<Operation>(*subject, tapes[0].slice(++i, chosen.slice))};
  count(state, "list_map", r.to_list_map, r.list_map_nanoseconds);
  if constexpr (WithFlatMap) {
    r.flat_map_nanoseconds = nanoseconds(2);
    r.to_flat_map = pairs.ratio_to(1);
    count(state, "flat_map", *r.to_flat_map, *r.flat_map_nanoseconds);
  }
  state.counters["ns_median"] = r.nanoseconds;
  state.counters["hit_ratio"] = r.hit_ratio;
  state.counters["list_map_hit_ratio"] = hit_ratio_of<Operation>(*list, tapes[0].slice(i, chosen.slice));
  state.SetLabel(Stopwatch::name);
  results.push_back(std::move(r));
}

template <class Operation, class Subject>
void add(char const* subject, std::size_t threads, settings const& chosen) {
  constexpr bool evicts = std::is_same_v<Operation, get_or_compute>;
  scene const s{threads, evicts ? origin_keys : resident_keys, evicts ? origin_capacity : resident_capacity};
  auto const name = fmt::format("{}/{}", Operation::name, subject);
  auto const run = [=](benchmark::State& state) {
    if (threads == 1) {
      compare<Operation, Subject, bench::thread_time, !evicts>(state, name, s, chosen);
    } else {
      compare<Operation, Subject, bench::wall_time, false>(state, name, s, chosen);
    }
  };
  benchmark::RegisterBenchmark(fmt::format("{}/threads:{}", name, threads).c_str(), run)
      ->Iterations(static_cast<benchmark::IterationCount>(chosen.rounds))
      ->UseManualTime();
}

template <class Operation>
void add_all(settings const& chosen) {
  add<Operation, default_cache>("default", 1, chosen);
  add<Operation, lru_cache>("lru", 1, chosen);
  add<Operation, single_threaded_cache>("single_threaded", 1, chosen);
  add<Operation, default_cache>("default", 2, chosen);
}

/// Says which benchmark is done; the table comes when all are.
class progress_reporter : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(Context const&) override { return true; }
  void ReportRuns(std::vector<Run> const& runs) override {
    for (auto const& run : runs) {
      bench::progress("cache_ops",
                      fmt::format("{}: {:.1f} ns", run.benchmark_name(), run.GetAdjustedRealTime()));
    }
  }
};

// What we want to reach: `goals` are printed, the floor is judged.
constexpr double goal_to_flat_map = 2.5;
constexpr double goal_to_list_map = 1.0 / 3;

std::string goal_of(result const& r) {
  if (r.threads != 1) return "";
  if (r.name == "get/default") {
    return fmt::format("<= {} x flat_map: {}", goal_to_flat_map,
                       r.to_flat_map->median <= goal_to_flat_map ? "met" : "missed");
  }
  if (r.name == "get_or_compute/default") {
    return fmt::format("<= {:.2f} x list_map: {}", goal_to_list_map,
                       r.to_list_map.median <= goal_to_list_map ? "met" : "missed");
  }
  return "";
}

std::string text_of(bench::median_summary const& ratio) {
  return fmt::format("{:.2f} [{:.2f}, {:.2f}]", ratio.median, ratio.low, ratio.high);
}

void print_set_up(settings const& chosen) {
  bench::print_heading("Time of an operation beside its peers (ratios below 1: ttl_cache is faster)");
  fmt::print("{}\n", bench::compiled_with());
  fmt::print("{}-byte keys, {}-byte values, scrambled Zipf {}; {} rounds of {} operations each, in turn\n",
             sizeof(key_type), sizeof(value_type), alpha, chosen.rounds, chosen.slice);
  fmt::print(
      "list_map: std::mutex + std::list + std::unordered_map (reserved, nodes reused), steady_clock TTL "
      "check\n");
  fmt::print("flat_map: boost::unordered_flat_map, boost::hash, reserved; no lock, no clock, no bound\n");
  fmt::print(
      "get, visit, put: {} keys, all resident, capacity {}; get_or_compute: {} keys, capacity {}; TTL {} s\n",
      resident_keys, resident_capacity, origin_keys, origin_capacity, std::chrono::seconds(ttl).count());
  fmt::print("get: {}\nvisit: {}\nput: {}\nget_or_compute: {}\n", get::what, visit::what, put::what,
             get_or_compute::what);
  fmt::print("1 thread: {}; 2 threads: {} over the operations of both\n\n", bench::thread_time::name,
             bench::wall_time::name);
}

/// Returns whether no benchmark fell below the floor.
bool print_results() {
  bool floor_holds = true;
  bench::table t({"operation", "threads", "ns", "list_map ns", "ratio to list_map", "flat_map ns",
                  "ratio to flat_map", "hit ratio", "goal"},
                 {0, 8});
  for (auto const& r : results) {
    bool const slower = r.threads == 1 && r.to_list_map.low > 1;
    floor_holds = floor_holds && !slower;
    t.add({r.name, fmt::format("{}", r.threads), fmt::format("{:.1f}", r.nanoseconds),
           fmt::format("{:.1f}", r.list_map_nanoseconds), text_of(r.to_list_map),
           r.flat_map_nanoseconds ? fmt::format("{:.1f}", *r.flat_map_nanoseconds) : "",
           r.to_flat_map ? text_of(*r.to_flat_map) : "", fmt::format("{:.3f}", r.hit_ratio),
           slower ? "SLOWER than list_map" : goal_of(r)});
  }
  t.print();
  fmt::print(
      "Ratios are medians with 95 % intervals. Two threads on a small machine prove little: shown, not "
      "judged.\n");
  return floor_holds;
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  settings chosen;
  CLI::App options("Operations of ttl_cache beside their peers; takes Google Benchmark's options too.");
  options.add_option("--rounds", chosen.rounds, "rounds of alternating slices")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  options.add_option("--slice", chosen.slice, "operations in a slice")
      ->check(CLI::Range(1, 1 << 21))
      ->capture_default_str();
  CLI11_PARSE(options, argc, argv);
  try {
    add_all<get>(chosen);
    add_all<visit>(chosen);
    add_all<put>(chosen);
    add_all<get_or_compute>(chosen);
    benchmark::AddCustomContext("compiled_with", bench::compiled_with());
    benchmark::AddCustomContext("rounds", fmt::format("{}", chosen.rounds));
    benchmark::AddCustomContext("slice", fmt::format("{}", chosen.slice));
    print_set_up(chosen);
    progress_reporter reporter;
    benchmark::RunSpecifiedBenchmarks(&reporter);
    return print_results() ? 0 : 1;
  } catch (std::exception const& e) {
    fmt::print(stderr, "cache_ops: {}\n", e.what());
    return 2;
  }
}
