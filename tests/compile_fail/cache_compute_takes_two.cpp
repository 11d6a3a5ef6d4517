// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ttl_cache: compute must be callable as compute(Key const&) or compute()
#include <tideover/ttl_cache.hpp>

int ask(tideover::ttl_cache<int, int>& cache) {
  return cache.get_or_compute(1, [](int a, int b) { return a + b; });
}
