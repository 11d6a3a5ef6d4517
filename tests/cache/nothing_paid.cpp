// SPDX-License-Identifier: BSL-1.0
// Decision 10: no part costs anything unless it is used.
#include <tideover/ttl_cache.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace {

using namespace tideover;

template <class Eviction, class Expiry, class Weigher, class Negative = values_only, class Tagging = untagged>
struct parts {
  using key_type = std::uint64_t;
  using value_type = std::uint64_t;
  using eviction_type = Eviction;
  using expiry_type = Expiry;
  using locking_type = single_threaded;
  using weigher_type = Weigher;
  using negative_type = Negative;
  using tagging_type = Tagging;
};
struct shard_parts : parts<unbounded, after_write, count> {
  using rng_type = xoshiro;
  using allocator_type = std::allocator<std::byte>;
  static constexpr bool is_silent = true;
};
struct ones {
  std::size_t operator()(std::uint64_t, std::uint64_t) const { return 1; }
};
template <class Eviction, class Expiry, class Weigher = count>
constexpr std::size_t bytes = sizeof(detail::cache_node<parts<Eviction, Expiry, Weigher>>);

// Key, value, and 16 bytes of our own: hash, references, next, state and cause.
constexpr std::size_t bare = 2 * sizeof(std::uint64_t) + 16;
static_assert(bytes<unbounded, never> == bare);
static_assert(bytes<lru, never> == bare + sizeof(entry_links));
static_assert(bytes<fifo, never> == bare + sizeof(entry_links));
// The two bytes that it has more than its links fit beside the two of our own.
static_assert(bytes<steered, never> == bytes<lru, never>);
static_assert(bytes<steered, after_write> == bytes<lru, after_write>);
static_assert(bytes<unbounded, after_write> == bare + sizeof(instant) + sizeof(entry_links));
static_assert(bytes<unbounded, after_access> == bare + 2 * sizeof(instant) + sizeof(entry_links));
static_assert(bytes<unbounded, after_write_or_access> == bare + 3 * sizeof(instant) + sizeof(entry_links));
struct for_ever {
  std::chrono::hours operator()(std::uint64_t, std::uint64_t) const { return std::chrono::hours::max(); }
};
static_assert(bytes<unbounded, per_entry<for_ever>> == bytes<unbounded, after_write>);
static_assert(bytes<unbounded, never, weigh_by<ones>> == bare + sizeof(std::size_t));

// Whether there is a value takes a byte of what was padding.
static_assert(sizeof(detail::cache_node<parts<unbounded, after_write, count, negative_results>>) ==
              bytes<unbounded, after_write>);

// Tags take four bytes, and nothing where there are none.
template <class Tagging>
constexpr std::size_t bytes_with =
    sizeof(detail::cache_node<parts<unbounded, after_write, count, values_only, Tagging>>);
static_assert(bytes_with<untagged> == bytes<unbounded, after_write>);
static_assert(bytes_with<tagged> <= bytes<unbounded, after_write> + alignof(std::uint64_t));
static_assert(std::is_empty_v<detail::cache_shard<shard_parts>::tag_table_type>);

struct listens_without_state {
  using policy_axis = axis::listener;
  void on_removal(int, int, removal_cause) {}
};
using plain = ttl_cache<int, int>;
static_assert(sizeof(ttl_cache<int, int, listens_without_state>) == sizeof(plain));
static_assert(sizeof(ttl_cache<int, int, weigh_by<ones>>) ==
              sizeof(plain) + sizeof(std::size_t));  // the bound
static_assert(sizeof(ttl_cache<int, int, never>) == sizeof(plain));
static_assert(sizeof(ttl_cache<int, int, after_write_or_access>) == sizeof(plain));
static_assert(sizeof(ttl_cache<int, int, steady>) == sizeof(plain));
static_assert(sizeof(ttl_cache<int, int, manual_clock>) == sizeof(plain) + sizeof(manual_clock));

}  // namespace

TEST_CASE("a policy that is not there takes no byte") { SUCCEED("checked by the compiler, above"); }
