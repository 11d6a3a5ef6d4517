// SPDX-License-Identifier: BSL-1.0
// expect: tideover::keyed_pool: healthy is called as bool healthy(connection&, deadline)
// expect-errors: 1
#include <tideover/keyed_pool.hpp>

// It asks for the key, and is not told.
struct curious {
  using connection = int;
  int connect(int key, tideover::deadline const&) { return key; }
  bool healthy(int, int&, tideover::deadline const&) { return false; }
};

using pool = tideover::keyed_pool<int, curious>;
static_assert(sizeof(pool) > 0);
