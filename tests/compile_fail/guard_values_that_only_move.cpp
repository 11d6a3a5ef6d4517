// SPDX-License-Identifier: BSL-1.0
// expect: tideover::stampede_guard: see tideover::cache_store in <tideover/cache_store.hpp>
#include <tideover/guarded_cache.hpp>
#include <tideover/single_flight.hpp>

#include <memory>
using store = tideover::ttl_cache<int, tideover::cached<std::unique_ptr<int>>>;
tideover::stampede_guard<store> guard({}, {});
