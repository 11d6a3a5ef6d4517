// SPDX-License-Identifier: BSL-1.0
// expect: tideover::circuit_breaker: a fallback takes a std::error_code and returns what the function
#include <tideover/circuit_breaker.hpp>

#include <string>

int f(tideover::circuit_breaker<>& breaker) {
  return breaker.call([] { return 1; }, [](std::error_code) { return std::string(); });
}
