// SPDX-License-Identifier: BSL-1.0
// expect: tideover: two policies were given for one axis
#include <tideover/circuit_breaker.hpp>

tideover::circuit_breaker<tideover::failure_rate_over<>, tideover::consecutive_failures> breaker({});
