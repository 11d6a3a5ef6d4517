// SPDX-License-Identifier: BSL-1.0
// expect-success
#include <tideover/connection_pool.hpp>

struct factory {
  using connection = int;
  int connect(tideover::deadline const&) { return 1; }
};
struct hears {
  using policy_axis = tideover::axis::listener;
  void on_event(tideover::pool_event const&) {}
};

using pool = tideover::connection_pool<factory, hears, tideover::thread_affinity, tideover::check_suspects>;
static_assert(sizeof(pool) > 0);
tideover::lease<int> once(tideover::lease<int>&& other) { return std::move(other); }
