// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/watchdog.hpp"

#include <tideover/data_loader.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <stdexcept>
#include <thread>
#include <vector>

/// Threads load, write and clear, prime, and ask for later, a few keys that all of them want. A value is the
/// version that was written; what a load gives is never older than what was written and cleared before it
/// began. Each race that the test is about is counted where it happens, and one that never happened fails the
/// test.
namespace {

using counter = std::atomic<std::size_t>;
constexpr int workers = 4;
constexpr int keys = 24;

struct seen_type {
  counter joined{0}, hits{0}, failed{0}, timed_out{0}, outdated{0}, primed{0}, got_later{0}, many{0};
  // And what must never happen.
  counter stale{0}, twice{0}, too_many{0}, unexpected{0};
};

class stress {
 public:
  void run(std::size_t calls, std::uint64_t seed) {
    std::vector<std::thread> threads;
    for (int self = 0; self < workers; ++self) {
      threads.emplace_back([this, self, calls, seed] {
        std::mt19937_64 random(seed + static_cast<std::uint64_t>(self));
        for (std::size_t i = 0; i < calls; ++i) step(random);
      });
    }
    for (auto& t : threads) t.join();
    for (int key = 0; key < keys; ++key)
      judge(key, cleared_[static_cast<std::size_t>(key)], loader_.try_load(key));
    auto const s = loader_.stats();
    CHECK(s.pending == 0);
    CHECK(s.asked == s.hits + s.joined + s.loaded);
    CHECK(s.keys == s.loaded);
    seen.joined += s.joined;
    seen.hits += s.hits;
    seen.outdated += s.outdated;
    seen.primed += s.primed;
  }

  seen_type seen;

 private:
  using loader = tideover::data_loader<int, std::uint64_t>;

  std::vector<std::uint64_t> fetch(std::span<int const> asked) {
    if (asked.size() > 4 || asked.empty()) ++seen.too_many;
    std::vector<std::uint64_t> all;
    for (std::size_t i = 0; i < asked.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (asked[i] == asked[j]) ++seen.twice;
      }
      all.push_back(version_of(asked[i]).load());
      if (all.back() % 5 == 4) std::this_thread::yield();
    }
    if (++fetches_ % 16 == 0) throw std::runtime_error("down");
    return all;
  }

  std::atomic<std::uint64_t>& version_of(int key) { return versions_[static_cast<std::size_t>(key)]; }

  void judge(int key, std::uint64_t before, tideover::result<std::uint64_t> const& r) {
    static_cast<void>(key);
    if (r) {
      if (*r < before) ++seen.stale;
    } else if (r.code() == tideover::errc::computation_failed) {
      ++seen.failed;
    } else if (r.code() == tideover::errc::timed_out) {
      ++seen.timed_out;
    } else {
      ++seen.unexpected;
    }
  }

  void step(std::mt19937_64& random) {
    auto const key = static_cast<int>(random() % keys);
    auto& cleared = cleared_[static_cast<std::size_t>(key)];
    switch (random() % 16) {
      case 0: {
        std::uint64_t const mine = ++version_of(key);
        loader_.clear(key);
        // From here on nobody may be given anything older.
        std::uint64_t known = cleared;
        while (known < mine && !cleared.compare_exchange_weak(known, mine)) {
        }
        break;
      }
      case 1: {
        if (random() % 8 == 0) loader_.clear();
        break;
      }
      case 2: {
        // As a service does that has just read it: the version may be outdated by the time it is primed, so
        // it is one that cannot be.
        loader_.prime(key, ~std::uint64_t{0} >> 1);
        loader_.clear(key);
        break;
      }
      case 3: {
        std::uint64_t const before = cleared;
        auto later = loader_.later(key);
        if (random() % 2 == 0) std::this_thread::yield();
        judge(key, before, later.try_get());
        ++seen.got_later;
        break;
      }
      case 4: {
        std::vector<int> ids;
        std::vector<std::uint64_t> before;
        for (int i = 0; i < 6; ++i) {
          ids.push_back((key + i) % keys);
          before.push_back(cleared_[static_cast<std::size_t>(ids.back())]);
        }
        auto const all = loader_.try_load_many(ids);
        for (std::size_t i = 0; i < ids.size(); ++i) judge(ids[i], before[i], all[i]);
        ++seen.many;
        break;
      }
      case 5: {
        std::uint64_t const before = cleared;
        judge(
            key, before,
            loader_.try_load(key, tideover::deadline::after(loader_.clock(), std::chrono::microseconds(20))));
        break;
      }
      default: {
        std::uint64_t const before = cleared;
        judge(key, before, loader_.try_load(key));
        break;
      }
    }
  }

  std::array<std::atomic<std::uint64_t>, keys> versions_{};
  std::array<std::atomic<std::uint64_t>, keys> cleared_{};
  counter fetches_{0};
  loader loader_{
      [this](std::span<int const> asked) { return fetch(asked); },
      {.max_items = 4, .linger = std::chrono::microseconds(50), .ttl = std::chrono::milliseconds(20)}};
};

}  // namespace

TEST_CASE("B19: L1: L2: everything at once on one loader", "[stress]") {
  tideover_test::watchdog const guard("loader stress", std::chrono::seconds(600));
  std::size_t const calls = tideover_test::number_from("TIDEOVER_STRESS_CALLS", 20'000);
  stress s;
  s.run(calls, tideover_test::run_seed());
  CHECK(s.seen.stale == 0);
  CHECK(s.seen.twice == 0);
  CHECK(s.seen.too_many == 0);
  CHECK(s.seen.unexpected == 0);
  if (calls < 5'000) return;
  CHECK(s.seen.joined > 0);
  CHECK(s.seen.hits > 0);
  CHECK(s.seen.failed > 0);
  CHECK(s.seen.timed_out > 0);
  CHECK(s.seen.outdated > 0);
  CHECK(s.seen.primed > 0);
  CHECK(s.seen.got_later > 0);
  CHECK(s.seen.many > 0);
}
