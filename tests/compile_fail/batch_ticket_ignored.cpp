// SPDX-License-Identifier: BSL-1.0
// expect: nodiscard
#include <tideover/batch_processor.hpp>

#pragma GCC diagnostic error "-Wunused-result"

void add(tideover::batch_processor<int>& b) { b.add(1); }
