// SPDX-License-Identifier: BSL-1.0

// How long does a call take at most when a million entries expire at once? The cache is filled with entries
// of one deadline, the deadline passes, and each call after it is timed: puts of new keys (each of which
// frees a few), reads of the expired (each of which frees the one that it meets), steps of `maintain_some`,
// and all three in turn. The same after new_generation, which disowns a million entries at once.
//
// A pause that the code makes is there in every round; one that the machine makes is not. So each kind of
// call is judged by the longest call of its best round, in CPU time of the calling thread, and must stay
// below a millisecond; the longest of all rounds is printed beside it. The last row is a reader on a second
// thread while the first runs `maintain` as a whole: wall time, shown and not judged.

#include "support/report.hpp"
#include "support/streams.hpp"

#include <tideover/policy/clock.hpp>
#include <tideover/ttl_cache.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

using key_type = std::uint64_t;
struct value_type {
  std::array<std::uint64_t, 8> words{};
};
using cache_type = tideover::ttl_cache<key_type, value_type, tideover::manual_clock>;

constexpr std::int64_t bound_ns = 1'000'000;
constexpr std::size_t step = 256;  // of maintain_some
constexpr auto ttl = 60s;

struct settings {
  std::size_t entries = 1'000'000;
  std::size_t rounds = 5;
  std::filesystem::path out;
};

std::int64_t time_of(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

/// What the calls of one kind took, in each round.
struct timings {
  std::string name;
  bool judged = true;
  std::size_t calls = 0;
  std::int64_t best_round = std::numeric_limits<std::int64_t>::max();
  std::int64_t longest = 0;
  std::int64_t at_99_99 = 0;  // of the best round

  void add(std::vector<std::int64_t>& round) {
    std::sort(round.begin(), round.end());
    calls += round.size();
    longest = std::max(longest, round.back());
    if (round.back() >= best_round) return;
    best_round = round.back();
    at_99_99 = round[round.size() - 1 - round.size() / 10'000];
  }
  bool good() const { return !judged || best_round < bound_ns; }
};

/// A cache full of entries that have expired a moment ago, or that became those of an older generation.
struct storm {
  storm(std::size_t n, bool by_generation)
      : entries(n),
        cache(std::make_unique<cache_type>(cache_type::options{.capacity = n + n / 4, .ttl = ttl}, clock)) {
    for (key_type key = 0; key != n; ++key) cache->put(bench::scrambled(key), value_type{});
    if (by_generation) {
      cache->new_generation();
    } else {
      clock.advance(ttl + 2ms);
    }
  }
  std::size_t entries;
  tideover::manual_clock clock;
  std::unique_ptr<cache_type> cache;
};

/// Times each call of `next` until it returns false.
template <class Next>
std::vector<std::int64_t> timed(std::size_t expected, Next next) {
  std::vector<std::int64_t> taken;
  taken.reserve(expected);
  for (bool more = true; more;) {
    std::int64_t const before = time_of(CLOCK_THREAD_CPUTIME_ID);
    more = next();
    taken.push_back(time_of(CLOCK_THREAD_CPUTIME_ID) - before);
  }
  return taken;
}

std::vector<std::int64_t> puts(storm& s) {
  key_type key = s.entries;
  return timed(s.entries / 4, [&] {
    s.cache->put(bench::scrambled(key), value_type{});
    return ++key != s.entries + s.entries / 4;
  });
}
std::vector<std::int64_t> gets(storm& s) {
  key_type key = 0;
  return timed(s.entries, [&] {
    static_cast<void>(s.cache->get(bench::scrambled(key)));
    return ++key != s.entries;
  });
}
std::vector<std::int64_t> steps(storm& s) {
  return timed(s.entries / step + 16, [&] { return !s.cache->maintain_some(step); });
}
std::vector<std::int64_t> mixed(storm& s) {
  key_type key = 0;
  std::size_t turn = 0;
  return timed(s.entries, [&] {
    switch (turn++ % 16) {
      case 0:
        s.cache->maintain_some(step);
        break;
      case 1:
      case 2:
      case 3:
        s.cache->put(bench::scrambled(s.entries + key), value_type{});
        break;
      default:
        static_cast<void>(s.cache->get(bench::scrambled(key)));
    }
    return ++key != s.entries / 2;
  });
}
/// A reader's wall time while another thread frees everything in one call.
std::vector<std::int64_t> reads_beside_maintain(storm& s) {
  for (key_type key = 0; key != 1000; ++key) s.cache->put(bench::scrambled(key), value_type{});
  std::vector<std::int64_t> taken;
  taken.reserve(s.entries * 4);
  std::atomic<bool> done{false};
  std::thread cleaner([&] {
    s.cache->maintain();
    done.store(true, std::memory_order_release);
  });
  for (key_type key = 0; !done.load(std::memory_order_acquire) || key == 0; ++key) {
    std::int64_t const before = time_of(CLOCK_MONOTONIC);
    static_cast<void>(s.cache->get(bench::scrambled(key % 1000)));
    taken.push_back(time_of(CLOCK_MONOTONIC) - before);
  }
  cleaner.join();
  return taken;
}

std::string microseconds(std::int64_t ns) { return fmt::format("{:.1f}", static_cast<double>(ns) / 1000); }

bool report(std::vector<timings> const& all, settings const& chosen) {
  bench::print_heading("A million entries expire at once");
  fmt::print("{} entries with one deadline, {} rounds; what each call after it takes, in microseconds.\n\n",
             chosen.entries, chosen.rounds);
  bench::table t({"call", "calls", "p99.99", "longest", "longest of all rounds", "verdict"}, {0, 5});
  bool good = true;
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (timings const& one : all) {
    good = good && one.good();
    char const* const verdict = !one.judged ? "(wall time)" : one.good() ? "below 1 ms" : "ABOVE 1 MS";
    t.add({one.name, fmt::format("{}", one.calls), microseconds(one.at_99_99), microseconds(one.best_round),
           microseconds(one.longest), verdict});
    rows.push_back({{"call", one.name},
                    {"calls", one.calls},
                    {"p9999_ns", one.at_99_99},
                    {"longest_ns", one.best_round},
                    {"longest_of_all_rounds_ns", one.longest},
                    {"judged", one.judged},
                    {"good", one.good()}});
  }
  t.print();
  fmt::print("CPU time of the calling thread; p99.99 and longest are those of the best round.\n");
  if (!chosen.out.empty()) {
    bench::write_json(chosen.out, {{"compiled_with", bench::compiled_with()},
                                   {"entries", chosen.entries},
                                   {"rounds", chosen.rounds},
                                   {"rows", rows}});
  }
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  settings chosen;
  CLI::App options("The longest call when very many entries expire at once.");
  options.add_option("--entries", chosen.entries, "entries with one deadline")
      ->check(CLI::Range(10'000, 100'000'000))
      ->capture_default_str();
  options.add_option("--rounds", chosen.rounds, "fresh storms for each kind of call")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  options.add_option("--out", chosen.out, "a JSON file for the figures");
  CLI11_PARSE(options, argc, argv);
  try {
    struct kind {
      timings taken;
      std::vector<std::int64_t> (*run)(storm&);
      bool by_generation = false;
    };
    kind kinds[] = {{{.name = "put"}, puts},
                    {{.name = "get of an expired key"}, gets},
                    {{.name = fmt::format("maintain_some({})", step)}, steps},
                    {{.name = "all three in turn"}, mixed},
                    {{.name = "put, new generation"}, puts, true},
                    {{.name = fmt::format("maintain_some({}), new generation", step)}, steps, true},
                    {{.name = "all three, new generation"}, mixed, true},
                    {{.name = "get beside maintain()", .judged = false}, reads_beside_maintain}};
    std::vector<timings> all;
    for (kind& k : kinds) {
      bench::progress("expiry_storm", k.taken.name);
      for (std::size_t round = 0; round != chosen.rounds; ++round) {
        storm s(chosen.entries, k.by_generation);
        auto taken = k.run(s);
        k.taken.add(taken);
      }
      all.push_back(k.taken);
    }
    return report(all, chosen) ? 0 : 1;
  } catch (std::exception const& e) {
    fmt::print(stderr, "expiry_storm: {}\n", e.what());
    return 2;
  }
}
