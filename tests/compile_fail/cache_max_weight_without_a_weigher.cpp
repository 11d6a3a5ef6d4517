// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ttl_cache::set_max_weight: without a weigher, capacity is the bound
#include <tideover/ttl_cache.hpp>

void widen(tideover::ttl_cache<int, int>& cache) { cache.set_max_weight(10); }
