// SPDX-License-Identifier: BSL-1.0
// expect: tideover::per_entry: the function must return a std::chrono::duration
#include <tideover/ttl_cache.hpp>

struct a_number {
  int operator()(int, int) const { return 5; }
};

void use(tideover::ttl_cache<int, int, tideover::per_entry<a_number>>& cache) { cache.put(1, 1); }
