// SPDX-License-Identifier: BSL-1.0
// expect: tideover::seeded_hash: this key has no std::hash
// expect-errors: 1
#include <tideover/ttl_cache.hpp>

struct point {
  int x = 0;
  friend bool operator==(point const&, point const&) = default;
};

bool f(tideover::ttl_cache<point, int>& cache) { return cache.put(point{1}, 2); }
