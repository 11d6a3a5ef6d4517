// SPDX-License-Identifier: BSL-1.0
// expect: tideover::connection_pool: destroy is called as destroy(connection&)
// expect-errors: 1
#include <tideover/connection_pool.hpp>

struct by_pointer {
  using connection = int;
  int connect(tideover::deadline const&) { return 1; }
  static void destroy(int*) {}
};

using pool = tideover::connection_pool<by_pointer>;
static_assert(sizeof(pool) > 0);
