// SPDX-License-Identifier: BSL-1.0
#include "cache/computing.hpp"

#include <functional>

TEMPLATE_TEST_CASE("C6: while one key is computed, 10,000 operations on other keys of its shard finish",
                   "[C6]", tideover::one_mutex, tideover::sharded<1>, tideover::sharded<>) {
  watchdog const dog("operations beside a blocked computation");
  int_cache<TestType> cache(sized(100));  // so small that there is one shard
  gate door;
  asking leader([&] { return cache.get_or_compute(0, [&] { return door.pass(), 10; }); });
  door.await_arrivals(1);
  int done = 0;
  for (int i = 0; i < 10'000; ++i) {
    int const key = 1 + i % 150;
    switch (i % 10) {
      case 0:
      case 1:
        cache.put(key, i);
        break;
      case 2:
        cache.get(key);
        break;
      case 3:
        cache.get_or_compute(key, [i] { return i; });
        break;
      case 4:
        cache.visit(key, [](int const&) {});
        break;
      case 5:
        cache.erase(key);
        break;
      case 6:
        cache.peek(key), cache.contains(0), cache.size();
        break;
      case 7:
        cache.erase_if([&](int const& k, int const&) { return k == key; });
        break;
      case 8:
        cache.for_each([](int const&, int const&) {});
        break;
      default:
        cache.maintain(), cache.stats();
        break;
    }
    ++done;
  }
  CHECK(done == 10'000);
  CHECK_FALSE(cache.get(0));  // of the very key, a read does not wait either
  CHECK(door.arrivals() == 1);
  door.open();
  CHECK(leader.got().is(10));
  CHECK(cache.stats().discarded == 0);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C6: a computation may use the cache, and compute other keys in turn", "[C6]") {
  watchdog const dog("nested computations");
  int_cache<tideover::one_mutex> cache(sized(100));
  std::function<int(int const&)> const fibonacci = [&](int const& n) {
    return n < 2 ? n : cache.get_or_compute(n - 1, fibonacci) + cache.get_or_compute(n - 2, fibonacci);
  };
  CHECK(cache.get_or_compute(30, fibonacci) == 832'040);
  CHECK(cache.stats().computations == 31);
  CHECK(cache.get(29) == 514'229);
}

TEST_CASE("C6: two computations at once, one of which waits for the other, both end", "[C6]") {
  watchdog const dog("a computation that waits for another thread's");
  int_cache<tideover::one_mutex> cache(sized(100));
  gate door;
  asking two([&] { return cache.get_or_compute(2, [&] { return door.pass(), 20; }); });
  door.await_arrivals(1);
  asking one([&] {
    return cache.get_or_compute(1, [&] { return cache.get_or_compute(2, [] { return -1; }) + 1; });
  });
  await_joined(cache, 1);
  door.open();
  CHECK(two.got().is(20));
  CHECK(one.got().is(21));
}
