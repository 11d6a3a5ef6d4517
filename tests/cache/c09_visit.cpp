// SPDX-License-Identifier: BSL-1.0
#include "cache/computing.hpp"
#include "support/counted.hpp"

#include <stdexcept>

namespace {

using cache_type = tideover::ttl_cache<int, counted, manual_clock, tideover::lru, tideover::one_mutex>;

/// `meanwhile()` happens while key 1, whose value is 10, is visited; its value must not notice.
template <class F>
void pin_during(cache_type& cache, F meanwhile) {
  cache.put(1, counted(10));
  counted const* seen = nullptr;
  CHECK(cache.visit(1, [&](counted const& value) {
    seen = &value;
    meanwhile();
    CHECK(value.id() == 10);
    CHECK(&value == seen);
  }));
}

}  // namespace

TEST_CASE("C9: visit pins the entry: its value lives, unchanged, until the visitor returns", "[C9]") {
  watchdog const dog("changes during a visit");
  long const alive = counted::live();
  {
    manual_clock clock;
    cache_type cache(sized(3, 60s), clock);
    pin_during(cache, [&] { CHECK(cache.erase(1)); });
    CHECK_FALSE(cache.contains(1));
    CHECK(counted::live() == alive);

    pin_during(cache, [&] { cache.put(1, counted(11)); });
    CHECK(cache.get(1)->id() == 11);
    CHECK(counted::live() == alive + 1);

    pin_during(cache, [&] { cache.clear(); });
    CHECK(counted::live() == alive);

    pin_during(cache, [&] {
      for (int key = 100; key < 120; ++key) cache.put(key, counted(key));
      CHECK_FALSE(cache.contains(1));
    });
    CHECK(counted::live() == alive + 3);

    cache.clear();
    pin_during(cache, [&] {
      clock.advance(1h);
      CHECK(cache.maintain() == 1);
      CHECK(cache.size() == 0);
    });
    CHECK(counted::live() == alive);

    pin_during(cache, [&] {
      clock.advance(1h);
      CHECK_FALSE(cache.get(1));
      cache.put(1, counted(12));
      cache.put(1, counted(13));
      cache.erase(1);
    });
    CHECK(counted::live() == alive);
    CHECK(adds_up(cache.stats()));
  }
  CHECK(counted::live() == alive);
}

TEST_CASE("C9: an entry may be visited within its own visit, and by several threads at once", "[C9]") {
  watchdog const dog("visits at once");
  cache_type cache(sized(3));
  cache.put(1, counted(10));
  gate door;
  asking other([&] {
    int id = 0;
    cache.visit(1, [&](counted const& value) { door.pass(), id = value.id(); });
    return id;
  });
  door.await_arrivals(1);
  bool inner = false;
  CHECK(cache.visit(1, [&](counted const&) { inner = cache.visit(1, [](counted const&) {}); }));
  CHECK(inner);
  long const alive = counted::live();
  cache.erase(1);
  CHECK(counted::live() == alive);  // the other thread still looks at it
  door.open();
  CHECK(other.got().is(10));
  CHECK(counted::live() == alive - 1);
}

TEST_CASE("C9: no lock is held while a visitor runs", "[C9]") {
  watchdog const dog("another thread during a visit");
  cache_type cache(sized(3));
  cache.put(1, counted(10));
  CHECK(cache.visit(1, [&](counted const&) {
    asking other([&] {
      cache.put(1, counted(1)), cache.put(2, counted(2)), cache.get(1), cache.erase(1), cache.clear();
      return cache.get_or_compute(1, [] { return counted(3); }).id();
    });
    CHECK(other.got().is(3));
  }));
}

TEST_CASE("C9: what a visitor throws passes through, and the entry is let go", "[C9]") {
  long const alive = counted::live();
  cache_type cache(sized(3));
  cache.put(1, counted(10));
  CHECK_THROWS_AS(cache.visit(1, [](counted const&) { throw std::runtime_error("of the visitor"); }),
                  std::runtime_error);
  CHECK(cache.contains(1));
  CHECK(cache.erase(1));
  CHECK(counted::live() == alive);
}

TEST_CASE("C9: visit makes no copy, get makes one", "[C9]") {
  cache_type cache(sized(3));
  cache.put(1, counted(10));
  counted::forget();
  cache.visit(1, [](counted const&) {});
  cache.contains(1);
  CHECK(counted::copies() == 0);
  cache.get(1);
  CHECK(counted::copies() == 1);
  cache.put(2, counted(20));
  CHECK(counted::copies() == 1);
}

TEST_CASE("C9: for_each and erase_if hold no lock either: their functions may call the cache", "[C9]") {
  watchdog const dog("calls within for_each");
  cache_type cache(sized(100));
  for (int key = 0; key < 50; ++key) cache.put(key, counted(key));
  int seen = 0;
  cache.for_each([&](int const& key, counted const& value) {
    CHECK(value.id() == key);
    ++seen;
    cache.erase(key);
    cache.put(key + 1000, counted(key + 1000));
    CHECK(value.id() == key);
    if (seen > 10'000) throw std::runtime_error("for_each does not end");
  });
  CHECK(seen >= 50);
  cache.clear();
  for (int key = 0; key < 50; ++key) cache.put(key, counted(key));
  // Each predicate erases its entry itself: then erase_if has nothing left to erase.
  CHECK(cache.erase_if([&](int const& key, counted const&) { return cache.erase(key); }) == 0);
  CHECK(cache.size() == 0);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C9: a plain value too stays as it is under its visitor, whatever is put meanwhile", "[C9]") {
  tideover::ttl_cache<int, int, tideover::one_mutex> cache({});
  cache.put(1, 10);
  cache.visit(1, [&](int const& value) {
    CHECK(cache.put(1, 20));
    CHECK(value == 10);
    CHECK(cache.get(1) == 20);
  });
  CHECK(cache.get(1) == 20);
}
