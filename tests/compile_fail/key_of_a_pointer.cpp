// SPDX-License-Identifier: BSL-1.0
// expect: no matching
#include <tideover/cache_key.hpp>

int const number = 1;
auto const key = tideover::cache_key("q").segment(&number);
