// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ttl_cache::set_capacity: with a weigher, max_weight is the bound
#include <tideover/ttl_cache.hpp>

#include <cstddef>

struct sum {
  std::size_t operator()(int key, int value) const { return static_cast<std::size_t>(key + value); }
};

void widen(tideover::ttl_cache<int, int, tideover::weigh_by<sum>>& cache) { cache.set_capacity(10); }
