// SPDX-License-Identifier: BSL-1.0
#include "two.hpp"

#include <chrono>

int main() {
  pages cache({.capacity = 100, .ttl = std::chrono::hours(1)});
  put_in_two(cache);
  bool const one_cache = cache.get("two") == 2 && cache.size() == 1;
  // Codes compare by the address of their category: two of them, and no error would equal itself.
  bool const one_category = timed_out_in_two() == tideover::errc::timed_out;
  return one_cache && one_category ? 0 : 1;
}
