// SPDX-License-Identifier: BSL-1.0
// expect: thread_affinity lends what a thread had last; it does not go with fifo_idle
#include <tideover/connection_pool.hpp>

struct factory {
  using connection = int;
  int connect(tideover::deadline const&) { return 1; }
};

using pool = tideover::connection_pool<factory, tideover::fifo_idle, tideover::thread_affinity>;
static_assert(sizeof(pool) > 0);
