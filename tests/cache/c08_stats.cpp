// SPDX-License-Identifier: BSL-1.0
#include "cache/common.hpp"

#include <stdexcept>

TEMPLATE_TEST_CASE("C8: stats() adds up, and each number is what happened", "[C8]", tideover::single_threaded,
                   tideover::one_mutex, tideover::sharded<>) {
  manual_clock clock;
  int_cache<tideover::lru, TestType> cache(sized(3, 60s), clock);
  CHECK(adds_up(cache.stats()));

  cache.put(1, 1), cache.put(2, 2), cache.put(3, 3);  // three inserted
  cache.put(1, 10);                                   // replaced
  cache.put(4, 4);                                    // evicts 2
  cache.put(5, 5, living(0s));                        // refused
  cache.put(3, 0, living(-1s));                       // refused, erases 3
  cache.get(1), cache.get(2);                         // a hit, a miss
  cache.visit(4, [](int const&) {}), cache.visit(9, [](int const&) {});
  cache.peek(1), cache.peek(9), cache.contains(1), cache.contains(9);
  cache.get_or_compute(4, [] { return 0; });
  cache.get_or_compute(6, [] { return 6; });
  CHECK_THROWS_AS(cache.get_or_compute(7, []() -> int { throw std::runtime_error(""); }), std::runtime_error);
  cache.erase(6), cache.erase(6);

  auto s = cache.stats();
  CHECK(s.gets == 7);
  CHECK(s.hits == 3);
  CHECK(s.misses == 4);
  CHECK(s.puts == 8);
  CHECK(s.inserted == 5);
  CHECK(s.replaced == 1);
  CHECK(s.refused == 2);
  CHECK(s.evicted == 1);
  CHECK(s.erased == 2);
  CHECK(s.expired == 0);
  CHECK(s.resident == 2);
  CHECK(s.weight == 2);
  CHECK(s.computations == 2);
  CHECK(s.computations_failed == 1);
  CHECK(s.coalesced + s.discarded + s.waits_ended + s.recursions + s.listener_failures == 0);
  CHECK(adds_up(s));

  clock.advance(60s);
  CHECK(cache.stats().resident == 2);  // expired, and not freed yet
  cache.get(1);
  CHECK(cache.stats().expired == 1);
  cache.put(8, 8);
  cache.clear();
  s = cache.stats();
  CHECK(s.expired == 2);
  CHECK(s.cleared == 1);
  CHECK(s.resident == 0);
  CHECK(adds_up(s));
}

TEST_CASE("C8: size, weight, resident and what for_each sees agree", "[C8]") {
  int_cache<tideover::sharded<16>> cache(sized(10'000));
  for (int key = 0; key < 20'000; ++key) cache.put(key % 15'000, key);
  std::size_t seen = 0;
  cache.for_each([&](int const&, int const&) { ++seen; });
  CHECK(seen == cache.size());
  CHECK(cache.stats().resident == seen);
  CHECK(cache.weight() == seen);
  CHECK(adds_up(cache.stats()));
}
