// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ttl_cache: a key is a Key, what the hashing policy takes for one, or what
#include <tideover/ttl_cache.hpp>

#include <string>

bool f(tideover::ttl_cache<std::string, int>& cache) { return cache.contains(5); }
