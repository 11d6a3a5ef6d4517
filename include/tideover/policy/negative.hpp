// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>

/// The negative axis: whether a component remembers that there is nothing under a key.
namespace tideover::inline v0 {

/// `remembers` is false where entries always hold a value; then nothing is paid for the other kind.
template <class N>
concept negative_policy = policy<N> && std::same_as<typename N::policy_axis, axis::negative> && requires {
  { N::remembers } -> std::convertible_to<bool>;
};

/// Entries hold values. A computation may still say that there is nothing; the next call asks it again.
struct values_only {
  using policy_axis = axis::negative;
  static constexpr bool remembers = false;
};

/// A computation that says that there is nothing is believed for `negative_ttl`. One byte an entry, in
/// padding.
struct negative_results {
  using policy_axis = axis::negative;
  static constexpr bool remembers = true;
};

}  // namespace tideover::inline v0
