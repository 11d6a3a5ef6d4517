// SPDX-License-Identifier: BSL-1.0
#include "cache/common.hpp"
#include "support/allocation_counter.hpp"

#include <string>

TEMPLATE_TEST_CASE("reads allocate nothing, hit or miss", "[cost]", tideover::single_threaded,
                   tideover::one_mutex, tideover::sharded<>) {
  REQUIRE(allocation_counter::works());
  manual_clock clock;
  tideover::ttl_cache<int, std::string, manual_clock, TestType> cache(sized(1000, 60s), clock);
  for (int key = 0; key < 100; ++key) cache.put(key, std::string(100, 'x'));
  tideover::ttl_cache<int, int, manual_clock, TestType> numbers(sized(1000, 60s), clock);
  for (int key = 0; key < 100; ++key) numbers.put(key, key);
  std::size_t seen = 0;
  allocation_counter const counter;
  for (int key = 0; key < 200; ++key) {
    seen += numbers.get(key).has_value() ? 1u : 0u;
    seen += numbers.peek(key).has_value() ? 1u : 0u;
    seen += cache.contains(key) ? 1u : 0u;
    cache.visit(key, [&](std::string const& value) { seen += value.size(); });
  }
  for (int key = 0; key < 100; ++key)
    seen += std::size_t(numbers.get_or_compute(key, [] { return -1; }) - key);
  for (int key = 0; key < 50; ++key) seen += cache.erase(key) ? 1u : 0u;
  clock.advance(60s);
  for (int key = 50; key < 100; ++key) seen += numbers.get(key).has_value() ? 1u : 0u;
  cache.maintain();
  std::size_t const allocations = counter.allocations();
  CHECK(allocations == 0);
  CHECK(seen == 300 + 100 * 100 + 50);
}

TEMPLATE_TEST_CASE("a put allocates at most once while growing, and nothing when the cache is full", "[cost]",
                   tideover::single_threaded, tideover::one_mutex, tideover::sharded<>) {
  tideover::ttl_cache<int, int, manual_clock, TestType> cache(sized(500));
  std::size_t most = 0;
  for (int key = 0; key < 500; ++key) {
    allocation_counter const counter;
    cache.put(key, key);
    most = counter.allocations() > most ? counter.allocations() : most;
  }
  CHECK(most <= 1);
  allocation_counter const counter;
  for (int key = 0; key < 5000; ++key) cache.put(key, key);
  std::size_t const allocations = counter.allocations();
  CHECK(allocations == 0);
  CHECK(cache.stats().evicted > 0);
}
