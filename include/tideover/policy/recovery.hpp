// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>

/// The recovery axis: how a breaker goes from its probes back to letting every call through.
namespace tideover::inline v0 {

/// `steps`: over how many levels between nothing and everything; 0: none.
template <class R>
concept recovery_policy = policy<R> && std::same_as<typename R::policy_axis, axis::recovery> && requires {
  { R::steps } -> std::convertible_to<unsigned>;
};

/// At once.
struct no_ramp {
  using policy_axis = axis::recovery;
  static constexpr unsigned steps = 0;
};

/// Over `Steps` levels of equal length, `ramp_over` of the options in all: on level k of them a call is let
/// through with probability k / (Steps + 1). A back-end that has just come back with cold caches is not
/// thrown down again by everybody at once.
template <unsigned Steps>
struct ramp {
  static_assert(Steps >= 1 && Steps <= 1000, "tideover::ramp: 1 to 1000 steps");
  using policy_axis = axis::recovery;
  static constexpr unsigned steps = Steps;
};

}  // namespace tideover::inline v0
