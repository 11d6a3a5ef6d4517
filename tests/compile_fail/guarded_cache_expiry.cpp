// SPDX-License-Identifier: BSL-1.0
// expect: tideover: this component has no axis for this policy
#include <tideover/guarded_cache.hpp>
#include <tideover/single_flight.hpp>

tideover::guarded_cache<int, int, tideover::after_access> cache({});
