// SPDX-License-Identifier: BSL-1.0
#include "cache/computing.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <stdexcept>

TEMPLATE_TEST_CASE("C6: one computation per key however many callers", "[C6]", tideover::one_mutex,
                   tideover::sharded<>) {
  watchdog const dog("one computation for many callers");
  int_cache<TestType> cache(sized(10));
  gate door;
  std::atomic<int> computations{0};
  auto const compute = [&](int const& key) {
    ++computations;
    door.pass();
    return key * 10;
  };
  std::deque<asking> callers;
  for (int i = 0; i < 8; ++i) callers.emplace_back([&] { return cache.get_or_compute(4, compute); });
  await_joined(cache, 7);
  CHECK(computations == 1);
  CHECK_FALSE(cache.contains(4));
  door.open();
  for (asking& caller : callers) CHECK(caller.got().is(40));
  CHECK(computations == 1);
  CHECK(cache.get(4) == 40);
  auto const stats = cache.stats();
  CHECK(stats.computations == 1);
  CHECK(stats.coalesced == 7);
  CHECK(stats.inserted == 1);
  CHECK(stats.gets == 9);
  CHECK(stats.hits == 1);
  CHECK(stats.misses == 8);
  CHECK(adds_up(stats));
}

TEST_CASE(
    "C6: an exception reaches exactly the callers who waited, nothing is cached, the next computes anew",
    "[C6]") {
  watchdog const dog("a computation that throws");
  int_cache<> cache(sized(10));
  gate door;
  std::atomic<int> computations{0};
  auto const fail = [&]() -> int {
    ++computations;
    door.pass();
    throw std::runtime_error("the origin is down");
  };
  std::deque<asking> callers;
  for (int i = 0; i < 5; ++i) callers.emplace_back([&] { return cache.get_or_compute(1, fail); });
  await_joined(cache, 4);
  door.open();
  for (asking& caller : callers) {
    CHECK(caller.got().thrown == "the origin is down");
    CHECK_FALSE(caller.got().value.has_value());
  }
  CHECK(computations == 1);
  CHECK_FALSE(cache.contains(1));
  CHECK(cache.size() == 0);
  CHECK(cache.get_or_compute(1, [] { return 7; }) == 7);
  auto const stats = cache.stats();
  CHECK(stats.computations == 2);
  CHECK(stats.computations_failed == 1);
  CHECK(adds_up(stats));
}

TEST_CASE("C6: the caller's own exception passes through unchanged", "[C6]") {
  struct odd {
    int n;
  };
  int_cache<> cache(sized(10));
  for (int i = 0; i < 3; ++i) {
    try {
      cache.get_or_compute(1, [&]() -> int { throw odd{i}; });
      FAIL("nothing was thrown");
    } catch (odd const& e) {
      CHECK(e.n == i);
    }
  }
  CHECK(cache.stats().computations_failed == 3);
}

TEST_CASE("C6: the function may take the key or nothing, and a hit does not call it", "[C6]") {
  int_cache<> cache(sized(10));
  CHECK(cache.get_or_compute(3, [](int const& key) { return key + 1; }) == 4);
  CHECK(cache.get_or_compute(3, []() -> int { throw std::logic_error("called on a hit"); }) == 4);
  CHECK(cache.get_or_compute(5, [] { return 50; }) == 50);
}

TEST_CASE("C6: try_get_or_compute never throws what the function throws", "[C6]") {
  int_cache<> cache(sized(10));
  auto const failed = cache.try_get_or_compute(1, []() -> int { throw std::runtime_error("down"); });
  REQUIRE_FALSE(failed.has_value());
  CHECK(failed.code() == errc::computation_failed);
  REQUIRE(failed.error().cause != nullptr);
  try {
    std::rethrow_exception(failed.error().cause);
  } catch (std::runtime_error const& e) {
    CHECK(e.what() == std::string("down"));
  }
  auto const made = cache.try_get_or_compute(1, [](int const& key) { return key; });
  REQUIRE(made.has_value());
  CHECK(*made == 1);
  CHECK(*cache.try_get_or_compute(1, [] { return 99; }) == 1);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C6: a waiter of try_get_or_compute is told of the failure with its cause", "[C6]") {
  watchdog const dog("a try_ waiter");
  int_cache<> cache(sized(10));
  gate door;
  asking leader([&] {
    return cache.get_or_compute(1, [&]() -> int {
      door.pass();
      throw std::runtime_error("down");
    });
  });
  door.await_arrivals(1);
  std::error_code code;
  bool caused = false;
  asking waiter([&] {
    auto const result = cache.try_get_or_compute(1, [] { return 5; });
    code = result.code();
    caused = !result && result.error().cause != nullptr;
    return 0;
  });
  await_joined(cache, 1);
  door.open();
  CHECK(leader.got().thrown == "down");
  CHECK(waiter.got().is(0));
  CHECK(code == errc::computation_failed);
  CHECK(caused);
}

TEST_CASE("C6: expired entries are computed anew, by one", "[C6]") {
  manual_clock clock;
  int_cache<> cache(sized(10, 60s), clock);
  int computations = 0;
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 3; ++i) CHECK(cache.get_or_compute(1, [&] { return ++computations; }) == round + 1);
    clock.advance(60s);
  }
  CHECK(cache.stats().computations == 5);
}

TEST_CASE("C6: without threads everything but waiting works the same", "[C6]") {
  int_cache<tideover::single_threaded> cache(sized(10));
  CHECK(cache.get_or_compute(1, [] { return 1; }) == 1);
  CHECK(cache.get_or_compute(1, [] { return 2; }) == 1);
  CHECK_THROWS_AS(cache.get_or_compute(2, []() -> int { throw std::runtime_error("down"); }),
                  std::runtime_error);
  CHECK(cache.get_or_compute(2, [&] { return cache.get_or_compute(3, [] { return 30; }) + 1; }) == 31);
  CHECK(cache.get(3) == 30);
  CHECK(adds_up(cache.stats()));
}
