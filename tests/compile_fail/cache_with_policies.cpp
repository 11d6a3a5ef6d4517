// SPDX-License-Identifier: BSL-1.0
// expect-success
#include <tideover/policy/eviction/fifo.hpp>
#include <tideover/policy/expiry/never.hpp>
#include <tideover/ttl_cache.hpp>

// What the refused ones beside this file have wrong is right here.
tideover::ttl_cache<int, int, tideover::manual_clock, tideover::fifo, tideover::never, tideover::one_mutex,
                    tideover::hash_by<std::hash<int>>, tideover::count, tideover::silent, tideover::xoshiro,
                    tideover::std_allocator>
    cache({});
