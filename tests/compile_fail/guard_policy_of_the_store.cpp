// SPDX-License-Identifier: BSL-1.0
// expect: tideover: this component has no axis for this policy
#include <tideover/guarded_cache.hpp>
#include <tideover/single_flight.hpp>

using store = tideover::ttl_cache<int, tideover::cached<int>>;
tideover::stampede_guard<store, tideover::lru> guard({}, {});
