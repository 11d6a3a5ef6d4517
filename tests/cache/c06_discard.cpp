// SPDX-License-Identifier: BSL-1.0
#include "cache/computing.hpp"

#include <functional>

namespace {

template <class Locking>
struct running {
  using cache_type = int_cache<Locking>;

  cache_type cache{sized(10)};

  /// Computes key 1 to be 10, with `meanwhile` happening before the function returns.
  int compute(std::function<void(cache_type&)> const& meanwhile) {
    return cache.get_or_compute(1, [&] {
      meanwhile(cache);
      return 10;
    });
  }
};

}  // namespace

TEMPLATE_TEST_CASE(
    "C6: erase, put and clear during a computation win: its result is delivered and not stored", "[C6]",
    tideover::single_threaded, tideover::one_mutex, tideover::sharded<>) {
  running<TestType> t;
  using cache_type = typename running<TestType>::cache_type;
  SECTION("erase") {
    CHECK(t.compute([](cache_type& c) { CHECK_FALSE(c.erase(1)); }) == 10);
    CHECK_FALSE(t.cache.contains(1));
    CHECK(t.cache.stats().discarded == 1);
  }
  SECTION("put") {
    CHECK(t.compute([](cache_type& c) { CHECK(c.put(1, 77)); }) == 10);
    CHECK(t.cache.get(1) == 77);
    CHECK(t.cache.stats().discarded == 1);
    CHECK(t.cache.stats().replaced == 0);
  }
  SECTION("a put that is erased again") {
    CHECK(t.compute([](cache_type& c) { c.put(1, 77), c.erase(1); }) == 10);
    CHECK_FALSE(t.cache.contains(1));
    CHECK(t.cache.stats().discarded == 1);
  }
  SECTION("a put without life") {
    CHECK(t.compute([](cache_type& c) { CHECK_FALSE(c.put(1, 77, living(0s))); }) == 10);
    CHECK_FALSE(t.cache.contains(1));
    CHECK(t.cache.stats().discarded == 1);
  }
  SECTION("clear") {
    CHECK(t.compute([](cache_type& c) { c.clear(); }) == 10);
    CHECK_FALSE(t.cache.contains(1));
    CHECK(t.cache.stats().discarded == 1);
  }
  SECTION("reads and what happens to other keys do not") {
    CHECK(t.compute([](cache_type& c) {
      c.get(1), c.peek(1), c.contains(1), c.visit(1, [](int const&) {});
      c.put(2, 2), c.erase(2), c.erase(3), c.maintain(), c.set_capacity(5);
      c.get_or_compute(4, [] { return 4; });
    }) == 10);
    CHECK(t.cache.get(1) == 10);
    CHECK(t.cache.stats().discarded == 0);
  }
  CHECK(adds_up(t.cache.stats()));
}

TEST_CASE("C6: whoever asks after an erase computes anew, and does not join what began before it", "[C6]") {
  watchdog const dog("a computation after an erase");
  int_cache<tideover::one_mutex> cache(sized(10));
  gate old_door;
  asking old_caller([&] { return cache.get_or_compute(1, [&] { return old_door.pass(), 1; }); });
  old_door.await_arrivals(1);
  asking old_waiter([&] { return cache.get_or_compute(1, [] { return -1; }); });
  await_joined(cache, 1);

  SECTION("the new one ends first") {
    cache.erase(1);
    CHECK(cache.get_or_compute(1, [] { return 2; }) == 2);
    old_door.open();
    CHECK(old_caller.got().is(1));
    CHECK(old_waiter.got().is(1));
  }
  SECTION("the old one ends first, and leaves the new one alone") {
    cache.clear();
    gate new_door;
    asking new_caller([&] { return cache.get_or_compute(1, [&] { return new_door.pass(), 2; }); });
    new_door.await_arrivals(1);
    old_door.open();
    CHECK(old_caller.got().is(1));
    CHECK(old_waiter.got().is(1));
    CHECK_FALSE(cache.contains(1));
    asking new_waiter([&] { return cache.get_or_compute(1, [] { return -1; }); });
    await_joined(cache, 2);
    new_door.open();
    CHECK(new_caller.got().is(2));
    CHECK(new_waiter.got().is(2));
  }
  CHECK(cache.get(1) == 2);
  CHECK(cache.stats().computations == 2);
  CHECK(cache.stats().discarded == 1);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C6: a put while others wait for a computation gives the later callers its value at once", "[C6]") {
  watchdog const dog("a put over a computation");
  int_cache<tideover::one_mutex> cache(sized(10));
  gate door;
  asking leader([&] { return cache.get_or_compute(1, [&] { return door.pass(), 1; }); });
  door.await_arrivals(1);
  cache.put(1, 5);
  CHECK(cache.get_or_compute(1, [] { return -1; }) == 5);
  CHECK(cache.get(1) == 5);
  door.open();
  CHECK(leader.got().is(1));
  CHECK(cache.get(1) == 5);
}

TEST_CASE("C6: a put that is evicted again still wins over the computation", "[C6]") {
  int_cache<tideover::one_mutex> cache(sized(1));
  CHECK(cache.get_or_compute(1, [&] {
    cache.put(1, 5);
    cache.put(2, 6);
    return 1;
  }) == 1);
  CHECK_FALSE(cache.contains(1));
  CHECK(cache.get(2) == 6);
  CHECK(cache.stats().discarded == 1);
}

TEST_CASE("C6: a failed computation that lost its key to a put takes nothing away", "[C6]") {
  int_cache<> cache(sized(10));
  auto const got = answer_of([&] {
    return cache.get_or_compute(1, [&]() -> int {
      cache.put(1, 5);
      throw std::runtime_error("down");
    });
  });
  CHECK(got.thrown == "down");
  CHECK(cache.get(1) == 5);
}

TEST_CASE("C6: erase_if that would erase the result takes only what is there", "[C6]") {
  // Nothing is said of a key that has no value yet, so the computation may store its result.
  int_cache<> cache(sized(10));
  CHECK(cache.get_or_compute(1, [&] {
    CHECK(cache.erase_if([](int const&, int const&) { return true; }) == 0);
    return 10;
  }) == 10);
  CHECK(adds_up(cache.stats()));
}
