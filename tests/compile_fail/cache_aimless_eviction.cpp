// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ttl_cache: see tideover::eviction_policy in <tideover/policy/eviction.hpp>
#include <tideover/ttl_cache.hpp>

// It never names a victim.
struct aimless_eviction {
  using policy_axis = tideover::axis::eviction;
  struct hook {};
  void on_insert(auto const&, tideover::entry_id) noexcept {}
  void on_hit(auto const&, tideover::entry_id) noexcept {}
  void on_remove(auto const&, tideover::entry_id) noexcept {}
};

tideover::ttl_cache<int, int, aimless_eviction> cache({});
