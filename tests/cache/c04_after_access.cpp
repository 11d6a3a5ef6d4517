// SPDX-License-Identifier: BSL-1.0
#include "cache/common.hpp"

using sessions = int_cache<tideover::after_access>;

TEST_CASE("C4: with after_access a read prolongs the life, and looking does not", "[C4]") {
  manual_clock clock;
  sessions cache(sized(10, 60s), clock);
  for (int key = 0; key < 6; ++key) cache.put(key, key);
  clock.advance(40s);
  cache.get(0);
  cache.visit(1, [](int const&) {});
  cache.get_or_compute(2, [] { return -1; });
  cache.peek(3);
  cache.contains(4);
  cache.for_each([](int const&, int const&) {});
  clock.advance(20s);
  CHECK(cache.contains(0));
  CHECK(cache.contains(1));
  CHECK(cache.contains(2));
  CHECK_FALSE(cache.contains(3));
  CHECK_FALSE(cache.contains(4));
  CHECK_FALSE(cache.contains(5));
  clock.advance(40s - 1ns);
  CHECK(cache.contains(0));
  clock.advance(1ns);
  CHECK_FALSE(cache.contains(0));
}

TEST_CASE("C4: after_access never revives an entry that has expired", "[C4]") {
  manual_clock clock;
  sessions cache(sized(10, 60s), clock);
  for (int key = 0; key < 4; ++key) cache.put(key, key);
  clock.advance(60s);  // exactly at the deadline
  CHECK_FALSE(cache.get(0));
  CHECK_FALSE(cache.get(0));
  CHECK_FALSE(cache.visit(1, [](int const&) {}));
  CHECK_FALSE(cache.contains(1));
  CHECK(cache.get_or_compute(2, [] { return 20; }) == 20);
  clock.advance(1ns);
  CHECK_FALSE(cache.get(3));
  CHECK(cache.get(2) == 20);
}

TEST_CASE("C4: a read renews the entry's own life, not the default one", "[C4]") {
  manual_clock clock;
  sessions cache(sized(10, 60s), clock);
  cache.put(1, 1, living(1s));
  cache.put(2, 2, living(1h));
  clock.advance(999ms);
  CHECK(cache.get(1) == 1);
  CHECK(cache.get(2) == 2);
  clock.advance(999ms);
  CHECK(cache.get(1) == 1);
  clock.advance(1s);
  CHECK_FALSE(cache.get(1));
  clock.advance(50min);
  CHECK(cache.get(2) == 2);
}

TEST_CASE("C4: an entry kept alive by reads is not freed by maintain, and is freed after the last", "[C4]") {
  manual_clock clock;
  sessions cache(sized(10, 100ms), clock);
  cache.put(1, 1);
  for (int i = 0; i < 1000; ++i) {
    clock.advance(99ms);
    REQUIRE(cache.get(1) == 1);
    REQUIRE(cache.maintain() == 0);
  }
  clock.advance(103ms);
  CHECK(cache.maintain() == 1);
  CHECK(cache.size() == 0);
}
