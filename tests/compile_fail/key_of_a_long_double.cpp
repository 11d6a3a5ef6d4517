// SPDX-License-Identifier: BSL-1.0
// expect: no matching
#include <tideover/cache_key.hpp>

// Its digits differ from machine to machine.
auto const key = tideover::cache_key("q").segment(0.1L);
