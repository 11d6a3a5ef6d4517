// SPDX-License-Identifier: BSL-1.0
// expect: tideover::stampede_guard: the store must hold tideover::cached<T>
#include <tideover/guarded_cache.hpp>
#include <tideover/single_flight.hpp>

tideover::stampede_guard<tideover::ttl_cache<int, int>> guard({}, {});
