// SPDX-License-Identifier: BSL-1.0
// expect: tideover::data_loader: the batch function takes a std::span<Key const>
#include <tideover/data_loader.hpp>

#include <vector>

tideover::data_loader<int, int> loader([](std::vector<int> keys) { return keys; });
