// SPDX-License-Identifier: BSL-1.0
// expect: no matching
#include <tideover/cache_key.hpp>

// A number is no digest.
auto const key = tideover::cache_key("q").secret("a", "b", 1);
