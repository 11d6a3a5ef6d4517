// SPDX-License-Identifier: BSL-1.0
// expect: tideover::stampede_guard: guard and store must have the same clock
#include <tideover/guarded_cache.hpp>
#include <tideover/single_flight.hpp>

using store = tideover::ttl_cache<int, tideover::cached<int>>;
tideover::stampede_guard<store, tideover::manual_clock> guard({}, {});
