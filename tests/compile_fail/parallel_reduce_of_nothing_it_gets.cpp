// SPDX-License-Identifier: BSL-1.0
// expect: tideover::map_reduce: reduce must take a vector of what map returns, a vector of results of
#include <tideover/parallel.hpp>

#include <vector>

void use(tideover::inline_run& here, std::vector<int>& items) {
  tideover::map_reduce(
      here, items, [](int i) { return i; }, [](char const*) { return 1; });
}
