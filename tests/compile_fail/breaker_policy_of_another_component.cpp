// SPDX-License-Identifier: BSL-1.0
// expect: tideover: this component has no axis for this policy
#include <tideover/circuit_breaker.hpp>
#include <tideover/policy/eviction/lru.hpp>

tideover::circuit_breaker<tideover::lru> breaker({});
