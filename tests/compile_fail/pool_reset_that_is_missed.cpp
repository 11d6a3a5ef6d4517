// SPDX-License-Identifier: BSL-1.0
// expect: tideover::connection_pool: reset is called as reset(connection&)
// expect-errors: 1
#include <tideover/connection_pool.hpp>

struct by_pointer {
  using connection = int;
  int connect(tideover::deadline const&) { return 1; }
  void reset(int* i) { *i = 0; }
};

using pool = tideover::connection_pool<by_pointer>;
static_assert(sizeof(pool) > 0);
