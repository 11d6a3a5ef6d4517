// SPDX-License-Identifier: BSL-1.0
#include "stampede/common.hpp"
#include "support/throwing.hpp"

#include <atomic>
#include <deque>

#include <pthread.h>

TEST_CASE("S5: one computation for a key however many callers, fresh, stale or absent", "[S5]") {
  watchdog const dog("one computation");
  for (auto const age : {0s, 20s, 100s}) {
    manual_clock clock;
    plain_guard guard(sized(10), usual(), clock);
    if (age > 0s) guard.get_or_compute(1, [] { return 1; });
    clock.advance(age);
    gate door;
    std::atomic<int> computed{0};
    std::deque<asking> callers;
    for (int i = 0; i < 32; ++i) {
      callers.emplace_back(
          [&] { return guard.get_or_compute(1, [&] { return ++computed, door.pass(), 7; }); });
    }
    await_joined(guard, 31);
    door.open();
    for (asking& caller : callers) CHECK(caller.got().is(7));
    CHECK(computed == 1);
  }
}

TEST_CASE("S5: while one key's computation is blocked, others of its shard go on", "[S5]") {
  watchdog const dog("a blocked computation");
  manual_clock clock;
  int_guard<tideover::one_mutex> guard(sized(20'000), usual(), clock);
  gate door;
  asking blocked([&] { return guard.get_or_compute(-1, [&] { return door.pass(), 1; }); });
  door.await_arrivals(1);
  for (int key = 0; key < 10'000; ++key) {
    if (guard.get_or_compute(key, [&] { return key; }) != key) FAIL("key " << key);
  }
  for (int key = 0; key < 10'000; ++key) guard.invalidate(key);
  door.open();
  CHECK(blocked.got().is(1));
}

TEST_CASE("S5: what a computation throws reaches those who wait, as it was thrown, and nobody later",
          "[S5]") {
  watchdog const dog("a throwing computation");
  struct odd_error {
    int code;
  };
  manual_clock clock;
  plain_guard guard(sized(10), usual(), clock);
  gate door;
  std::atomic<int> seen{0};
  std::deque<asking> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] {
      try {
        return guard.get_or_compute(1, [&]() -> int { door.pass(), throw odd_error{42}; });
      } catch (odd_error const& e) {
        return seen += e.code, -1;
      }
    });
  }
  await_joined(guard, 7);
  door.open();
  for (asking& caller : callers) CHECK(caller.got().is(-1));
  CHECK(seen == 8 * 42);
  CHECK(guard.get_or_compute(1, [] { return 5; }) == 5);  // not cached
}

TEST_CASE("S5: errors are kept only as long as negative_ttl says", "[S5]") {
  manual_clock clock;
  auto o = usual();
  o.negative_ttl = 3s;
  plain_guard guard(sized(10), o, clock);
  origin source{clock};
  source.fails = true;
  CHECK_THROWS_AS(guard.get_or_compute(1, std::ref(source)), std::runtime_error);
  clock.advance(3s - 1ns);
  CHECK_THROWS_AS(guard.get_or_compute(1, std::ref(source)), std::runtime_error);
  CHECK(source.asked == 1);
  CHECK(guard.try_get_or_compute(1, std::ref(source)).retry_after() == 1ns);
  clock.advance(1ns);
  CHECK_THROWS_AS(guard.get_or_compute(1, std::ref(source)), std::runtime_error);
  CHECK(source.asked == 2);
}

namespace {
/// Runs `f` in a thread that then ends in the middle of it.
template <class F>
std::thread ending_thread(F f) {
  return std::thread([f = std::move(f)]() mutable { f(); });
}
}  // namespace

TEST_CASE("S5: a thread that goes away in its computation leaves nobody behind", "[S5]") {
  watchdog const dog("an unwound thread");
  manual_clock clock;
  plain_guard guard(sized(10), usual(), clock);
  gate door;
  std::thread leaving = ending_thread([&] {
    guard.get_or_compute(1, [&]() -> int {
      door.pass();
      ::pthread_exit(nullptr);
    });
  });
  door.await_arrivals(1);
  asking waiter([&] { return guard.get_or_compute(1, [] { return 8; }); });
  await_joined(guard, 1);
  door.open();
  leaving.join();
  CHECK(waiter.got().is(8));  // it was promoted
  CHECK(guard.get(1) == 8);
  CHECK(guard.stats().abandoned == 1);
  CHECK(guard.stats().running == 0);
}

TEST_CASE("S5: copies that fail for one caller fail for that caller", "[S5]") {
  watchdog const dog("failing copies");
  using value = throwing<point::copy>;
  using store = tideover::ttl_cache<int, cached<value>, manual_clock>;
  manual_clock clock;
  tideover::stampede_guard<store, tideover::no_backoff> guard(sized(10), usual(), clock);
  failing = fail_plan{1};
  CHECK_THROWS_AS(guard.get_or_compute(1, [] { return value(1); }), injected_failure);
  failing = fail_plan{};
  CHECK(guard.store().size() == 0);
  CHECK(guard.stats().running == 0);
  CHECK(guard.get_or_compute(1, [] { return value(2); }).id() == 2);
}

TEST_CASE("S5: user code runs without a lock: it may use the guard for any other key", "[S5]") {
  watchdog const dog("a computation that uses the guard");
  manual_clock clock;
  int_guard<tideover::one_mutex, tideover::no_early_refresh> guard(sized(100), usual(), clock);
  CHECK(guard.get_or_compute(1, [&] {
    int sum = 0;
    for (int key = 2; key < 10; ++key) sum += guard.get_or_compute(key, [&] { return key; });
    guard.put(20, 1);
    guard.invalidate(20);
    CHECK(guard.stats().running == 1);
    return sum;
  }) == 44);
}
