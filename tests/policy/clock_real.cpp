// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/watchdog.hpp"

#include <tideover/policy/clock.hpp>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <type_traits>

namespace {

using namespace std::chrono_literals;
using tideover::coarse;
using tideover::instant;
using tideover::steady;
using tideover_test::watchdog;

static_assert(tideover::clock_policy<steady> && tideover::clock_policy<coarse>);
static_assert(std::is_empty_v<steady> && std::is_empty_v<coarse>, "a clock of the system takes no byte");

/// A condition variable and what it guards.
struct place {
  std::mutex mutex;
  std::condition_variable changed;
  bool waiting = false;
  bool done = false;
};

}  // namespace

TEMPLATE_TEST_CASE("clock: real time never goes back", "[policy]", steady, coarse) {
  TestType const clock;
  instant last = clock.now();
  instant last_precise = clock.precise_now();
  for (int i = 0; i < 100'000; ++i) {
    instant const now = clock.now();
    instant const precise = clock.precise_now();
    if (now < last || precise < last_precise) FAIL("went back");
    last = now;
    last_precise = precise;
  }
  SUCCEED();
}

TEMPLATE_TEST_CASE("clock: now() is on the epoch of precise_now(), and late if anything", "[policy]", steady,
                   coarse) {
  TestType const clock;
  for (int i = 0; i < 1000; ++i) {
    instant const before = clock.precise_now();
    instant const now = clock.now();
    instant const after = clock.precise_now();
    if (now > after) FAIL("ahead of the precise time");
    if (before - now > 1s) FAIL("behind by " << (before - now).count() << " ns");
  }
  SUCCEED();
}

TEMPLATE_TEST_CASE("clock: the cheap time arrives where the precise one is", "[policy]", steady, coarse) {
  watchdog const dog("a clock that stands still");
  TestType const clock;
  instant const begin = clock.precise_now();
  tideover_test::await([&] { return clock.now() > begin; });
  SUCCEED();
}

TEMPLATE_TEST_CASE("clock: a wait ends when its instant comes", "[policy]", steady, coarse) {
  watchdog const dog("a wait that does not end");
  TestType const clock;
  place here;
  std::unique_lock lock(here.mutex);
  instant const end = clock.precise_now() + 3ms;
  while (clock.precise_now() < end) clock.wait_until(here.changed, lock, end);
  CHECK(lock.owns_lock());
  CHECK(clock.precise_now() >= end);
}

TEMPLATE_TEST_CASE("clock: a wait for the past is none", "[policy]", steady, coarse) {
  watchdog const dog("a wait for the past");
  TestType const clock;
  place here;
  std::unique_lock lock(here.mutex);
  for (instant const past : {clock.precise_now(), clock.precise_now() - 1h, instant{}, instant::min()})
    clock.wait_until(here.changed, lock, past);
  CHECK(lock.owns_lock());
}

TEMPLATE_TEST_CASE("clock: a wait ends when it is notified, be its instant far or never", "[policy]", steady,
                   coarse) {
  watchdog const dog("a notified wait");
  TestType const clock;
  for (instant const end : {clock.precise_now() + 24h, instant{instant::max().ns - 1}, instant::max()}) {
    place here;
    std::thread sleeper([&] {
      std::unique_lock lock(here.mutex);
      here.waiting = true;
      here.changed.notify_all();
      while (!here.done) clock.wait_until(here.changed, lock, end);
    });
    {
      std::unique_lock lock(here.mutex);
      here.changed.wait(lock, [&] { return here.waiting; });
      here.done = true;
    }
    here.changed.notify_all();
    sleeper.join();
  }
  SUCCEED();
}
