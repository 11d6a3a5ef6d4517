// SPDX-License-Identifier: BSL-1.0
// expect: tideover::connection_pool: see tideover::pool_listener in <tideover/connection_pool_options.hpp>
#include <tideover/connection_pool.hpp>

struct factory {
  using connection = int;
  int connect(tideover::deadline const&) { return 1; }
};
// It hears of breakers only.
struct breaker_listener_only {
  using policy_axis = tideover::axis::listener;
  void on_event(struct breaker_event const&) {}
};

using pool = tideover::connection_pool<factory, breaker_listener_only>;
static_assert(sizeof(pool) > 0);
