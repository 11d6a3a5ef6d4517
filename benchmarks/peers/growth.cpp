// SPDX-License-Identifier: BSL-1.0

// How does a cache take its growth? First table: what a put costs while n keys come, and what a get of any of
// them costs then, for n from a thousand to ten millions. The code that runs is the same at every size (the
// instruction counts of benchmarks/check say so), so what rises is the price of memory. What one miss of the
// processor's caches costs is shown beside it, by a walk through a plain array of the same keys and values in
// random order, where each element says which comes next; the last columns say how many of these the rise
// of a get is worth. Floor: a get is not slower than that of the hand-written LRU at any size.
//
// Second table: the longest single put while a million keys come. A pause that the code makes, a rehash for
// one, is there in every round; one that the machine makes is not: judged is the longest put of the best
// round, in CPU time of the thread. Asked is at most a millisecond. Exits non-zero when a floor is broken.

#include "peers/contestants.hpp"
#include "peers/kinds.hpp"
#include "support/crew.hpp"
#include "support/paired.hpp"
#include "support/report.hpp"
#include "support/streams.hpp"
#include "support/verdicts.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

using kind = bench::numbers;
using key_type = kind::key;
using steered = bench::ours<kind, tideover::steered>;
using lru = bench::ours<kind, tideover::lru>;
using list_map = bench::list_map<kind>;
using flat_map = bench::flat_map<kind>;

constexpr double bound_seconds = 1e-3;

struct settings {
  std::size_t rounds = 15;
  std::size_t pause_rounds = 5;
  std::size_t largest = 10'000'000;
  std::size_t pause_entries = 1'000'000;
  std::filesystem::path out;
};

std::uint64_t volatile sink = 0;

/// What each size gave.
struct row {
  std::size_t entries;
  std::array<double, 3> put_ns{};  // steered, list_map, flat_map
  std::array<double, 4> get_ns{};  // steered, list_map, flat_map, a step of the walk
  bench::median_summary to_list_map{};
  bench::median_summary to_flat_map{};
};

template <class C>
double fill(C& cache, std::size_t entries) {
  double const start = bench::thread_time::now();
  for (std::size_t rank = 0; rank != entries; ++rank) cache.put(kind::key_of(rank));
  return 1e9 * (bench::thread_time::now() - start) / static_cast<double>(entries);
}

row measure(std::size_t entries, std::size_t rounds) {
  constexpr std::size_t slice = 65'536;
  // A few evicted by shards that are fuller than others would make misses of gets: there is room for them.
  auto const capacity = entries + entries / 8 + 64;
  row r{.entries = entries};
  auto const ours = std::make_unique<steered>(capacity);
  auto const list = std::make_unique<list_map>(capacity);
  auto const flat = std::make_unique<flat_map>(capacity);
  r.put_ns = {fill(*ours, entries), fill(*list, entries), fill(*flat, entries)};
  std::mt19937_64 draw(entries);
  struct element {
    key_type key;
    kind::value value;
  };
  std::vector<element> array;
  array.reserve(entries);
  for (std::size_t rank = 0; rank != entries; ++rank) array.push_back({rank, kind::value_of(rank)});
  // One cycle through all of them (Sattolo 1986).
  for (std::size_t i = entries - 1; i != 0; --i) std::swap(array[i].key, array[draw() % i].key);

  std::vector<key_type> keys(std::size_t{1} << 20);
  for (auto& key : keys) key = kind::key_of(draw() % entries);

  std::size_t at = 0;
  std::size_t found = 0;
  auto const gets = [&](auto& cache) {
    return [&] {
      std::uint64_t sum = 0;
      for (std::size_t i = at; i != at + slice; ++i) found += cache.read(keys[i], sum) ? 1u : 0u;
      sink = sink + sum;
    };
  };
  key_type standing = 0;
  auto const walk = [&] {
    for (std::size_t i = 0; i != slice; ++i) standing = array[standing].key;
    sink = sink + standing;
  };
  bench::paired pairs;
  for (std::size_t i = 0; i != rounds; ++i) {
    pairs.round(bench::thread_time(), gets(*ours), gets(*list), gets(*flat), walk);
    at = (at + slice) % keys.size();
  }
  if (found != 3 * rounds * slice) {
    fmt::print(stderr, "growth: {} of {} gets found nothing\n", 3 * rounds * slice - found,
               3 * rounds * slice);
  }
  for (std::size_t i = 0; i != r.get_ns.size(); ++i) {
    r.get_ns[i] = 1e9 * pairs.seconds(i).median / static_cast<double>(slice);
  }
  r.to_list_map = pairs.ratio_to(0);
  r.to_flat_map = pairs.ratio_to(1);
  return r;
}

std::string text_of(bench::median_summary const& ratio) {
  return fmt::format("{:.2f} [{:.2f}, {:.2f}]", ratio.median, ratio.first_quartile, ratio.third_quartile);
}

void report_sizes(settings const& chosen, bench::verdicts& verdicts, nlohmann::ordered_json& json) {
  bench::print_heading("Growth: ns per operation by number of entries, one thread");
  fmt::print("{}\n", bench::compiled_with());
  fmt::print(
      "{}; put: n new keys, the table growing from nothing (list_map reserves its buckets); get: uniform "
      "over "
      "the n, {} rounds of slices in turn, ratios with [quartiles]; CPU time of the thread\n",
      kind::what, chosen.rounds);
  fmt::print("miss: a step of a walk in random order through an array of the same keys and values\n");
  fmt::print("worth: rise of a get since the first size / rise of a step\n\n");
  bench::table t({"entries", "put: steered", "list_map", "flat_map", "get: steered", "list_map", "flat_map",
                  "miss", "ratio to list_map", "to flat_map", "worth: steered", "list_map", "flat_map"},
                 {});
  std::optional<row> first;
  for (std::size_t n = 1000; n <= chosen.largest; n *= 10) {
    bench::progress("growth", fmt::format("{} entries", n));
    auto const r = measure(n, chosen.rounds);
    if (!first) first = r;
    auto const worth = [&](std::size_t i) {
      auto const memory = r.get_ns[3] - first->get_ns[3];
      return memory <= 0 ? std::string() : fmt::format("{:.1f}", (r.get_ns[i] - first->get_ns[i]) / memory);
    };
    auto const ns = [](double x) { return fmt::format("{:.1f}", x); };
    t.add({fmt::format("{}", n), ns(r.put_ns[0]), ns(r.put_ns[1]), ns(r.put_ns[2]), ns(r.get_ns[0]),
           ns(r.get_ns[1]), ns(r.get_ns[2]), ns(r.get_ns[3]), text_of(r.to_list_map), text_of(r.to_flat_map),
           worth(0), worth(1), worth(2)});
    verdicts.floor(fmt::format("get of any of {}: {} no slower than list_map", n, steered::name),
                   fmt::format("{:.2f} [95 %: {:.2f}, {:.2f}]", r.to_list_map.median, r.to_list_map.low,
                               r.to_list_map.high),
                   r.to_list_map.low <= 1);
    json["sizes"].push_back({{"entries", n}, {"put_ns", r.put_ns}, {"get_ns", r.get_ns}});
  }
  t.print();
}

/// The longest put of the best round.
struct pause {
  double seconds = std::numeric_limits<double>::max();
  std::size_t at = 0;         // the number of the put
  double making_seconds = 0;  // the constructor, of that round
  std::size_t long_ones = 0;  // puts of that round above a tenth of the bound
  double worst_seconds = 0;   // of all rounds
};

template <class C>
pause longest_put(std::size_t entries, std::size_t rounds) {
  bench::progress("growth", fmt::format("pauses of {}", C::name));
  pause best;
  for (std::size_t round = 0; round != rounds; ++round) {
    pause p{.seconds = 0};
    double last = bench::thread_time::now();
    auto const cache = std::make_unique<C>(entries);
    double now = bench::thread_time::now();
    p.making_seconds = now - last;
    last = now;
    for (std::size_t rank = 0; rank != entries; ++rank) {
      cache->put(kind::key_of(rank));
      now = bench::thread_time::now();
      double const taken = now - last;
      last = now;
      if (taken > p.seconds) p.seconds = taken, p.at = rank;
      if (taken > bound_seconds / 10) ++p.long_ones;
    }
    p.worst_seconds = std::max(p.seconds, best.worst_seconds);
    if (p.seconds < best.seconds) {
      best = p;
    } else {
      best.worst_seconds = p.worst_seconds;
    }
  }
  return best;
}

void report_pauses(settings const& chosen, bench::verdicts& verdicts, nlohmann::ordered_json& json) {
  bench::print_heading(
      fmt::format("Pauses: the longest single put while {} entries come", chosen.pause_entries));
  fmt::print(
      "best of {} rounds by its longest put, CPU time of the thread, the clock's own {:.2f} us a put "
      "included; list_map reserves its buckets when it is made, flat_map grows\n\n",
      chosen.pause_rounds, 1e6 * [] {
        double const start = bench::thread_time::now();
        for (int i = 0; i != 999; ++i) bench::thread_time::now();
        return (bench::thread_time::now() - start) / 1000;
      }());
  bench::table t({"cache", "longest put, us", "at put", "puts above 100 us", "making it, us",
                  "longest of all rounds, us"});
  auto const add = [&]<class C>() {
    auto const p = longest_put<C>(chosen.pause_entries, chosen.pause_rounds);
    t.add({C::name, fmt::format("{:.1f}", 1e6 * p.seconds), fmt::format("{}", p.at),
           fmt::format("{}", p.long_ones), fmt::format("{:.1f}", 1e6 * p.making_seconds),
           fmt::format("{:.1f}", 1e6 * p.worst_seconds)});
    json["pauses"].push_back(
        {{"cache", C::name}, {"longest_us", 1e6 * p.seconds}, {"at", p.at}, {"above_100_us", p.long_ones}});
    return p;
  };
  auto const judge = [&](char const* name, pause const& p) {
    verdicts.goal(fmt::format("{} growing to {}: no put above {:.0f} us", name, chosen.pause_entries,
                              1e6 * bound_seconds),
                  fmt::format("{:.1f} us", 1e6 * p.seconds), p.seconds <= bound_seconds);
  };
  judge(steered::name, add.template operator()<steered>());
  judge(lru::name, add.template operator()<lru>());
  add.template operator()<list_map>();
  add.template operator()<flat_map>();
  t.print();
  fmt::print("\n");
}

}  // namespace

int main(int argc, char** argv) {
  settings chosen;
  CLI::App options("What growing costs: ns per operation by size, and the longest single put.");
  options.add_option("--rounds", chosen.rounds, "rounds of alternating slices")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  options
      .add_option("--pause-rounds", chosen.pause_rounds, "times that each cache grows for the second table")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  options.add_option("--largest", chosen.largest, "most entries of the first table")
      ->check(CLI::Range(1000, 100'000'000))
      ->capture_default_str();
  options.add_option("--out", chosen.out, "file for the figures, JSON");
  CLI11_PARSE(options, argc, argv);
  try {
    nlohmann::ordered_json json = {{"compiled_with", bench::compiled_with()}};
    bench::verdicts verdicts;
    // A service has threads. In a process without any, the locks of the C library do not lock.
    bench::crew const idle(2);
    report_sizes(chosen, verdicts, json);
    report_pauses(chosen, verdicts, json);
    verdicts.print();
    json["verdicts"] = verdicts.json();
    if (!chosen.out.empty()) bench::write_json(chosen.out, json);
    return verdicts.floors_hold() ? 0 : 1;
  } catch (std::exception const& e) {
    fmt::print(stderr, "growth: {}\n", e.what());
    return 2;
  }
}
