// SPDX-License-Identifier: BSL-1.0
// expect: no matching
#include <tideover/cache_key.hpp>

#include <filesystem>

// A path is a range of paths, and those are ranges of paths.
auto const key = tideover::cache_key("q").segment(std::filesystem::path("a/b"));
