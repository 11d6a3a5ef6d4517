// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>

/// The overflow axis: what becomes of an item for which there is no room; and the oversize axis: of one that
/// is larger than a batch may be.
namespace tideover::inline v0 {

enum class when_full : unsigned char { waits, rejects, drops_oldest, runs };

template <class O>
concept overflow_policy = policy<O> && std::same_as<typename O::policy_axis, axis::overflow> && requires {
  { O::action } -> std::convertible_to<when_full>;
};

/// Waits for room, first come first served, until the item's deadline and no longer than `max_block`. While
/// anybody waits, no batch lingers.
struct block {
  using policy_axis = axis::overflow;
  static constexpr when_full action = when_full::waits;
};
/// The caller is told so at once.
struct reject {
  using policy_axis = axis::overflow;
  static constexpr when_full action = when_full::rejects;
};
/// The newest item is the one that is added: it is rejected.
struct drop_newest {
  using policy_axis = axis::overflow;
  static constexpr when_full action = when_full::rejects;
};
/// The oldest item that is not sealed yet gives way, and is settled as dropped; with none the new one is
/// rejected.
struct drop_oldest {
  using policy_axis = axis::overflow;
  static constexpr when_full action = when_full::drops_oldest;
};
/// The caller runs a batch itself, if one more may be in flight, and tries again; else it waits as with
/// `block`.
struct caller_runs {
  using policy_axis = axis::overflow;
  static constexpr when_full action = when_full::runs;
};

template <class O>
concept oversize_policy = policy<O> && std::same_as<typename O::policy_axis, axis::oversize> && requires {
  { O::alone } -> std::convertible_to<bool>;
};

/// An item of more bytes than a batch may have is rejected.
struct oversize_rejected {
  using policy_axis = axis::oversize;
  static constexpr bool alone = false;
};
/// It is a batch of its own.
struct oversize_alone {
  using policy_axis = axis::oversize;
  static constexpr bool alone = true;
};

}  // namespace tideover::inline v0
