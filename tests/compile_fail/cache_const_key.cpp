// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ttl_cache: Key and Value are object types without const
#include <tideover/ttl_cache.hpp>

tideover::ttl_cache<int const, int> cache({});
