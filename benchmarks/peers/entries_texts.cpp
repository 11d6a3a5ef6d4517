// SPDX-License-Identifier: BSL-1.0
#include "peers/entries.hpp"

template <>
std::vector<bench::entry<bench::texts>> bench::entries<bench::texts>(bool every_eviction) {
  return all_entries<texts, tideover::lru>(every_eviction);
}
