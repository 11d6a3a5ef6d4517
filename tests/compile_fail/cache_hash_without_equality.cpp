// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ttl_cache: see tideover::hashing_policy in <tideover/policy/hashing.hpp>
#include <tideover/ttl_cache.hpp>

#include <cstdint>

// It cannot compare.
struct hash_without_equality {
  using policy_axis = tideover::axis::hashing;
  std::uint64_t operator()(int key) const noexcept { return static_cast<std::uint64_t>(key); }
};

tideover::ttl_cache<int, int, hash_without_equality> cache({});
