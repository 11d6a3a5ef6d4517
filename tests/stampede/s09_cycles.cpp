// SPDX-License-Identifier: BSL-1.0
#include "stampede/common.hpp"

#include <deque>
#include <functional>

namespace {
/// Each of `n` threads computes its own key and, once all do, asks for the next one's.
template <class Ask>
int refused_in_ring(int n, Ask ask) {
  gate door;
  std::deque<asking> callers;
  for (int key = 0; key < n; ++key) {
    callers.emplace_back([&, key] {
      return ask(key, [&, key]() -> int {
        door.pass();
        return ask((key + 1) % n, [] { return -1; }) + 1;
      });
    });
  }
  door.await_arrivals(std::size_t(n));
  door.open();
  int refused = 0;
  for (asking& caller : callers) refused += caller.got().is(errc::recursive_computation) ? 1 : 0;
  return refused;
}
}  // namespace

TEST_CASE("S9: a computation that asks for its own key is told recursive_computation", "[S9]") {
  watchdog const dog("a computation of itself");
  manual_clock clock;
  plain_guard guard(sized(10), usual(), clock);
  auto const got = answer_of(
      [&] { return guard.get_or_compute(1, [&] { return guard.get_or_compute(1, [] { return 2; }); }); });
  CHECK(got.is(errc::recursive_computation));
  CHECK(guard.stats().recursions == 1);
  CHECK(guard.get_or_compute(1, [] { return 3; }) == 3);
  tideover::single_flight<int, int> flights;
  CHECK(answer_of([&] {
          return flights.run(1, [&] { return flights.run(1, [] { return 2; }); });
        }).is(errc::recursive_computation));
  tideover::single_flight<int, int, tideover::single_threaded> lone;
  CHECK(answer_of([&] {
          return lone.run(1, [&] { return lone.run(1, [] { return 2; }); });
        }).is(errc::recursive_computation));
}

TEST_CASE("S9: a chain of keys that comes back is told so, and each key works afterwards", "[S9]") {
  watchdog const dog("a cycle on one call chain");
  manual_clock clock;
  plain_guard guard(sized(10), usual(), clock);
  std::function<int(int const&)> const next = [&](int const& key) {
    return guard.get_or_compute((key + 1) % 4, next) + 1;
  };
  CHECK(answer_of([&] { return guard.get_or_compute(0, next); }).is(errc::recursive_computation));
  for (int key = 0; key < 4; ++key) CHECK(guard.get_or_compute(key, [] { return 9; }) == 9);
}

TEST_CASE("S9: a cycle over threads ends for all in it", "[S9]") {
  for (int round = 0; round < 20; ++round) {
    for (int const threads : {2, 3}) {
      watchdog const dog("a cycle over threads");
      manual_clock clock;
      plain_guard guard(sized(10), usual(), clock);
      CHECK(refused_in_ring(threads, [&](int key, auto f) { return guard.get_or_compute(key, f); }) ==
            threads);
      CHECK(guard.stats().recursions == 1);
      for (int key = 0; key < threads; ++key) CHECK(guard.get_or_compute(key, [] { return 9; }) == 9);
      tideover::single_flight<int, int> flights;
      CHECK(refused_in_ring(threads, [&](int key, auto f) { return flights.run(key, f); }) == threads);
    }
  }
}

TEST_CASE("S9: a cycle through a guard, a cache and a single_flight ends too", "[S9]") {
  watchdog const dog("a cycle over components");
  manual_clock clock;
  plain_guard guard(sized(10), usual(), clock);
  int_cache<> cache(sized(10));
  tideover::single_flight<int, int> flights;
  auto const got = answer_of([&] {
    return guard.get_or_compute(1, [&] {
      return cache.get_or_compute(
          1, [&] { return flights.run(1, [&] { return guard.get_or_compute(1, [] { return 1; }); }); });
    });
  });
  CHECK(got.is(errc::recursive_computation));
}

TEST_CASE("S9: a refresh that asks for its own key has the value that is there", "[S9]") {
  watchdog const dog("a refresh of itself");
  manual_clock clock;
  int_guard<tideover::refresh_after<std::ratio<1, 2>>> guard(sized(10), usual(), clock);
  guard.put(1, 5);
  clock.advance(5s);
  CHECK(guard.get_or_compute(1, [&] { return guard.get_or_compute(1, [] { return -1; }) + 1; }) == 6);
  clock.advance(12s);  // stale, to be served at once
  CHECK(guard.get_or_compute(1, [&] { return guard.get_or_compute(1, [] { return -1; }) + 1; }) == 7);
}

TEST_CASE("S9: who catches the recursion may still deliver", "[S9]") {
  watchdog const dog("a caught recursion");
  manual_clock clock;
  plain_guard guard(sized(10), usual(), clock);
  CHECK(guard.get_or_compute(1, [&] {
    return guard.try_get_or_compute(1, [] { return 2; }).code() == errc::recursive_computation ? 5 : -1;
  }) == 5);
}
