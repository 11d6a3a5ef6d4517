// SPDX-License-Identifier: BSL-1.0
// expect: no matching
#include <tideover/cache_key.hpp>

auto const key = tideover::cache_key("q").generation(true);
