// SPDX-License-Identifier: BSL-1.0
// expect: tideover::batch_processor: a sink takes a std::span<Item>, and returns nothing, a
#include <tideover/batch_processor.hpp>

tideover::batch_processor<int> b([](std::span<int>) { return true; });
