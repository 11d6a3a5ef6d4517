// SPDX-License-Identifier: BSL-1.0
// expect: tideover::connection_pool: healthy is called as bool healthy(connection&, deadline)
// expect-errors: 1
#include <tideover/connection_pool.hpp>

// Nobody would call it.
struct timeless {
  using connection = int;
  int connect(tideover::deadline const&) { return 1; }
  bool healthy(int&) { return false; }
};

using pool = tideover::connection_pool<timeless>;
static_assert(sizeof(pool) > 0);
