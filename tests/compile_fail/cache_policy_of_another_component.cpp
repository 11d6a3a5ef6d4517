// SPDX-License-Identifier: BSL-1.0
// expect: tideover: this component has no axis for this policy
#include <tideover/policy/backoff.hpp>
#include <tideover/ttl_cache.hpp>

tideover::ttl_cache<int, int, tideover::no_backoff> cache({});
