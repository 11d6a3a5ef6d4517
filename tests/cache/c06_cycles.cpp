// SPDX-License-Identifier: BSL-1.0
#include "cache/computing.hpp"

#include <array>
#include <atomic>
#include <deque>
#include <functional>

TEMPLATE_TEST_CASE("C6: a computation that asks for its own key ends with recursive_computation", "[C6]",
                   tideover::single_threaded, tideover::one_mutex, tideover::sharded<>) {
  watchdog const dog("a computation of itself");
  int_cache<TestType> cache(sized(10));
  auto const got = answer_of(
      [&] { return cache.get_or_compute(1, [&] { return cache.get_or_compute(1, [] { return 2; }); }); });
  CHECK(got.is(errc::recursive_computation));
  CHECK_FALSE(cache.contains(1));
  CHECK(cache.get_or_compute(1, [] { return 3; }) == 3);
  CHECK(cache.stats().recursions == 1);
  CHECK(adds_up(cache.stats()));
}

TEMPLATE_TEST_CASE("C6: a cycle over several keys on one call chain ends with recursive_computation", "[C6]",
                   tideover::single_threaded, tideover::one_mutex) {
  watchdog const dog("a cycle on one call chain");
  int_cache<TestType> cache(sized(10));
  std::function<int(int const&)> const next = [&](int const& key) {
    return cache.get_or_compute((key + 1) % 4, next) + 1;
  };
  CHECK(answer_of([&] { return cache.get_or_compute(0, next); }).is(errc::recursive_computation));
  CHECK(cache.size() == 0);
  for (int key = 0; key < 4; ++key) CHECK(cache.get_or_compute(key, [] { return 9; }) == 9);
}

TEST_CASE("C6: a computation may catch the recursion and still deliver", "[C6]") {
  watchdog const dog("a caught recursion");
  int_cache<> cache(sized(10));
  CHECK(cache.get_or_compute(1, [&] {
    auto const inner = cache.try_get_or_compute(1, [] { return 2; });
    return inner.code() == errc::recursive_computation ? 5 : -1;
  }) == 5);
  CHECK(cache.get(1) == 5);
}

TEST_CASE("C6: a cycle that only looks does not count: get, peek and visit do not wait", "[C6]") {
  int_cache<> cache(sized(10));
  CHECK(cache.get_or_compute(1, [&] {
    return cache.get(1) || cache.peek(1) || cache.visit(1, [](int const&) {}) ? -1 : 5;
  }) == 5);
}

TEST_CASE("C6: after an erase within its computation a key may be computed again inside", "[C6]") {
  watchdog const dog("a computation within a discarded one");
  int_cache<> cache(sized(10));
  CHECK(cache.get_or_compute(1, [&] {
    cache.erase(1);
    return cache.get_or_compute(1, [] { return 5; }) + 1;  // starts after the erase, so it is a new one
  }) == 6);
  CHECK(cache.get(1) == 5);
}

namespace {

/// Each of `n` threads computes its own key and, once all do, asks for the next one's.
template <class Cache>
std::deque<answer> run_ring(Cache& cache, int n, bool catching) {
  gate door;
  std::deque<asking> callers;
  for (int key = 0; key < n; ++key) {
    callers.emplace_back([&, key] {
      return cache.get_or_compute(key, [&, key] {
        door.pass();
        auto const ask = [&] { return cache.get_or_compute((key + 1) % n, [] { return -1; }) + 1; };
        if (!catching) return ask();
        answer const inner = answer_of(ask);
        return inner.is(errc::recursive_computation) ? 100 : inner.value.value_or(-1000);
      });
    });
  }
  door.await_arrivals(std::size_t(n));
  door.open();
  std::deque<answer> answers;
  for (asking& caller : callers) answers.push_back(caller.got());
  return answers;
}

}  // namespace

TEST_CASE("C6: a cycle over two and three threads ends with recursive_computation for all in it", "[C6]") {
  for (int round = 0; round < 20; ++round) {
    for (int const threads : {2, 3}) {
      watchdog const dog("a cycle over threads");
      int_cache<> cache(sized(10));
      for (answer const& got : run_ring(cache, threads, false)) CHECK(got.is(errc::recursive_computation));
      CHECK(cache.size() == 0);
      CHECK(cache.stats().recursions == 1);
      for (int key = 0; key < threads; ++key) CHECK(cache.get_or_compute(key, [] { return 9; }) == 9);
    }
  }
}

TEST_CASE("C6: who catches the recursion breaks the cycle, and the others get their values", "[C6]") {
  for (int round = 0; round < 20; ++round) {
    for (int const threads : {2, 3}) {
      watchdog const dog("a broken cycle over threads");
      int_cache<> cache(sized(10));
      std::deque<answer> const answers = run_ring(cache, threads, true);
      // One was refused and gave 100; from there each caller adds one.
      int broken = 0, sum = 0;
      for (answer const& got : answers) {
        REQUIRE(got.value.has_value());
        broken += *got.value == 100 ? 1 : 0;
        sum += *got.value;
      }
      CHECK(broken == 1);
      CHECK(sum == (threads == 2 ? 201 : 303));
      CHECK(cache.size() == std::size_t(threads));
    }
  }
}

TEST_CASE("C6: a cycle over two caches ends too", "[C6]") {
  watchdog const dog("a cycle over two caches");
  int_cache<> one(sized(10)), two(sized(10));
  auto const got = answer_of([&] {
    return one.get_or_compute(
        1, [&] { return two.get_or_compute(1, [&] { return one.get_or_compute(1, [] { return 1; }); }); });
  });
  CHECK(got.is(errc::recursive_computation));
}

TEST_CASE("C6: waiting for a computation that waits for a third is no cycle", "[C6]") {
  watchdog const dog("a chain over threads");
  int_cache<> cache(sized(10));
  gate door;
  asking last([&] { return cache.get_or_compute(3, [&] { return door.pass(), 30; }); });
  door.await_arrivals(1);
  asking middle([&] {
    return cache.get_or_compute(2, [&] { return cache.get_or_compute(3, [] { return -1; }) + 1; });
  });
  await_joined(cache, 1);
  asking first([&] {
    return cache.get_or_compute(1, [&] { return cache.get_or_compute(2, [] { return -1; }) + 1; });
  });
  await_joined(cache, 2);
  door.open();
  CHECK(first.got().is(32));
  CHECK(middle.got().is(31));
  CHECK(last.got().is(30));
  CHECK(cache.stats().recursions == 0);
}
