// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ttl_cache::erase_tag: entries have tags with the policies tagged and tagged_by
#include <tideover/ttl_cache.hpp>

void forget(tideover::ttl_cache<int, int>& cache) { cache.erase_tag("acme"); }
