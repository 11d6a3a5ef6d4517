// SPDX-License-Identifier: BSL-1.0
#include "cache/common.hpp"
#include "support/allocation_counter.hpp"
#include "support/bombing_allocator.hpp"

#include <tideover/policy/allocator.hpp>

#include <new>
#include <string>

namespace {

using allocator = tideover::allocate_with<bombing_allocator<std::byte>>;
using bombed_cache = tideover::ttl_cache<int, std::string, manual_clock, tideover::lru, allocator>;

}  // namespace

TEST_CASE("C7: with an allocator that fails at the n-th allocation each put is stored or changes nothing",
          "[C7]") {
  long failures = 0;
  for (long fuse = 0; fuse < 200; ++fuse) {
    bomb shared;
    shared.fuse = fuse;
    try {
      bombed_cache cache(sized(50), allocator(bombing_allocator<std::byte>(shared)));
      for (int key = 0; key < 100; ++key) {
        std::size_t const before = cache.size();
        bool stored = false;
        try {
          stored = cache.put(key, "value");
          cache.get_or_compute(key + 1000, [] { return std::string("computed"); });
        } catch (std::bad_alloc const&) {
        }
        REQUIRE(cache.contains(key) == stored);
        REQUIRE(cache.size() >= before);
        REQUIRE(cache.size() <= 50);
      }
      REQUIRE(adds_up(cache.stats()));
      shared.fuse = bomb::never;
      REQUIRE(cache.put(1, "again"));
      REQUIRE(cache.get(1) == "again");
    } catch (std::bad_alloc const&) {  // of the constructor
    }
    REQUIRE(shared.bytes_out == 0);
    failures += shared.failures;
    if (shared.failures == 0) break;
  }
  CHECK(failures > 0);
}

TEST_CASE("C7: all memory of a cache comes from its allocator, and goes back to it", "[C7]") {
  REQUIRE(allocation_counter::works());
  bomb shared;
  {
    tideover::ttl_cache<int, int, manual_clock, allocator> cache(
        sized(500), allocator(bombing_allocator<std::byte>(shared)));
    long const made_before = shared.allocations;
    allocation_counter const counter;
    for (int key = 0; key < 1000; ++key) {
      cache.put(key, key);
      cache.get_or_compute(key + 5000, [] { return 1; });
      cache.erase(key - 3);
    }
    CHECK(counter.allocations() == std::size_t(shared.allocations - made_before));
    CHECK(shared.allocations > 0);
    CHECK(shared.bytes_out > 0);
  }
  CHECK(shared.bytes_out == 0);
}
