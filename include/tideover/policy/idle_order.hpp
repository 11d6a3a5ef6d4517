// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>

/// The idle_order axis: which idle object of a pool is lent next.
namespace tideover::inline v0 {

template <class I>
concept idle_order_policy = policy<I> && std::same_as<typename I::policy_axis, axis::idle_order> && requires {
  { I::oldest_first } -> std::convertible_to<bool>;
};

/// The one that came back last: a few are kept warm, the others grow old and go.
struct lifo_idle {
  using policy_axis = axis::idle_order;
  static constexpr bool oldest_first = false;
};

/// The one that came back first: all are used alike, and none goes for being idle. Always takes the lock.
struct fifo_idle {
  using policy_axis = axis::idle_order;
  static constexpr bool oldest_first = true;
};

}  // namespace tideover::inline v0
