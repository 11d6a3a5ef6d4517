// SPDX-License-Identifier: BSL-1.0
// expect-success
#include <tideover/cache_key.hpp>

#include <set>

// The neighbours of what is refused.
int const number = 1;
auto const key = tideover::cache_key("q")
                     .segment(std::set<int>{1, 2})
                     .segment(number)
                     .segment(0.1)
                     .segment('x')
                     .segment(u8"x")
                     .segment(tideover::cache_key("inner").view());
