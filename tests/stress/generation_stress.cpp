// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/stress_turns.hpp"
#include "support/watchdog.hpp"

#include <tideover/policy/clock.hpp>
#include <tideover/policy/expiry/per_entry.hpp>
#include <tideover/policy/listener.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/policy/negative.hpp>
#include <tideover/ttl_cache.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <thread>
#include <vector>

/// New generations while threads compute, put and read. The origin has a version; whoever changes it begins a
/// new generation and then announces the version, below which no call that starts later may be answered. A
/// value that is put is the newest at any time, so that it may be seen by everyone. Each race is counted.
namespace {

using namespace std::chrono_literals;

using counter = std::atomic<std::size_t>;
constexpr int keys = 32;
constexpr std::uint64_t always_new = std::uint64_t{1} << 62;

struct told {
  using policy_axis = tideover::axis::listener;
  void on_removal(int const&, std::uint64_t const&, tideover::removal_cause cause) const {
    ++counts->at(static_cast<std::size_t>(cause));
  }
  std::array<counter, 5>* counts;
};
/// Asked in the midst of each put: here others get the time to come in between.
struct short_or_long {
  std::chrono::nanoseconds operator()(int const& key, std::uint64_t const&) const {
    if (key < 8) std::this_thread::yield();
    return key % 4 == 0 ? 300us : 1s;
  }
};

template <class Locking, std::size_t Capacity>
struct setting {
  static constexpr std::size_t capacity = Capacity;
  using cache = tideover::ttl_cache<int, std::uint64_t, tideover::per_entry<short_or_long>, Locking,
                                    tideover::manual_clock, tideover::negative_results, told>;
};

using one_small = setting<tideover::one_mutex, 24>;
using four_shards = setting<tideover::sharded<4>, 4 * 2048>;

}  // namespace

TEMPLATE_TEST_CASE("new generations against everything else", "[stress]", one_small, four_shards) {
  tideover_test::watchdog const dog("new generations", std::chrono::minutes(5));
  std::array<counter, 5> told_counts{};
  tideover::manual_clock clock;
  typename TestType::cache cache({.capacity = TestType::capacity, .negative_ttl = 500us}, clock,
                                 told{&told_counts});
  std::atomic<std::uint64_t> origin{1}, announced{1};
  counter stale{0}, crossed_computation{0}, crossed_put{0}, computed{0}, hit{0}, found_nothing{0},
      unexpected{0};

  tideover_test::stress_turns const go_on(tideover_test::number_from("TIDEOVER_STRESS_CALLS", 60'000), [&] {
    auto const stats = cache.stats();
    return crossed_computation > 0 && crossed_put > 0 && stats.coalesced > 0 && stats.discarded > 0;
  });
  auto const worker = [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    for (std::size_t i = 0; go_on(i); ++i) {
      int const key = static_cast<int>(random() % keys);
      std::uint64_t const dice = random() % 100;
      try {
        if (dice < 4) {
          std::uint64_t const version = ++origin;
          cache.new_generation();
          // Announced in order: never a lower one over a higher.
          for (std::uint64_t seen = announced;
               seen < version && !announced.compare_exchange_weak(seen, version);) {
          }
        } else if (dice < 60) {
          std::uint64_t const at_least = announced;
          bool ran = false;
          bool const may_be_nothing = dice % 4 == 0;
          bool const finds_nothing = random() % 2 == 0;
          auto const load = [&] {
            ran = true;
            ++computed;
            std::uint64_t const generation = cache.generation();
            std::uint64_t const value = origin;
            if (key < 4) std::this_thread::yield();
            if (cache.generation() != generation) ++crossed_computation;
            return value;
          };
          std::optional<std::uint64_t> got;
          if (may_be_nothing) {
            got = cache.get_or_compute(key, [&]() -> std::optional<std::uint64_t> {
              std::uint64_t const value = load();
              return finds_nothing ? std::nullopt : std::optional(value);
            });
            if (!got) ++found_nothing;
          } else {
            got = cache.get_or_compute(key, load);
          }
          if (!ran) ++hit;
          if (got && *got < at_least) ++stale;
        } else if (dice < 75) {
          std::uint64_t const generation = cache.generation();
          cache.put(key, always_new + i);
          if (cache.generation() != generation) ++crossed_put;
        } else if (dice < 85) {
          std::uint64_t const at_least = announced;
          auto const got = cache.get(key);
          if (got && *got < at_least) ++stale;
        } else if (dice < 92) {
          std::uint64_t const at_least = announced;
          cache.visit(key, [&](std::uint64_t const& value) {
            if (value < at_least) ++stale;
          });
        } else if (dice < 95) {
          clock.advance(std::chrono::microseconds(random() % 300));
        } else if (dice < 97) {
          cache.maintain_some(16);
        } else if (dice < 98) {
          cache.maintain();
        } else if (dice < 99) {
          cache.erase(key);
        } else {
          std::uint64_t const at_least = announced;
          cache.for_each([&](int const&, std::uint64_t const& value) {
            if (value < at_least) ++stale;
          });
        }
      } catch (...) {
        ++unexpected;
      }
    }
  };
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] { worker(tideover_test::run_seed() + t); });
  for (std::thread& thread : threads) thread.join();

  CHECK(stale == 0);
  CHECK(unexpected == 0);
  auto const stats = cache.stats();
  CHECK(crossed_computation > 0);
  CHECK(crossed_put > 0);
  CHECK(computed > 0);
  CHECK(hit > 0);
  CHECK(found_nothing > 0);
  CHECK(stats.coalesced > 0);
  CHECK(stats.discarded > 0);
  CHECK(stats.cleared > 0);
  CHECK(stats.expired > 0);
  CHECK(stats.replaced > 0);
  CHECK(stats.negative_hits > 0);
  CHECK(stats.generations == origin - 1);
  CHECK(stats.gets == stats.hits + stats.misses);
  CHECK(stats.puts == stats.inserted + stats.replaced + stats.refused);
  CHECK(stats.inserted == stats.resident + stats.expired + stats.evicted + stats.erased + stats.cleared);
  cache.new_generation();
  cache.maintain();
  CHECK(cache.size() == 0);
  // A listener hears of values only.
  auto const heard = [&](tideover::removal_cause cause) {
    return told_counts[static_cast<std::size_t>(cause)].load();
  };
  CHECK(heard(tideover::removal_cause::cleared) > 0);
  CHECK(heard(tideover::removal_cause::cleared) <= cache.stats().cleared);
  CHECK(heard(tideover::removal_cause::evicted) <= stats.evicted);
}
