// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>

/// The accounting axis: whether a component counts what would otherwise leave no trace.
namespace tideover::inline v0 {

/// `counts` is false where that counting is left out; then nothing is paid for it.
template <class A>
concept accounting_policy = policy<A> && std::same_as<typename A::policy_axis, axis::accounting> && requires {
  { A::counts } -> std::convertible_to<bool>;
};

/// Only what is rare, or written down anyway, is counted.
struct uncounted {
  using policy_axis = axis::accounting;
  static constexpr bool counts = false;
};

/// Everything is counted: one atomic addition more for each call.
struct counting {
  using policy_axis = axis::accounting;
  static constexpr bool counts = true;
};

}  // namespace tideover::inline v0
