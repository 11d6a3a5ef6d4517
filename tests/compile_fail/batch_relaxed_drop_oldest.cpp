// SPDX-License-Identifier: BSL-1.0
// expect: tideover::batch_processor: relaxed_bounds does not know which item of several threads is the
#include <tideover/batch_processor.hpp>

tideover::batch_processor<int, tideover::relaxed_bounds, tideover::drop_oldest> b([](std::span<int>) {});
