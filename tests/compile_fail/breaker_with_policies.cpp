// SPDX-License-Identifier: BSL-1.0
// expect-success
#include <tideover/circuit_breaker.hpp>

struct hears {
  using policy_axis = tideover::axis::listener;
  void on_event(tideover::breaker_event const&) {}
};
struct of_all {
  using policy_axis = tideover::axis::classifier;
  template <class End>
  tideover::call_outcome operator()(End const&) const {
    return tideover::call_outcome::success;
  }
};

tideover::circuit_breaker<tideover::failure_rate_over<>, hears, of_all, tideover::ramp<1>> breaker({});
