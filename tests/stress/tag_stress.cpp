// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/stress_turns.hpp"
#include "support/watchdog.hpp"

#include <tideover/policy/clock.hpp>
#include <tideover/policy/listener.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/policy/tagging.hpp>
#include <tideover/ttl_cache.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

/// Tags that are erased while threads compute, put and read. Each tenant's data has a version in the origin;
/// whoever changes it erases the tenant's tag and then announces the version, below which no call that starts
/// later may be answered. What is put is never stale, but each worker has keys of its own, of which it knows
/// what must have become of them. Each race is counted.
namespace {

using namespace std::chrono_literals;

using counter = std::atomic<std::size_t>;
constexpr int tenants = 6;
constexpr int keys = 48;  // computed ones; key % tenants is the tenant
constexpr int workers = 4;
constexpr int own_keys = 1000;  // above this: 16 for each worker

struct versioned {
  std::uint64_t version;
};
struct by_tenant {
  std::string operator()(int const& key, versioned const&) const {
    return key < own_keys ? "tenant " + std::to_string(key % tenants) : "put";
  }
};
struct told {
  using policy_axis = tideover::axis::listener;
  void on_removal(int const&, versioned const&, tideover::removal_cause cause) const {
    ++counts->at(static_cast<std::size_t>(cause));
  }
  std::array<counter, 5>* counts;
};

template <class Locking, std::size_t Capacity>
struct setting {
  static constexpr std::size_t capacity = Capacity;
  using cache = tideover::ttl_cache<int, versioned, tideover::tagged_by<by_tenant>, Locking,
                                    tideover::manual_clock, told>;
};
using one_small = setting<tideover::one_mutex, 200>;
using four_shards = setting<tideover::sharded<4>, 4 * 2048>;

}  // namespace

TEMPLATE_TEST_CASE("tags are erased against everything else", "[stress]", one_small, four_shards) {
  tideover_test::watchdog const dog("tags are erased", std::chrono::minutes(5));
  std::array<counter, 5> told_counts{};
  tideover::manual_clock clock;
  typename TestType::cache cache({.capacity = TestType::capacity, .ttl = 30ms}, clock, told{&told_counts});
  std::array<std::atomic<std::uint64_t>, tenants> origin{}, announced{};
  counter stale{0}, not_erased{0}, crossed_computation{0}, crossed_put{0}, computed{0}, hit{0}, erased{0},
      unexpected{0};
  std::atomic<std::uint64_t> erasures{0};

  tideover_test::stress_turns const go_on(tideover_test::number_from("TIDEOVER_STRESS_CALLS", 60'000), [&] {
    auto const stats = cache.stats();
    return crossed_computation > 0 && crossed_put > 0 && stats.coalesced > 0 && stats.discarded > 0;
  });
  auto const worker = [&](int self, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::string const own_tag = "worker " + std::to_string(self);
    for (std::size_t i = 0; go_on(i); ++i) {
      int const key = static_cast<int>(random() % keys);
      auto const tenant = static_cast<std::size_t>(key % tenants);
      std::uint64_t const dice = random() % 100;
      try {
        if (dice < 6) {
          std::uint64_t const version = ++origin[tenant];
          ++erasures;
          erased += cache.erase_tag("tenant " + std::to_string(tenant));
          for (std::uint64_t seen = announced[tenant];
               seen < version && !announced[tenant].compare_exchange_weak(seen, version);) {
          }
        } else if (dice < 70) {
          std::uint64_t const at_least = announced[tenant];
          bool ran = false;
          versioned const got = cache.get_or_compute(key, [&] {
            ran = true;
            ++computed;
            std::uint64_t const before = erasures;
            versioned const value{origin[tenant]};
            if (key < 6) std::this_thread::yield();
            if (erasures != before) ++crossed_computation;
            return value;
          });
          if (!ran) ++hit;
          if (got.version < at_least) ++stale;
        } else if (dice < 80) {
          std::uint64_t const at_least = announced[tenant];
          std::optional<versioned> const got = cache.get(key);
          if (got && got->version < at_least) ++stale;
        } else if (dice < 90) {
          // Keys that nobody else writes, under a tag that nobody else erases.
          int const mine = own_keys + 16 * self;
          std::uint64_t const before = erasures;
          for (int k = 0; k < 16; ++k) cache.put(mine + k, versioned{i}, {.tags = {own_tag, "shared"}});
          if (erasures != before) ++crossed_put;
          if (dice < 85) {
            cache.erase_tag(own_tag);
            for (int k = 0; k < 16; ++k) not_erased += cache.contains(mine + k) ? 1u : 0u;
          }
        } else if (dice < 92) {
          ++erasures;
          erased += cache.erase_tag(dice == 90 ? "shared" : "put");
        } else if (dice < 96) {
          clock.advance(std::chrono::milliseconds(random() % 60));
        } else if (dice < 98) {
          cache.maintain_some(16);
        } else if (dice < 99) {
          cache.erase(key);
        } else {
          cache.new_generation();
        }
      } catch (...) {
        ++unexpected;
      }
    }
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < workers; ++t) {
    threads.emplace_back([&, t] { worker(t, tideover_test::run_seed() + static_cast<std::uint64_t>(t)); });
  }
  for (std::thread& thread : threads) thread.join();

  CHECK(stale == 0);
  CHECK(not_erased == 0);
  CHECK(unexpected == 0);
  auto const stats = cache.stats();
  CHECK(crossed_computation > 0);
  CHECK(crossed_put > 0);
  CHECK(computed > 0);
  CHECK(hit > 0);
  CHECK(erased > 0);
  CHECK(stats.coalesced > 0);
  CHECK(stats.discarded > 0);
  CHECK(stats.expired > 0);
  CHECK(stats.gets == stats.hits + stats.misses);
  CHECK(stats.puts == stats.inserted + stats.replaced + stats.refused);
  CHECK(stats.inserted == stats.resident + stats.expired + stats.evicted + stats.erased + stats.cleared);
  CHECK(told_counts[static_cast<std::size_t>(tideover::removal_cause::erased)] == stats.erased);
  cache.new_generation();
  cache.maintain();
  CHECK(cache.size() == 0);
  CHECK(cache.stats().tags == 0);
}
