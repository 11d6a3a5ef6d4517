// SPDX-License-Identifier: BSL-1.0
// expect: tideover::stampede_guard: a guard for one thread cannot refresh on another
#include <tideover/guarded_cache.hpp>
#include <tideover/single_flight.hpp>

using store = tideover::ttl_cache<int, tideover::cached<int>, tideover::single_threaded>;
tideover::stampede_guard<store, tideover::owned_threads> guard({}, {});
