// SPDX-License-Identifier: BSL-1.0
// expect: tideover::batch_processor: relaxed_bounds counts items, not bytes
#include <tideover/batch_processor.hpp>

#include <string>

tideover::batch_processor<std::string, tideover::relaxed_bounds> b([](std::span<std::string>) {});
