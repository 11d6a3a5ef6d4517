// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/watchdog.hpp"

#include <tideover/policy/clock.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using tideover::instant;
using tideover::manual_clock;

struct bedroom {
  std::mutex mutex;
  std::condition_variable changed;
};

/// What really happened; each of them must have, or the hammer hit nothing.
struct events {
  std::atomic<long> slept_to_the_end{0};  ///< woken by time
  std::atomic<long> disturbed{0};         ///< woken before it
  std::atomic<long> came_late{0};         ///< the instant had passed before the wait began

  bool enough() const { return slept_to_the_end > 100 && disturbed > 100 && came_late > 100; }
};

/// Sleeps of up to 3 ms of the clock's time, until everything happened often enough. The room may die as soon
/// as the sleep is over: the clock must have let go of it.
void sleep_often(manual_clock const& clock, std::shared_ptr<bedroom> const& shared, events& happened,
                 std::uint64_t seed, int steps) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < steps || !happened.enough(); ++i) {
    bool const alone = random() % 2 == 0;
    auto const room = alone ? std::make_shared<bedroom>() : shared;
    instant const until = clock.now() + std::chrono::microseconds(random() % 3000);
    std::unique_lock lock(room->mutex);
    if (clock.now() >= until) {
      ++happened.came_late;
      clock.wait_until(room->changed, lock, until);  // must return
      continue;
    }
    clock.wait_until(room->changed, lock, until);
    ++(clock.now() >= until ? happened.slept_to_the_end : happened.disturbed);
  }
}

}  // namespace

TEST_CASE("manual_clock: sleepers, advancers and disturbers race", "[policy]") {
  tideover_test::watchdog const dog("racing sleepers and advancers", 300s);
  std::uint64_t const seed = tideover_test::run_seed();
  manual_clock const clock;
  events happened;
  auto const shared = std::make_shared<bedroom>();
  std::atomic<bool> finished{false};

  std::vector<std::thread> sleepers;
  for (std::uint64_t i = 0; i < 3; ++i)
    sleepers.emplace_back([&, i] { sleep_often(clock, shared, happened, seed + i, 1500); });
  std::vector<std::thread> others;
  for (int i = 0; i < 2; ++i) {
    others.emplace_back([&, i] {
      while (!finished) {
        if (i == 0) {
          clock.advance(400us);
        } else {
          clock.set(clock.now() + 300us);
        }
        std::this_thread::yield();
      }
    });
  }
  others.emplace_back([&, copy = clock] {
    while (!finished) {
      { std::lock_guard lock(shared->mutex); }
      shared->changed.notify_all();
      if (copy.sleepers() > 3 || copy.next_wake() < instant{}) std::abort();
      std::this_thread::yield();
    }
  });
  for (auto& thread : sleepers) thread.join();
  finished = true;
  for (auto& thread : others) thread.join();

  CHECK(clock.sleepers() == 0);
  CHECK(clock.next_wake() == instant::max());
  CHECK(happened.slept_to_the_end > 0);
  CHECK(happened.disturbed > 0);
  CHECK(happened.came_late > 0);
}

TEST_CASE("manual_clock: no sleeper is missed, however its wait and an advance interleave", "[policy]") {
  // One advance for each sleep and nobody to help: a wake that comes too early would hang.
  tideover_test::watchdog const dog("a missed sleeper", 300s);
  constexpr int rounds = 3000;
  manual_clock const clock(instant{});
  std::atomic<int> round{0};
  std::thread sleeper([&] {
    bedroom room;
    for (int i = 1; i <= rounds; ++i) {
      tideover_test::await([&] { return round >= i; });
      instant const until = instant::at(std::chrono::seconds(i));
      std::unique_lock lock(room.mutex);
      while (clock.now() < until) clock.wait_until(room.changed, lock, until);
      round = -i;
    }
  });
  for (int i = 1; i <= rounds; ++i) {
    round = i;
    clock.set(instant::at(std::chrono::seconds(i)));
    tideover_test::await([&] { return round == -i; });
  }
  sleeper.join();
  CHECK(clock.sleepers() == 0);
}
