// SPDX-License-Identifier: BSL-1.0
// expect: tideover::circuit_breaker: a fallback takes a std::error_code and returns what the function
#include <tideover/breaker_registry.hpp>

int f(tideover::breaker_registry<int>& breakers) {
  return breakers.call(
      1, [] { return 1; }, [] { return 2; });
}
