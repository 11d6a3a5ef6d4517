// SPDX-License-Identifier: BSL-1.0
#include "cache/common.hpp"

#include <tideover/policy/expiry/after_write_or_access.hpp>

namespace {

using sessions = int_cache<tideover::after_write_or_access>;

tideover::ttl_cache_options limits(std::chrono::nanoseconds ttl, std::chrono::nanoseconds idle) {
  tideover::ttl_cache_options options = sized(2000, ttl);
  options.idle_ttl = idle;
  return options;
}

}  // namespace

TEST_CASE("C4: with after_write_or_access the earlier of the two lives ends an entry", "[C4]") {
  manual_clock clock;
  sessions cache(limits(60s, 20s), clock);
  for (int key = 0; key < 5; ++key) cache.put(key, key);
  clock.advance(20s - 1ns);
  CHECK(cache.get(0) == 0);
  CHECK(cache.visit(1, [](int const&) {}));
  CHECK(cache.get_or_compute(2, [] { return -1; }) == 2);
  CHECK(cache.peek(3) == 3);  // looking does not count
  clock.advance(1ns);
  CHECK_FALSE(cache.contains(3));
  CHECK_FALSE(cache.contains(4));
  for (int i = 0; i < 2; ++i) {
    clock.advance(19s);
    for (int key = 0; key < 3; ++key) CHECK(cache.get(key) == key);
  }
  CHECK(cache.remaining_life(0) == 2s);  // 58 s old and just used: the write is what ends it
  clock.advance(2s - 1ns);
  CHECK(cache.get(0) == 0);
  clock.advance(1ns);
  for (int key = 0; key < 3; ++key) CHECK_FALSE(cache.get(key));
}

TEST_CASE("C4: after_write_or_access never revives an entry that has expired", "[C4]") {
  manual_clock clock;
  sessions cache(limits(60s, 20s), clock);
  cache.put(1, 1), cache.put(2, 2);
  clock.advance(20s);  // exactly at the deadline
  CHECK_FALSE(cache.get(1));
  CHECK_FALSE(cache.get(1));
  CHECK_FALSE(cache.visit(2, [](int const&) {}));
  CHECK(cache.get_or_compute(2, [] { return 20; }) == 20);
  CHECK(cache.stats().expired == 2);
}

TEST_CASE("C4: with after_write_or_access a write begins both lives anew", "[C4]") {
  manual_clock clock;
  sessions cache(limits(60s, 20s), clock);
  cache.put(1, 1);
  for (int i = 0; i < 5; ++i) clock.advance(10s), cache.get(1);
  cache.put(1, 2);
  CHECK(cache.remaining_life(1) == 20s);
  for (int i = 0; i < 5; ++i) clock.advance(10s), cache.get(1);
  CHECK(cache.remaining_life(1) == 10s);
}

TEST_CASE("C4: with after_write_or_access a put's own life stands for the first", "[C4]") {
  manual_clock clock;
  sessions cache(limits(60s, 20s), clock);
  cache.put(1, 1, living(5s));
  cache.put(2, 2, living(std::chrono::nanoseconds::max()));
  CHECK(cache.remaining_life(1) == 5s);
  cache.get(1);
  CHECK(cache.remaining_life(1) == 5s);
  for (int i = 0; i < 100; ++i) {
    clock.advance(19s);
    REQUIRE(cache.get(2) == 2);
  }
  clock.advance(20s);
  CHECK_FALSE(cache.get(2));
}

TEST_CASE("C3: with after_write_or_access maintain frees both kinds, each in its time", "[C3]") {
  manual_clock clock;
  sessions cache(limits(60s, 20s), clock);
  for (int key = 0; key < 1000; ++key) cache.put(key, key);
  for (int i = 0; i < 5; ++i) {
    clock.advance(11s);
    for (int key = 0; key < 100; ++key) REQUIRE(cache.get(key) == key);
    cache.maintain();
  }
  CHECK(cache.size() == 100);
  clock.advance(5s - 1ns);
  CHECK(cache.maintain() == 0);
  clock.advance(1050us);
  CHECK(cache.maintain() == 100);
}

TEST_CASE("C4: with after_write_or_access jitter shortens both lives", "[C4]") {
  for (bool const idle : {true, false}) {
    manual_clock clock;
    auto options = idle ? limits(1000s, 100s) : limits(100s, 1000s);
    options.ttl_jitter = 0.25;
    sessions cache(options, clock);
    for (int key = 0; key < 1000; ++key) cache.put(key, key);
    clock.advance(75s - 1ns);
    std::size_t left = 0;
    cache.for_each([&](int const&, int const&) { ++left; });
    CHECK(left == 1000);
    clock.advance(12500ms);
    left = 0;
    cache.for_each([&](int const&, int const&) { ++left; });
    CHECK(left > 400);
    CHECK(left < 600);
    clock.advance(12500ms + 1ns);
    CHECK_FALSE(cache.contains(7));
    cache.maintain();
    clock.advance(2ms);
    CHECK(cache.maintain() + cache.stats().expired == 1000);
  }
}
