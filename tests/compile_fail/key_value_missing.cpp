// SPDX-License-Identifier: BSL-1.0
// expect: tideover::key_schema: one value for each name of the schema
#include <tideover/cache_key.hpp>

constexpr tideover::key_schema<"q", "b", "a"> q{};
auto const key = q(1);
