// SPDX-License-Identifier: BSL-1.0
#include "cache/listening.hpp"
#include "support/watchdog.hpp"

#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace {

template <class Locking>
struct listened {
  explicit listened(std::size_t capacity) : cache(sized(capacity), clock, listener) {}
  manual_clock clock;
  scripted listener;
  int_cache<scripted, Locking> cache;
};

}  // namespace

TEMPLATE_TEST_CASE("C5: the listener is told after the change is visible", "[C5]", tideover::single_threaded,
                   tideover::one_mutex, tideover::sharded<>) {
  listened<TestType> t(2);
  std::vector<std::pair<removal_cause, std::optional<int>>> seen;
  t.listener.play([&](int key, int, removal_cause cause) { seen.emplace_back(cause, t.cache.peek(key)); });
  t.cache.put(1, 1);
  t.cache.put(1, 2);
  t.cache.erase(1);
  t.cache.put(1, 1), t.cache.put(2, 2), t.cache.put(3, 3);
  t.cache.clear();
  REQUIRE(seen.size() == 5);
  CHECK(seen[0] == std::pair(removal_cause::replaced, std::optional(2)));
  CHECK(seen[1].second == std::nullopt);
  CHECK(seen[2] == std::pair(removal_cause::evicted, std::optional<int>()));
  CHECK(seen[3].second == std::nullopt);
  CHECK(seen[4].second == std::nullopt);
}

TEMPLATE_TEST_CASE("C5: a listener may call the cache", "[C5]", tideover::single_threaded,
                   tideover::one_mutex, tideover::sharded<>) {
  watchdog const dog("a listener that calls the cache");
  listened<TestType> t(3);
  int calls = 0;
  t.listener.play([&](int key, int value, removal_cause cause) {
    ++calls;
    t.cache.get(key);
    t.cache.contains(key);
    t.cache.visit(2, [](int const&) {});
    if (cause == removal_cause::erased && key < 10) t.cache.put(key + 10, value);
    if (cause == removal_cause::replaced) t.cache.erase(key);
    if (cause == removal_cause::evicted) t.cache.get_or_compute(1000, [] { return 1; });
    t.cache.size(), t.cache.stats(), t.cache.maintain();
  });
  t.cache.put(1, 1);
  t.cache.erase(1);
  CHECK(t.cache.peek(11) == 1);
  t.cache.put(2, 2);
  t.cache.put(2, 3);  // the listener erases the new value, and is told of that too, and puts it elsewhere
  CHECK_FALSE(t.cache.contains(2));
  CHECK(t.cache.peek(12) == 3);
  CHECK(calls == 3);
  for (int key = 20; key < 40; ++key) t.cache.put(key, key);
  CHECK(t.cache.size() <= 3);
  t.cache.clear();
  CHECK(t.cache.size() == 0);
  CHECK(adds_up(t.cache.stats()));
  CHECK(t.cache.stats().listener_failures == 0);
}

TEST_CASE("C5: a listener that puts back what is cleared does not keep clear from ending", "[C5]") {
  watchdog const dog("clear with a listener that puts back");
  listened<tideover::one_mutex> t(10);
  for (int key = 0; key < 5; ++key) t.cache.put(key, key);
  t.listener.play([&](int key, int value, removal_cause cause) {
    if (cause == removal_cause::cleared) t.cache.put(key + 100, value);
  });
  t.cache.clear();
  for (int key = 0; key < 5; ++key) CHECK_FALSE(t.cache.contains(key));
  CHECK(adds_up(t.cache.stats()));
}

TEMPLATE_TEST_CASE("C5: what a listener throws is swallowed and counted", "[C5]", tideover::single_threaded,
                   tideover::sharded<>) {
  listened<TestType> t(2);
  t.listener.play([](int, int value, removal_cause) {
    if (value % 2 == 0) throw std::runtime_error("of the listener");
    throw 42;
  });
  CHECK(t.cache.put(1, 1));
  CHECK(t.cache.put(1, 2));
  CHECK(t.cache.put(2, 3));
  CHECK(t.cache.put(3, 4));
  CHECK(t.cache.erase(3));
  t.cache.clear();
  CHECK(t.cache.size() == 0);
  auto const stats = t.cache.stats();
  CHECK(stats.listener_failures == 4);
  CHECK(stats.replaced + stats.evicted + stats.erased + stats.cleared == 4);
  CHECK(adds_up(stats));
}

TEST_CASE("C5: no lock is held while the listener runs: another thread works on the same shard", "[C5]") {
  watchdog const dog("another thread during the listener");
  listened<tideover::one_mutex> t(2);
  bool other_done = false;
  bool inside = false;
  t.listener.play([&](int, int, removal_cause) {
    if (std::exchange(inside, true)) return;
    std::thread([&] {
      t.cache.put(1, 100);
      t.cache.get(1), t.cache.peek(2), t.cache.erase(2), t.cache.size(), t.cache.stats();
      t.cache.get_or_compute(5, [] { return 5; });
      t.cache.for_each([](int const&, int const&) {});
      t.cache.erase_if([](int const&, int const&) { return false; });
      t.cache.maintain(), t.cache.set_capacity(7);
      other_done = true;
    }).join();
  });
  SECTION("put") { t.cache.put(1, 1), t.cache.put(1, 2); }
  SECTION("evict") { t.cache.put(1, 1), t.cache.put(2, 2), t.cache.put(3, 3); }
  SECTION("erase") { t.cache.put(1, 1), t.cache.erase(1); }
  SECTION("clear") { t.cache.put(1, 1), t.cache.clear(); }
  SECTION("erase_if") {
    t.cache.put(1, 1);
    t.cache.erase_if([](int const&, int const&) { return true; });
  }
  SECTION("set_capacity") { t.cache.put(1, 1), t.cache.put(2, 2), t.cache.set_capacity(1); }
  SECTION("get of an expired entry") { t.cache.put(1, 1), t.clock.advance(1h), t.cache.get(1); }
  SECTION("maintain") { t.cache.put(1, 1), t.clock.advance(1h), t.cache.maintain(); }
  SECTION("get_or_compute") {
    t.cache.put(1, 1), t.cache.put(2, 2);
    t.cache.get_or_compute(3, [] { return 3; });
  }
  CHECK(other_done);
}
