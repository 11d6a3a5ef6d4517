// SPDX-License-Identifier: BSL-1.0
// expect: tideover::data_loader: the batch function must return a std::vector of Value, of
#include <tideover/data_loader.hpp>

#include <span>
#include <vector>

tideover::data_loader<int, char const*> loader([](std::span<int const> keys) {
  return std::vector<long>(keys.begin(), keys.end());
});
