// SPDX-License-Identifier: BSL-1.0
// expect: tideover::tagged_by: the function must return a tag_list, or what can be made one: text, or a range
// of texts
#include <tideover/ttl_cache.hpp>

struct by_number {
  int operator()(int key, int) const { return key; }
};

void fill(tideover::ttl_cache<int, int, tideover::tagged_by<by_number>>& cache) { cache.put(1, 1); }
