// SPDX-License-Identifier: BSL-1.0
// Decision 10: no part costs anything unless it is used.
#include <tideover/ttl_cache.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>

namespace {

using namespace tideover;

template <class Eviction, class Expiry, class Weigher, class Negative = values_only, class Tagging = untagged,
          class Key = std::uint64_t>
struct parts {
  using key_type = Key;
  using value_type = std::uint64_t;
  using eviction_type = Eviction;
  using expiry_type = Expiry;
  using locking_type = single_threaded;
  using hashing_type = seeded_hash;
  using weigher_type = Weigher;
  using negative_type = Negative;
  using tagging_type = Tagging;
};
struct shard_parts : parts<unbounded, after_write, count> {
  using rng_type = xoshiro;
  using allocator_type = std::allocator<std::byte>;
  [[maybe_unused]] static constexpr bool is_silent = true;
};
struct ones {
  std::size_t operator()(std::uint64_t, std::uint64_t) const { return 1; }
};
template <class Eviction, class Expiry, class Weigher = count>
constexpr std::size_t bytes = sizeof(detail::cache_node<parts<Eviction, Expiry, Weigher>>);

// Key, value, and what is our own: two bytes each of references and generation, one each for the rest of the
// generation and for the state; and a link, where there is no wheel whose links it could use.
constexpr std::size_t bare = 2 * sizeof(std::uint64_t);
static_assert(bytes<unbounded, never> == bare + 16);  // 10, rounded up
static_assert(bytes<fifo, never> == bare + 24);       // 18
static_assert(bytes<lru, after_write> == bare + 32);  // 30: two entry_links and an instant
// The two bytes that it has more than its links fit beside the two of our own.
static_assert(bytes<steered, after_write> == bytes<lru, after_write>);
static_assert(bytes<steered, never> == bytes<lru, never>);
static_assert(bytes<unbounded, after_access> == bytes<unbounded, after_write> + sizeof(instant));
static_assert(bytes<unbounded, after_write_or_access> == bytes<unbounded, after_write> + 2 * sizeof(instant));
// Where hashing is dear the hash is kept.
using text_parts = parts<lru, after_write, count, values_only, untagged, std::string>;
static_assert(sizeof(detail::cache_node<text_parts>) == sizeof(std::string) + sizeof(std::uint64_t) + 40);
struct for_ever {
  std::chrono::hours operator()(std::uint64_t, std::uint64_t) const { return std::chrono::hours::max(); }
};
static_assert(bytes<unbounded, per_entry<for_ever>> == bytes<unbounded, after_write>);
static_assert(bytes<unbounded, never, weigh_by<ones>> == bytes<unbounded, never> + sizeof(std::size_t));

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
static_assert(sizeof(ttl_cache<int, int, after_write_or_access>) <=
              sizeof(plain));  // it counts no reads apart
static_assert(sizeof(ttl_cache<int, int, steady>) == sizeof(plain));
static_assert(sizeof(ttl_cache<int, int, manual_clock>) == sizeof(plain) + sizeof(manual_clock));

}  // namespace

TEST_CASE("a policy that is not there takes no byte") { SUCCEED("checked by the compiler, above"); }
