// SPDX-License-Identifier: BSL-1.0
// expect: tideover::seeded_hash: this key has no operator==
// expect-errors: 1
#include <tideover/ttl_cache.hpp>

#include <cstddef>
#include <functional>

struct point {
  int x = 0;
};
template <>
struct std::hash<point> {
  std::size_t operator()(point const& p) const noexcept { return static_cast<std::size_t>(p.x); }
};

bool f(tideover::ttl_cache<point, int>& cache) { return cache.put(point{1}, 2); }
