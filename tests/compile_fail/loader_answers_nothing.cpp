// SPDX-License-Identifier: BSL-1.0
// expect: tideover::data_loader: the batch function must return a std::vector of Value, of
#include <tideover/data_loader.hpp>

tideover::data_loader<int, int> loader([](std::span<int const>) {});
