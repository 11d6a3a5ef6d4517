// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>

/// The idle_sharing axis: whether the keys of a `keyed_pool` give way to each other.
namespace tideover::inline v0 {

template <class S>
concept idle_sharing_policy =
    policy<S> && std::same_as<typename S::policy_axis, axis::idle_sharing> && requires {
  { S::gives_way } -> std::convertible_to<bool>;
};

/// When all places are taken and somebody waits for a key, an idle object of another key is closed, if nobody
/// waits for that one: the object that has been idle longest.
struct share_idle {
  using policy_axis = axis::idle_sharing;
  static constexpr bool gives_way = true;
};

/// What is idle stays with its key until it is closed for a reason of its own, such as its age.
struct keep_idle {
  using policy_axis = axis::idle_sharing;
  static constexpr bool gives_way = false;
};

}  // namespace tideover::inline v0
