// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>

/// The validation axis: what a pool does about objects that may be dead.
namespace tideover::inline v0 {

/// `checks`: whether objects are checked at all. `drops_suspects`: after a failed check, whether those that
/// were last seen to work before it are closed untested, or have to be checked before they are lent.
template <class V>
concept validation_policy = policy<V> && std::same_as<typename V::policy_axis, axis::validation> && requires {
  { V::checks } -> std::convertible_to<bool>;
  { V::drops_suspects } -> std::convertible_to<bool>;
};

/// One failed check closes all that are idle: when one is dead the others mostly are, and testing them one by
/// one costs a time-out each.
struct drop_suspects {
  using policy_axis = axis::validation;
  static constexpr bool checks = true;
  static constexpr bool drops_suspects = true;
};

/// After a failed check the others are checked before they are lent: for objects that fail one by one.
struct check_suspects {
  using policy_axis = axis::validation;
  static constexpr bool checks = true;
  static constexpr bool drops_suspects = false;
};

/// Nothing is checked, whatever the factory offers.
struct no_validation {
  using policy_axis = axis::validation;
  static constexpr bool checks = false;
  static constexpr bool drops_suspects = false;
};

}  // namespace tideover::inline v0
