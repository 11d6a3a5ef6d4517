// SPDX-License-Identifier: BSL-1.0
// The policies that have memory of their own: it comes from the cache's allocator, and running out of it
// changes nothing.
#include "cache/common.hpp"
#include "support/allocation_counter.hpp"
#include "support/bombing_allocator.hpp"

#include <tideover/error.hpp>
#include <tideover/policy/allocator.hpp>
#include <tideover/policy/eviction/s3_fifo.hpp>
#include <tideover/policy/eviction/steered.hpp>
#include <tideover/policy/eviction/w_tinylfu.hpp>

#include <new>
#include <string>

namespace {

using allocator = tideover::allocate_with<bombing_allocator<std::byte>>;

}  // namespace

TEMPLATE_TEST_CASE(
    "C7: a put that fails at the n-th allocation of a cache with a larger policy changes nothing", "[C7]",
    tideover::steered, tideover::w_tinylfu, tideover::w_tinylfu_fixed<1>, tideover::s3_fifo) {
  long failures = 0;
  for (long fuse = 0; fuse < 200; ++fuse) {
    bomb shared;
    shared.fuse = fuse;
    try {
      tideover::ttl_cache<int, std::string, manual_clock, TestType, allocator> cache(
          sized(50), allocator(bombing_allocator<std::byte>(shared)));
      for (int key = 0; key < 100; ++key) {
        std::size_t const before = cache.size();
        bool stored = false;
        try {
          stored = cache.put(key, "value");
          REQUIRE(stored);  // the newest is never the victim
        } catch (std::bad_alloc const&) {
        }
        REQUIRE(cache.contains(key) == stored);
        REQUIRE(cache.size() >= before);
        REQUIRE(cache.size() <= 50);
      }
      REQUIRE(adds_up(cache.stats()));
    } catch (std::bad_alloc const&) {  // of the constructor
    }
    REQUIRE(shared.bytes_out == 0);
    failures += shared.failures;
    if (shared.failures == 0) break;
  }
  CHECK(failures > 3);
}

TEMPLATE_TEST_CASE("C7: set_capacity that fails at the n-th allocation changes nothing", "[C7]",
                   tideover::steered, tideover::w_tinylfu, tideover::w_tinylfu_fixed<1>, tideover::s3_fifo) {
  bomb shared;
  {
    tideover::ttl_cache<int, int, manual_clock, TestType, allocator> cache(
        sized(5'000), allocator(bombing_allocator<std::byte>(shared)));
    for (int key = 0; key < 6'000; ++key) cache.put(key, key);
    std::size_t const before = cache.size();
    long failures = 0;
    for (long fuse = 0; fuse < 100; ++fuse) {
      shared.fuse = fuse;
      try {
        cache.set_capacity(4'000);
        break;
      } catch (std::bad_alloc const&) {
        ++failures;
        REQUIRE(cache.capacity() == 5'000);
        REQUIRE(cache.size() == before);
      }
    }
    shared.fuse = bomb::never;
    CHECK(failures > 0);
    CHECK(cache.capacity() == 4'000);
    CHECK(cache.size() <= 4'000);
    for (int key = 0; key < 6'000; ++key) cache.put(key, key);
    CHECK(cache.size() <= 4'000);
    CHECK(adds_up(cache.stats()));
  }
  CHECK(shared.bytes_out == 0);
}

TEMPLATE_TEST_CASE("C7: all memory of the larger policies comes from the allocator", "[C7]",
                   tideover::steered, tideover::w_tinylfu, tideover::s3_fifo) {
  REQUIRE(allocation_counter::works());
  bomb shared;
  manual_clock const clock;
  std::size_t counted = 0;
  {
    allocation_counter const counter;
    tideover::ttl_cache<int, int, manual_clock, TestType, allocator> cache(
        sized(5'000), clock, allocator(bombing_allocator<std::byte>(shared)));
    for (int key = 0; key < 10'000; ++key) cache.put(key, key);
    cache.set_capacity(9'000);
    counted = counter.allocations();
  }
  CHECK(counted == std::size_t(shared.allocations));
  CHECK(shared.allocations > 0);
}
