// SPDX-License-Identifier: BSL-1.0

// What do a data_loader and the parallel verbs cost beside the work itself? A hit beside a get of the cache
// alone; a hundred keys through a batch beside a loader as one writes it by hand; a call of map_reduce beside
// a plain loop, and beside std::async. The back-end does nothing, so that all there is is what they cost.
// Exits non-zero when a hit allocates, or when a batch costs more than twice the hand-written one.

#include "support/allocations.hpp"
#include "support/paired.hpp"
#include "support/report.hpp"

#include <tideover/data_loader.hpp>
#include <tideover/parallel.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstddef>
#include <exception>
#include <filesystem>
#include <functional>
#include <future>
#include <mutex>
#include <numeric>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

template <class T>
void keep(T const& made) {
  asm volatile("" : : "g"(&made) : "memory");
}

std::vector<long> back_end(std::span<int const> keys) { return std::vector<long>(keys.size(), 1); }

/// By hand: distinct keys under a mutex, one call, a map to find the values by.
class hand_written {
 public:
  std::vector<long> load_many(std::vector<int> const& keys) {
    std::vector<int> distinct;
    std::unordered_map<int, std::size_t> place;
    {
      std::lock_guard lock(mutex_);
      for (int k : keys) {
        if (place.emplace(k, distinct.size()).second) distinct.push_back(k);
      }
    }
    auto const values = back_end(distinct);
    std::vector<long> all;
    all.reserve(keys.size());
    for (int k : keys) all.push_back(values.at(place.find(k)->second));
    return all;
  }

 private:
  std::mutex mutex_;
};

struct pair {
  std::string what;
  std::string peer;
  bench::median_summary ratio;  // of the subject to its peer, slice beside slice
  double ns;
  double peer_ns;
};

/// CPU nanoseconds of this thread for each of `count` things that one call does.
template <class F>
double time(std::size_t calls, std::size_t count, F f) {
  double const begin = bench::thread_time::now();
  for (std::size_t i = 0; i < calls; ++i) f(static_cast<int>(i));
  return (bench::thread_time::now() - begin) / static_cast<double>(calls * count) * 1e9;
}

template <class Subject, class Peer>
pair compare(char const* what, char const* name, std::size_t rounds, std::size_t calls, std::size_t count,
             Subject subject, Peer peer) {
  std::vector<double> ratios, ours, theirs;
  for (std::size_t r = 0; r < rounds; ++r) {
    ours.push_back(time(calls, count, subject));
    theirs.push_back(time(calls, count, peer));
    ratios.push_back(ours.back() / theirs.back());
  }
  return {what, name, bench::summarise(ratios), bench::summarise(ours).median,
          bench::summarise(theirs).median};
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t rounds = 61;
  std::filesystem::path out = "build/loader_ops.json";
  CLI::App options("The cost of loads, and of calls beside each other.");
  options.add_option("--rounds", rounds, "pairs of slices")
      ->check(CLI::Range(3, 100'000))
      ->capture_default_str();
  options.add_option("--out", out, "file for the figures, JSON");
  CLI11_PARSE(options, argc, argv);
  try {
    std::vector<int> keys(100);
    std::iota(keys.begin(), keys.end(), 0);

    tideover::ttl_cache<int, long> cache({.capacity = 100'000});
    tideover::data_loader<int, long> loader(back_end, {.linger = {}, .capacity = 100'000});
    for (int k = 0; k < 1000; ++k) {
      cache.put(k, 1);
      static_cast<void>(loader.load(k));
    }
    tideover::data_loader<int, long, tideover::uncached> fresh(back_end, {.linger = {}});
    hand_written by_hand;
    tideover::inline_run here;
    tideover::owned_threads pool{2};

    std::size_t const before = bench::allocations();
    std::vector<pair> const rows{
        compare(
            "load that hits", "ttl_cache.get", rounds, 20'000, 1,
            [&](int i) { keep(loader.try_load(i % 1000)); }, [&](int i) { keep(cache.get(i % 1000)); }),
    };
    // What the harness itself keeps: the samples of its rounds.
    bool const allocates = bench::allocations() - before > 64;
    std::vector<pair> all = rows;
    all.push_back(compare(
        "load_many of 100, uncached, each key", "by hand: mutex, map, vector", rounds, 100, keys.size(),
        [&](int) { keep(fresh.load_many(keys)); }, [&](int) { keep(by_hand.load_many(keys)); }));
    all.push_back(compare(
        "map_reduce of 100 on inline_run, each call", "a loop through a pointer to it", rounds, 100,
        keys.size(),
        [&](int) {
          keep(tideover::map_reduce(
              here, keys, [](int i) { return i; }, std::plus<>()));
        },
        [&](int) {
          std::function<int(int)> const f = [](int i) { return i; };
          int sum = 0;
          for (int k : keys) sum += f(k);
          keep(sum);
        }));
    all.push_back(compare(
        "gather of three on a pool", "std::async of three", rounds, 100, 1,
        [&](int) {
          auto const f = [] { return 1; };
          keep(tideover::gather(pool, f, f, f));
        },
        [&](int) {
          auto const f = [] { return 1; };
          auto a = std::async(std::launch::async, f), b = std::async(std::launch::async, f),
               c = std::async(std::launch::async, f);
          keep(a.get() + b.get() + c.get());
        }));

    bench::print_heading("data_loader and parallel: CPU nanoseconds of the calling thread");
    bench::table table({"what", "takes", "beside", "which takes", "ratio", "95 %"}, {0, 2});
    nlohmann::ordered_json json;
    for (pair const& p : all) {
      table.add({p.what, fmt::format("{:.1f}", p.ns), p.peer, fmt::format("{:.1f}", p.peer_ns),
                 fmt::format("{:.2f}", p.ratio.median),
                 fmt::format("{:.2f}..{:.2f}", p.ratio.low, p.ratio.high)});
      json["pairs"].push_back({{"what", p.what},
                               {"ns", p.ns},
                               {"peer", p.peer},
                               {"peer_ns", p.peer_ns},
                               {"ratio", p.ratio.median},
                               {"low", p.ratio.low},
                               {"high", p.ratio.high}});
    }
    table.print();
    bool const good = !allocates && all[1].ratio.low <= 2;
    fmt::print("A hit: {}. A batch: {} twice the hand-written one.\n",
               allocates ? "ALLOCATIONS" : "no allocation", all[1].ratio.low <= 2 ? "below" : "ABOVE");
    json["allocations"] = allocates;
    if (!out.empty()) bench::write_json(out, json);
    return good ? 0 : 1;
  } catch (std::exception const& e) {
    fmt::print(stderr, "loader_ops: {}\n", e.what());
    return 2;
  }
}
