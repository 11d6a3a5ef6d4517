// SPDX-License-Identifier: BSL-1.0
// expect-success
// What only has the name of an optional member, and overloads of which one fits, is no mistake.
#include <tideover/connection_pool.hpp>
#include <tideover/keyed_pool.hpp>

struct factory {
  using connection = int;
  int connect(tideover::deadline const&) { return 1; }
  int connect(int key, tideover::deadline const&) { return key; }
  bool healthy(int& c) { return c == 1; }
  bool healthy(int& c, tideover::deadline const&) { return healthy(c); }
  bool reset = false;
};

using pool = tideover::connection_pool<factory>;
using pools = tideover::keyed_pool<int, factory>;
using made = tideover::connection_pool<decltype(tideover::make_factory([] { return 1; }))>;
static_assert(sizeof(pool) + sizeof(pools) + sizeof(made) > 0);
