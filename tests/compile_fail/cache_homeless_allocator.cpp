// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ttl_cache: see tideover::allocator_policy in <tideover/policy/allocator.hpp>
#include <tideover/ttl_cache.hpp>

#include <memory>

// It has no allocator to give.
struct homeless_allocator {
  using policy_axis = tideover::axis::allocator;
  using allocator_type = std::allocator<int>;
};

tideover::ttl_cache<int, int, homeless_allocator> cache({});
