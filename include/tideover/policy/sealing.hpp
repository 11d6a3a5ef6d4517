// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>

/// The sealing axis: when a batch is closed to new items before it is full or its time is up.
namespace tideover::inline v0 {

/// `when_idle`: an item is sent at once while nothing else is under way.
template <class S>
concept sealing_policy = policy<S> && std::same_as<typename S::policy_axis, axis::sealing> && requires {
  { S::when_idle } -> std::convertible_to<bool>;
};

/// A batch waits for its number of items, its bytes, or the end of its linger.
struct lingering {
  using policy_axis = axis::sealing;
  static constexpr bool when_idle = false;
};

/// Nothing waits for nothing: an item that finds no batch sealed and unsettled is sealed at once; what comes
/// meanwhile waits until that is settled, or as `lingering` says (Nagle's algorithm, RFC 896).
struct eager {
  using policy_axis = axis::sealing;
  static constexpr bool when_idle = true;
};

}  // namespace tideover::inline v0
