// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/watchdog.hpp"

#include <tideover/keyed_pool.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

/// Threads want objects of more keys than there are places. A place counts until its object is destroyed, so
/// that the hosts see every excess. Each race that the test is about is counted, and one that never happened
/// fails the test. Bounded by the number of calls (TIDEOVER_STRESS_CALLS for each thread).
namespace {

using namespace std::chrono_literals;

constexpr int keys = 6;
constexpr int of_a_key = 2;
constexpr int of_all = 3;
constexpr int workers = 4;

struct servers {
  std::array<std::atomic<int>, keys> open{};
  std::atomic<int> all{0};
  std::atomic<std::size_t> too_many_of_a_key{0}, too_many{0}, shared{0}, made{0};
};

struct session {
  session(servers* s, int k) : home(s), key(k) {
    if (++home->open[static_cast<std::size_t>(key)] > of_a_key) ++home->too_many_of_a_key;
    if (++home->all > of_all) ++home->too_many;
    ++home->made;
  }
  session(session const&) = delete;
  session& operator=(session const&) = delete;
  ~session() {
    --home->open[static_cast<std::size_t>(key)];
    --home->all;
  }
  servers* home;
  int key;
  std::atomic<bool> in_use{false};
};
struct session_factory {
  using connection = session;
  servers* home;
  session connect(int const& key, tideover::deadline const&) {
    if (home->made.load() % 97 == 13) {
      ++home->made;
      throw std::runtime_error("down");
    }
    return session(home, key);
  }
};

template <class... P>
void storm(std::size_t calls, std::uint64_t seed, P const&... policies) {
  tideover_test::watchdog const limit("keyed pool stress", 300s);
  servers home;
  std::atomic<std::size_t> granted{0}, late{0}, lost{0}, seen_hungry{0}, cancelled{0}, wrong_key{0}, other{0},
      discarded{0};
  std::atomic<bool> over{false};
  tideover::keyed_pool<int, session_factory, P...> pool(session_factory{&home},
                                                        {.each = {.max_size = of_a_key,
                                                                  .max_idle_time = 1ms,
                                                                  .max_lifetime = 20ms,
                                                                  .max_connecting = 2,
                                                                  .count_closing = true},
                                                         .max_total = of_all,
                                                         .max_keys = keys - 1,
                                                         .forget_after = 0s,
                                                         .max_connecting = 2},
                                                        policies...);
  std::vector<std::thread> threads;
  for (int self = 0; self < workers; ++self) {
    threads.emplace_back([&, self] {
      std::mt19937_64 random(seed + static_cast<std::uint64_t>(self));
      for (std::size_t i = 0; i < calls; ++i) {
        int const key = static_cast<int>(random() % keys);
        bool const hurries = random() % 8 == 0;
        std::chrono::nanoseconds const patience = hurries ? 20us : 60s;
        std::stop_source stop;
        auto until = tideover::deadline::after(pool.clock(), patience, stop.get_token());
        if (random() % 16 == 0) stop.request_stop();
        auto held = pool.try_acquire_until(key, until);
        if (held) {
          ++granted;
          if ((*held)->key != key) ++wrong_key;
          if ((*held)->in_use.exchange(true)) ++home.shared;
          if (random() % 4 == 0) std::this_thread::yield();
          (*held)->in_use = false;
          if (random() % 8 == 0) held->discard(), ++discarded;
        } else if (held.error().code == tideover::errc::timed_out) {
          ++(hurries ? late : lost);
        } else if (held.error().code == tideover::errc::cancelled) {
          ++cancelled;
        } else if (held.error().code != tideover::errc::queue_full) {
          ++other;
        }
        if (random() % 64 == 0) pool.invalidate(key);
      }
    });
  }
  std::thread keeper([&] {
    while (!over) {
      pool.tick();
      if (pool.stats().hungry != 0) ++seen_hungry;
      std::this_thread::yield();
    }
  });
  for (auto& t : threads) t.join();
  over = true;
  keeper.join();
  auto const s = pool.stats();
  CHECK(home.too_many_of_a_key == 0);
  CHECK(home.too_many == 0);
  CHECK(home.shared == 0);
  CHECK(wrong_key == 0);
  CHECK(other == 0);
  CHECK(lost == 0);  // everything that is lent comes back soon
  CHECK(s.hungry == 0);
  CHECK(s.all.waiting == 0);
  CHECK(s.all.leased == 0);
  CHECK(s.all.started ==
        s.all.granted + s.all.timed_out + s.all.cancelled + s.all.errored + s.all.closed + s.all.rejected);
  CHECK(s.all.granted == granted);
  // What it is about has happened.
  CHECK(granted > 0);
  CHECK(late > 0);
  CHECK(seen_hungry > 0);
  CHECK(cancelled > 0);
  CHECK(discarded > 0);
  CHECK(s.evicted > 0);
  CHECK(s.forgotten > 0);
  CHECK(s.all.open_failures > 0);
  CHECK(pool.close(10s) == 0);
  tideover_test::await([&] { return pool.stats().used == 0; });
  CHECK(home.all == 0);
}

std::size_t calls() { return tideover_test::number_from("TIDEOVER_STRESS_CALLS", 20'000) / 8; }

}  // namespace

TEST_CASE("P29: under a storm, never more than the budget, and nothing is lost (threads)") {
  storm(calls(), tideover_test::run_seed(), tideover::owned_threads(2));
}

TEST_CASE("P29: under a storm, never more than the budget, and nothing is lost (by hand)") {
  storm(calls(), tideover_test::run_seed() + 1, tideover::hand_driven());
}
