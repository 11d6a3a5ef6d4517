// SPDX-License-Identifier: BSL-1.0
// expect: this eviction policy does not say in which order entries leave; see
// tideover::ordered_eviction_policy in <tideover/policy/eviction.hpp>
#include <tideover/ttl_cache.hpp>

// It evicts, and says no more than it must.
struct first_come {
  using policy_axis = tideover::axis::eviction;
  struct hook {};
  void on_insert(auto const&, tideover::entry_id id) noexcept { last = id; }
  void on_hit(auto const&, tideover::entry_id) noexcept {}
  void on_remove(auto const&, tideover::entry_id) noexcept { last = tideover::no_entry; }
  tideover::entry_id victim(auto const&) noexcept { return last; }
  tideover::entry_id last = tideover::no_entry;
};

auto ask(tideover::ttl_cache<int, int, first_come>& cache) { return cache.hottest(3); }
