// SPDX-License-Identifier: BSL-1.0
// expect: tideover: two policies were given for one axis
#include <tideover/batch_processor.hpp>

tideover::batch_processor<int, tideover::block, tideover::drop_oldest> b([](std::span<int>) {});
