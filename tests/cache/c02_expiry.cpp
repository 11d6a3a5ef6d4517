// SPDX-License-Identifier: BSL-1.0
#include "cache/common.hpp"

#include <set>

TEMPLATE_TEST_CASE("C2: an expired entry is never returned, and expires at now == deadline", "[C2]",
                   tideover::single_threaded, tideover::one_mutex, tideover::sharded<>) {
  manual_clock clock;
  int_cache<TestType> cache(sized(10, 60s), clock);
  for (int key = 0; key < 6; ++key) cache.put(key, key);
  auto const visits = [&](int key) { return cache.visit(key, [](int const&) {}); };

  clock.advance(60s - 1ns);
  CHECK(cache.get(0) == 0);
  CHECK(cache.peek(1) == 1);
  CHECK(cache.contains(2));
  CHECK(visits(3));
  CHECK(cache.get_or_compute(4, [] { return -4; }) == 4);

  clock.advance(1ns);
  CHECK(cache.get(0) == std::nullopt);
  CHECK(cache.peek(1) == std::nullopt);
  CHECK_FALSE(cache.contains(2));
  CHECK_FALSE(visits(3));
  CHECK(cache.get_or_compute(4, [] { return -4; }) == -4);
  CHECK_FALSE(cache.erase(5));
}

TEST_CASE("C2: for_each and erase_if do not see expired entries", "[C2]") {
  manual_clock clock;
  int_cache<> cache(sized(10, 60s), clock);
  cache.put(1, 1, living(10s));
  cache.put(2, 2);
  clock.advance(10s);
  std::set<int> seen;
  cache.for_each([&](int const& key, int const&) { seen.insert(key); });
  CHECK(seen == std::set<int>{2});
  seen.clear();
  CHECK(cache.erase_if([&](int const& key, int const&) { return seen.insert(key).second; }) == 1);
  CHECK(seen == std::set<int>{2});
  CHECK_FALSE(cache.contains(2));
}

TEMPLATE_TEST_CASE("C2: what expires or leaves while for_each and erase_if go on is not shown, nor erased",
                   "[C2]", tideover::single_threaded, tideover::sharded<>) {
  manual_clock clock;
  int_cache<TestType> cache(sized(100), clock);
  auto const fill = [&] {
    for (int key = 0; key < 5; ++key) cache.put(key, key, living(10s));
  };
  int shown = 0;
  fill();
  SECTION("time passes") {
    cache.for_each([&](int const& key, int const&) {
      ++shown;
      CHECK(cache.contains(key));
      clock.advance(10s);
    });
    CHECK(shown == 1);
  }
  SECTION("all are erased, or disowned") {
    bool const disown = GENERATE(false, true);
    cache.for_each([&](int const& key, int const&) {
      ++shown;
      CHECK(cache.contains(key));
      if (disown) {
        cache.new_generation();
      } else {
        cache.clear();
      }
    });
    CHECK(shown == 1);
  }
  SECTION("the predicate takes its time") {
    CHECK(cache.erase_if([&](int const& key, int const&) {
      ++shown;
      CHECK(cache.contains(key));
      clock.advance(6s);
      return true;
    }) == 1);
    CHECK(shown == 2);  // and the second was expired when the answer came
    CHECK(cache.stats().erased == 1);
    CHECK(cache.maintain() == 4);
    CHECK(cache.stats().expired == 4);
  }
}

TEST_CASE("C2: a put may set the life of its own entry", "[C2]") {
  manual_clock clock;
  int_cache<> cache(sized(10, 60s), clock);
  CHECK(cache.put(1, 1, living(1ns)));
  CHECK(cache.put(2, 2, living(24h * 3650)));
  CHECK(cache.put(3, 3, living(std::chrono::nanoseconds::max())));
  CHECK(cache.put(4, 4, living(2min)));
  CHECK(cache.get(1) == 1);
  clock.advance(1ns);
  CHECK_FALSE(cache.get(1));
  clock.advance(2min - 2ns);
  CHECK(cache.get(4) == 4);
  clock.advance(1ns);
  CHECK_FALSE(cache.get(4));
  clock.advance(24h * 3649);
  CHECK(cache.get(2) == 2);
  clock.advance(24h);
  CHECK_FALSE(cache.get(2));
  clock.advance(24h * 90'000);  // 246 years
  CHECK(cache.get(3) == 3);
}

TEST_CASE("C2: a put with no life stores nothing and removes what was there", "[C2]") {
  int_cache<> cache(sized(10));
  for (auto const life :
       {std::chrono::nanoseconds(0), std::chrono::nanoseconds(-1), std::chrono::nanoseconds::min()}) {
    cache.put(1, 1);
    CHECK_FALSE(cache.put(1, 2, living(life)));
    CHECK_FALSE(cache.contains(1));
    CHECK_FALSE(cache.put(7, 7, living(life)));
    CHECK(cache.size() == 0);
  }
  CHECK(cache.stats().refused == 6);
  CHECK(cache.stats().erased == 3);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C2: replacing a value starts a new life", "[C2]") {
  manual_clock clock;
  int_cache<> cache(sized(10, 60s), clock);
  cache.put(1, 1);
  clock.advance(59s);
  cache.put(1, 2);
  clock.advance(59s);
  CHECK(cache.get(1) == 2);
  cache.put(1, 3, living(1s));
  clock.advance(1s);
  CHECK_FALSE(cache.get(1));
}

TEST_CASE("C2: a put over an expired entry inserts, and the old one left as expired", "[C2]") {
  manual_clock clock;
  int_cache<> cache(sized(10, 60s), clock);
  cache.put(1, 1);
  clock.advance(60s);
  cache.put(1, 2);
  CHECK(cache.get(1) == 2);
  CHECK(cache.stats().expired == 1);
  CHECK(cache.stats().inserted == 2);
  CHECK(cache.stats().replaced == 0);
}

TEST_CASE("C2: a computed value lives from the end of its computation", "[C2]") {
  manual_clock clock;
  int_cache<> cache(sized(10, 60s), clock);
  cache.get_or_compute(1, [&] { return clock.advance(50s), 1; });
  clock.advance(60s - 1ns);
  CHECK(cache.contains(1));
  clock.advance(1ns);
  CHECK_FALSE(cache.contains(1));
}

TEST_CASE("C2: with never nothing expires, but a put with no life still stores nothing", "[C2]") {
  manual_clock clock;
  int_cache<tideover::never> cache(sized(10, 1ns), clock);
  cache.put(1, 1);
  cache.put(2, 2, living(1ns));
  clock.advance(24h * 365);
  CHECK(cache.get(1) == 1);
  CHECK(cache.get(2) == 2);
  CHECK_FALSE(cache.put(2, 3, living(0ns)));
  CHECK_FALSE(cache.contains(2));
}

TEST_CASE("C2: jitter shortens each life by a share of its own, up to the one given", "[C2]") {
  manual_clock clock;
  tideover::ttl_cache_options options = sized(2000, 100s);
  options.ttl_jitter = 0.25;
  int_cache<tideover::single_threaded> cache(options, clock);
  for (int key = 0; key < 1000; ++key) cache.put(key, key);
  auto const living_now = [&] {
    int n = 0;
    cache.for_each([&](int const&, int const&) { ++n; });
    return n;
  };
  clock.advance(75s - 1ns);
  CHECK(living_now() == 1000);
  clock.advance(12500ms);
  int const halfway = living_now();
  CHECK(halfway > 400);
  CHECK(halfway < 600);
  clock.advance(12500ms + 1ns);
  CHECK(living_now() == 0);
}
