// SPDX-License-Identifier: BSL-1.0
// expect: tideover::circuit_breaker: see tideover::breaker_listener in <tideover/circuit_breaker_options.hpp>
#include <tideover/circuit_breaker.hpp>

// It hears of removals only.
struct cache_listener_only {
  using policy_axis = tideover::axis::listener;
  void on_removal(int, int, tideover::removal_cause) {}
};

tideover::circuit_breaker<cache_listener_only> breaker({});
