// SPDX-License-Identifier: BSL-1.0
// expect: tideover::stampede_guard: see tideover::early_refresh_policy in <tideover/policy/early_refresh.hpp>
#include <tideover/guarded_cache.hpp>
#include <tideover/single_flight.hpp>

struct rash {
  using policy_axis = tideover::axis::early_refresh;
  static constexpr bool refreshes = true;
  template <class... Any>
  bool operator()(Any const&...) const;
};
using store = tideover::ttl_cache<int, tideover::cached<int>>;
tideover::stampede_guard<store, rash> guard({}, {});
