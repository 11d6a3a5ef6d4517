// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>

/// The affinity axis: whether a thread prefers the object that it had before.
namespace tideover::inline v0 {

template <class A>
concept affinity_policy = policy<A> && std::same_as<typename A::policy_axis, axis::affinity> && requires {
  { A::remembers_slots } -> std::convertible_to<bool>;
};

/// Threads share the idle objects, in exact order.
struct no_affinity {
  using policy_axis = axis::affinity;
  static constexpr bool remembers_slots = false;
};

/// A thread takes the object that it had last, if that is idle, else any: threads do not write each other's
/// cache lines. The order in which idle objects are lent is no longer exact. A caller who has to wait writes
/// to each slot, so this is for pools of up to some hundred objects.
struct thread_affinity {
  using policy_axis = axis::affinity;
  static constexpr bool remembers_slots = true;
};

}  // namespace tideover::inline v0
