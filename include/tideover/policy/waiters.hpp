// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>

/// The waiters axis: in which order those who wait for an object of a pool are served.
namespace tideover::inline v0 {

template <class W>
concept waiters_policy = policy<W> && std::same_as<typename W::policy_axis, axis::waiters> && requires {
  { W::newcomers_may_pass } -> std::convertible_to<bool>;
};

/// In the order in which they came; nobody overtakes one who waits.
struct fifo_waiters {
  using policy_axis = axis::waiters;
  static constexpr bool newcomers_may_pass = false;
};

/// As `fifo_waiters`, but a newcomer may take what is idle. What comes back goes to the first who waits, so
/// objects are idle then only while an `acquire_n` gathers them.
struct barging_waiters {
  using policy_axis = axis::waiters;
  static constexpr bool newcomers_may_pass = true;
};

}  // namespace tideover::inline v0
