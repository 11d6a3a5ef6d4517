// SPDX-License-Identifier: BSL-1.0
#include "cache/common.hpp"
#include "support/event_log.hpp"

#include <algorithm>
#include <functional>
#include <vector>

namespace {

using log = event_log<int, int>;
using event = log::event;
using tideover::removal_cause;

template <class... Policies>
struct logged {
  explicit logged(tideover::ttl_cache_options options) : cache(options, clock, heard) {}
  manual_clock clock;
  log heard;
  int_cache<tideover::lru, log, Policies...> cache;
};

}  // namespace

TEMPLATE_TEST_CASE("C5: each removal is told exactly once, with the right cause", "[C5]",
                   tideover::single_threaded, tideover::one_mutex, tideover::sharded<>) {
  logged<TestType> t(sized(3, 60s));
  auto const only = [&](int key, int value, removal_cause cause) {
    return t.heard.take() == std::vector<event>{{key, value, cause}};
  };
  t.cache.put(1, 1), t.cache.put(2, 2), t.cache.put(3, 3);
  CHECK(t.heard.take().empty());
  t.cache.put(4, 4);
  CHECK(only(1, 1, removal_cause::evicted));
  t.cache.put(2, 22);
  CHECK(only(2, 2, removal_cause::replaced));
  CHECK(t.cache.erase(3));
  CHECK(only(3, 3, removal_cause::erased));
  CHECK_FALSE(t.cache.erase(3));
  CHECK(t.heard.take().empty());
  CHECK_FALSE(t.cache.put(4, 0, living(0s)));
  CHECK(only(4, 4, removal_cause::erased));
  t.clock.advance(60s);
  CHECK_FALSE(t.cache.get(2));
  CHECK(only(2, 22, removal_cause::expired));
  CHECK_FALSE(t.cache.get(2));
  CHECK(t.heard.take().empty());
  t.cache.put(7, 7);
  t.cache.clear();
  CHECK(only(7, 7, removal_cause::cleared));
  t.cache.clear();
  CHECK(t.heard.take().empty());
}

TEST_CASE("C5: what expired is told as expired, whoever frees it", "[C5]") {
  logged<> t(sized(3, 60s));
  auto const only_expired = [&](int key) {
    return t.heard.take() == std::vector<event>{{key, key, removal_cause::expired}};
  };
  auto const expire = [&](int key) {
    t.cache.put(key, key);
    t.heard.take();
    t.clock.advance(60s);
  };
  expire(1), t.cache.put(1, 2);
  CHECK(only_expired(1));
  t.cache.clear(), t.heard.take();
  expire(1), t.cache.erase(1);
  CHECK(only_expired(1));
  expire(1), t.cache.put(1, 1, living(0s));
  CHECK(only_expired(1));
  expire(1), t.cache.visit(1, [](int const&) {});
  CHECK(only_expired(1));
  expire(1), t.cache.get_or_compute(1, [] { return 9; });
  CHECK(only_expired(1));
  t.cache.clear(), t.heard.take();
  expire(1), t.clock.advance(10ms), t.cache.maintain();
  CHECK(only_expired(1));
}

TEST_CASE("C5: an entry that expired is not told as evicted", "[C5]") {
  // Expired entries are freed with a grain of about 1 ms, so one may still be there when somebody must make
  // room; that its time was up is the truth all the same.
  using cache_type = decltype(logged<>::cache);
  std::function<void(cache_type&)> make_room;
  SECTION("a put") {
    make_room = [](cache_type& cache) { cache.put(3, 3); };
  }
  SECTION("a computed value") {
    make_room = [](cache_type& cache) { cache.get_or_compute(3, [] { return 3; }); };
  }
  SECTION("a smaller capacity") {
    make_room = [](cache_type& cache) { cache.set_capacity(1); };
  }
  std::size_t wrong = 0;
  for (auto offset = 0us; offset < 2ms; offset += 330us) {
    for (std::chrono::nanoseconds const life : {1ns, 1000ns, 900'000ns, 3'000'000ns, 60'000'000'000ns}) {
      for (auto const late : {0us, 1us, 500us, 1100us, 5000us}) {
        logged<> t(sized(2, life));
        t.clock.advance(offset);
        t.cache.put(1, 1), t.cache.put(2, 2);
        t.clock.advance(life + late);
        make_room(t.cache);
        wrong += t.heard.count(removal_cause::evicted) + t.cache.stats().evicted;
      }
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("C5: peek, contains and for_each remove nothing, not even what expired", "[C5]") {
  logged<> t(sized(3, 60s));
  t.cache.put(1, 1);
  t.clock.advance(61s);
  CHECK_FALSE(t.cache.peek(1));
  CHECK_FALSE(t.cache.contains(1));
  t.cache.for_each([](int const&, int const&) {});
  CHECK(t.heard.count() == 0);
  CHECK(t.cache.size() == 1);
}

TEST_CASE("C5: erase_if, clear and set_capacity tell of each entry", "[C5]") {
  logged<> t(sized(10, 60s));
  for (int key = 0; key < 10; ++key) t.cache.put(key, key * 10);
  CHECK(t.cache.erase_if([](int const& key, int const&) { return key % 2 == 0; }) == 5);
  CHECK(t.heard.count(removal_cause::erased) == 5);
  t.cache.set_capacity(2);
  CHECK(t.heard.count(removal_cause::evicted) == 3);
  t.cache.clear();
  CHECK(t.heard.count(removal_cause::cleared) == 2);
  auto all = t.heard.take();
  CHECK(all.size() == 10);
  std::sort(all.begin(), all.end(), [](event const& a, event const& b) { return a.key < b.key; });
  for (int key = 0; key < 10; ++key) {
    CHECK(all[std::size_t(key)].key == key);
    CHECK(all[std::size_t(key)].value == key * 10);
  }
}

TEST_CASE("C5: a computed value that takes the place of another is told of as any put", "[C5]") {
  logged<> t(sized(1, 60s));
  t.cache.put(1, 1);
  t.cache.get_or_compute(2, [] { return 2; });
  CHECK(t.heard.take() == std::vector<event>{{1, 1, removal_cause::evicted}});
}
