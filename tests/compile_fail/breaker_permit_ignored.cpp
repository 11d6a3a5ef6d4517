// SPDX-License-Identifier: BSL-1.0
// expect: nodiscard
// A permit that nobody keeps says nothing, at once: the call that it was for is not guarded.
#include <tideover/circuit_breaker.hpp>

#pragma GCC diagnostic error "-Wunused-result"

void f(tideover::circuit_breaker<>& breaker) { breaker.try_acquire(); }
