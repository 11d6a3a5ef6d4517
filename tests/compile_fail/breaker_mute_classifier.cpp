// SPDX-License-Identifier: BSL-1.0
// expect: tideover::circuit_breaker: see tideover::classifier_policy in <tideover/policy/classifier.hpp>
#include <tideover/circuit_breaker.hpp>

// It says nothing of exceptions.
struct of_numbers {
  using policy_axis = tideover::axis::classifier;
  tideover::call_outcome operator()(int) const { return tideover::call_outcome::success; }
};

tideover::circuit_breaker<of_numbers> breaker({});
