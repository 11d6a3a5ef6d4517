// SPDX-License-Identifier: BSL-1.0
// expect: tideover::key_schema: a namespace is 1 to 64 bytes of A-Z a-z 0-9 _ . -
#include <tideover/cache_key.hpp>

constexpr tideover::key_schema<"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"> q{};
