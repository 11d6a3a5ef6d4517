// SPDX-License-Identifier: BSL-1.0
// expect: tideover::classify_by: F returns a tideover::call_outcome
#include <tideover/circuit_breaker.hpp>

tideover::classify_by is_failure([](int status) { return status >= 500; });
tideover::circuit_breaker<decltype(is_failure)> breaker({}, is_failure);

int f() {
  return breaker.call([] { return 200; });
}
