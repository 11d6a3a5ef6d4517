// SPDX-License-Identifier: BSL-1.0
// expect: tideover::connection_pool: see tideover::connection_factory in
// <tideover/connection_pool_options.hpp>
#include <tideover/connection_pool.hpp>

// It takes no deadline.
struct timeless {
  using connection = int;
  int connect() { return 1; }
};

using pool = tideover::connection_pool<timeless>;
static_assert(sizeof(pool) > 0);
