// SPDX-License-Identifier: BSL-1.0
#include "support/bombing_allocator.hpp"
#include "support/catch.hpp"

#include <tideover/policy/allocator.hpp>
#include <tideover/policy/pmr.hpp>
#include <tideover/ttl_cache.hpp>

#include <cstddef>
#include <memory>
#include <memory_resource>
#include <string>
#include <type_traits>

namespace {

using tideover::allocate_with;
using tideover::allocator_policy;
using tideover::pmr_allocator;
using tideover::std_allocator;

using bombing = tideover_test::bombing_allocator<std::byte>;
static_assert(allocator_policy<std_allocator> && allocator_policy<pmr_allocator>);
static_assert(allocator_policy<allocate_with<bombing>>);
static_assert(!allocator_policy<std::allocator<int>>, "a policy names its axis");
static_assert(std::is_empty_v<std_allocator>);
static_assert(std::is_default_constructible_v<std_allocator> &&
              !std::is_default_constructible_v<allocate_with<bombing>>);

/// Counts what is out, and holds each deallocation to the size and alignment of its allocation.
class counting_resource : public std::pmr::memory_resource {
 public:
  std::size_t allocations = 0;
  std::size_t deallocations = 0;
  std::size_t out = 0;
  bool mismatched = false;

 private:
  struct header {
    std::size_t bytes, alignment;
  };
  static std::size_t room_for_header(std::size_t alignment) {
    return (sizeof(header) + alignment - 1) / alignment * alignment;
  }
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    std::size_t const front = room_for_header(alignment);
    auto* const raw =
        static_cast<std::byte*>(std::pmr::new_delete_resource()->allocate(bytes + front, alignment));
    ::new (static_cast<void*>(raw)) header{bytes, alignment};
    ++allocations;
    out += bytes;
    return raw + front;
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    std::byte* const raw = static_cast<std::byte*>(p) - room_for_header(alignment);
    header const made = *std::launder(reinterpret_cast<header*>(raw));
    mismatched = mismatched || made.bytes != bytes || made.alignment != alignment;
    ++deallocations;
    out -= bytes;
    std::pmr::new_delete_resource()->deallocate(raw, made.bytes + room_for_header(made.alignment),
                                                made.alignment);
  }
  bool do_is_equal(memory_resource const& other) const noexcept override { return this == &other; }
};

/// Nothing may be taken from the default resource meanwhile.
struct no_default_resource {
  std::pmr::memory_resource* before = std::pmr::set_default_resource(std::pmr::null_memory_resource());
  ~no_default_resource() { std::pmr::set_default_resource(before); }
};

template <class... Policies>
void use(tideover::ttl_cache<std::string, std::string, Policies...>& cache) {
  for (int i = 0; i < 5000; ++i) cache.put("key number " + std::to_string(i), std::string(40, 'v'));
  for (int i = 0; i < 5000; i += 3) cache.erase("key number " + std::to_string(i));
  for (int i = 0; i < 5000; ++i) {
    (void)cache.get_or_compute("key number " + std::to_string(i % 100 + 4950),
                               [] { return std::string(40, 'w'); });
  }
}

}  // namespace

TEST_CASE("pmr: a cache lives in its resource alone and gives everything back", "[policy]") {
  counting_resource memory;
  {
    no_default_resource const guard;
    tideover::ttl_cache<std::string, std::string, pmr_allocator> cache({.capacity = 1000},
                                                                       pmr_allocator(&memory));
    std::size_t const at_first = memory.out;
    use(cache);
    CHECK(cache.size() <= 1000);
    CHECK(memory.out > at_first);
    CHECK(memory.out > 1000 * sizeof(std::string));
    cache.clear();
    CHECK(cache.size() == 0);
  }
  CHECK(memory.out == 0);
  CHECK(memory.allocations == memory.deallocations);
  CHECK(memory.allocations > 0);
  CHECK_FALSE(memory.mismatched);
}

TEST_CASE("pmr: a cache that is not cleared gives everything back as well", "[policy]") {
  counting_resource memory;
  {
    tideover::ttl_cache<std::string, std::string, pmr_allocator, tideover::single_threaded> cache(
        {.capacity = 100'000}, pmr_allocator(&memory));
    use(cache);
    CHECK(cache.size() > 3000);
  }
  CHECK(memory.out == 0);
  CHECK(memory.allocations == memory.deallocations);
  CHECK_FALSE(memory.mismatched);
}

TEST_CASE("pmr: one region for all, freed at once", "[policy]") {
  std::pmr::monotonic_buffer_resource arena;
  tideover::ttl_cache<int, int, pmr_allocator> cache({.capacity = 100}, pmr_allocator(&arena));
  for (int i = 0; i < 1000; ++i) cache.put(i, i);
  CHECK(cache.get(999) == 999);
  CHECK(cache.size() <= 100);
}

TEST_CASE("allocate_with: the cache uses the very object it was given", "[policy]") {
  tideover_test::bomb mine;
  {
    allocate_with const policy{bombing(mine)};
    CHECK(policy.allocator().shared() == &mine);
    tideover::ttl_cache<std::string, std::string, allocate_with<bombing>> cache({.capacity = 100}, policy);
    use(cache);
    CHECK(mine.allocations > 0);
    CHECK(mine.bytes_out > 0);
  }
  CHECK(mine.bytes_out == 0);
}
