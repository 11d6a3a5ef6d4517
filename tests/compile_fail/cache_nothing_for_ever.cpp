// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ttl_cache: negative_results expire, so they need another expiry policy than never
#include <tideover/ttl_cache.hpp>

tideover::ttl_cache<int, int, tideover::negative_results, tideover::never> cache({});
