// SPDX-License-Identifier: BSL-1.0
// expect: tideover::key_schema: a name is given twice
#include <tideover/cache_key.hpp>

constexpr tideover::key_schema<"q", "b", "a", "b"> q{.version = 1};
