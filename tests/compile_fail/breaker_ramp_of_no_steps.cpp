// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ramp: 1 to 1000 steps
#include <tideover/circuit_breaker.hpp>

tideover::circuit_breaker<tideover::ramp<0>> breaker({});
