// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ttl_cache: see tideover::cache_listener in <tideover/policy/listener.hpp>
#include <tideover/ttl_cache.hpp>

// It has no on_removal.
struct deaf_listener {
  using policy_axis = tideover::axis::listener;
};

tideover::ttl_cache<int, int, deaf_listener> cache({});
