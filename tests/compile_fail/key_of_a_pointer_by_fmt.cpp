// SPDX-License-Identifier: BSL-1.0
// expect: no matching
#include <tideover/fmt.hpp>

// fmt would write the address.
void const* const place = nullptr;
auto const key = tideover::cache_key("q").segment(place);
