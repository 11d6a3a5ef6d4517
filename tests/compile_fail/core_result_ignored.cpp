// SPDX-License-Identifier: BSL-1.0
// expect: nodiscard
#include <tideover/result.hpp>

#pragma GCC diagnostic error "-Wunused-result"

tideover::result<int> half(int n);

void ignore() { half(3); }
