// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ttl_cache: compute must return a value, or a result of one
#include <tideover/ttl_cache.hpp>

struct stranger {};

int ask(tideover::ttl_cache<int, int>& cache) {
  return cache.get_or_compute(1, [] { return stranger(); });
}
