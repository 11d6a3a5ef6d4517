// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>

/// The bounds axis: whether what is pending may exceed its bounds for a moment.
namespace tideover::inline v0 {

/// `exact` is false where adds are counted a few at a time.
template <class B>
concept bounds_policy = policy<B> && std::same_as<typename B::policy_axis, axis::bounds> && requires {
  { B::exact } -> std::convertible_to<bool>;
};

/// What is pending never exceeds its bounds; each add takes the one lock of the component.
struct exact_bounds {
  using policy_axis = axis::bounds;
  static constexpr bool exact = true;
};

/// Each thread fills batches of its own, and takes the lock that all share once for up to 64 items: an add
/// costs less, and two threads that add do not wait for each other. In return the bounds may be exceeded by
/// up to 64 items for each thread that adds beside the first one, 960 at most, and batches of several threads
/// that add little go with fewer items. What is counted is exact whenever somebody asks, and the items of one
/// thread are sealed in the order in which it added them.
struct relaxed_bounds {
  using policy_axis = axis::bounds;
  static constexpr bool exact = false;
};

}  // namespace tideover::inline v0
