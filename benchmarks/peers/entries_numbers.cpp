// SPDX-License-Identifier: BSL-1.0
#include "peers/entries.hpp"

template <>
std::vector<bench::entry<bench::numbers>> bench::entries<bench::numbers>(bool every_eviction) {
  return all_entries<numbers, tideover::w_tinylfu, tideover::s3_fifo, tideover::sieve, tideover::lru>(
      every_eviction);
}
