// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ttl_cache: a visitor takes the value as Value const&: other threads may read it
#include <tideover/ttl_cache.hpp>

bool f(tideover::ttl_cache<int, int>& cache) {
  return cache.visit(1, [](int& value) { ++value; });
}
