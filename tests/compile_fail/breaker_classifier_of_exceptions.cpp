// SPDX-License-Identifier: BSL-1.0
// expect: tideover::classify_by: what was thrown comes as a std::exception_ptr, not as a std::exception
#include <tideover/circuit_breaker.hpp>

#include <exception>

// It would never be asked.
tideover::classify_by lenient([](std::exception const&) { return tideover::call_outcome::ignored; });
tideover::circuit_breaker<decltype(lenient)> breaker({}, lenient);
