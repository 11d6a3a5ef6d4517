// SPDX-License-Identifier: BSL-1.0
// expect: no matching
#include <tideover/cache_key.hpp>

#include <unordered_set>

// Two equal sets may come in two orders.
auto const key = tideover::cache_key("q").segment(std::unordered_set<int>{1, 2});
