// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>

/// The batch_size axis: how many items the next batch takes, up to the bound of the options.
namespace tideover::inline v0 {

/// How a batch ended.
struct batch_feedback {
  std::size_t size = 0;              ///< items that the sink was given
  bool full = false;                 ///< it was sealed as it had its number of items
  bool failed = false;               ///< the sink threw, or failed an item
  std::chrono::nanoseconds took{0};  ///< the sink's time
};

/// `first(most)` is the size to begin with, `next(size, most, feedback)` the one after a batch has ended.
/// What they say is taken as 1 if less, and `most` if more. They run under the lock: numbers only.
template <class S>
concept batch_size_policy = policy<S> && std::same_as<typename S::policy_axis, axis::batch_size> &&
    requires(S const& s, std::size_t n, batch_feedback const& f) {
  { s.first(n) }
  noexcept->std::same_as<std::size_t>;
  { s.next(n, n, f) }
  noexcept->std::same_as<std::size_t>;
};

/// Always the bound of the options.
struct fixed_size {
  using policy_axis = axis::batch_size;
  static constexpr std::size_t first(std::size_t most) noexcept { return most; }
  static constexpr std::size_t next(std::size_t, std::size_t most, batch_feedback const&) noexcept {
    return most;
  }
};

/// Twice as many after a full batch that was delivered, half as many after one that was not full or failed.
struct doubling_size {
  using policy_axis = axis::batch_size;
  std::size_t least = 1;

  constexpr std::size_t first(std::size_t most) const noexcept { return std::min(least, most); }
  constexpr std::size_t next(std::size_t size, std::size_t most, batch_feedback const& f) const noexcept {
    if (f.full && !f.failed) return size > most / 2 ? most : size * 2;
    return std::max(size / 2, least);
  }
};

/// `step` more after a full batch that was delivered within `target`, half as many after one that failed or
/// took longer (additive increase, multiplicative decrease: Chiu and Jain, 1989). A `target` of 0: any time
/// will do.
struct aimd_size {
  using policy_axis = axis::batch_size;
  std::size_t least = 1;
  std::size_t step = 8;
  std::chrono::nanoseconds target{0};

  constexpr std::size_t first(std::size_t most) const noexcept { return std::min(least, most); }
  constexpr std::size_t next(std::size_t size, std::size_t most, batch_feedback const& f) const noexcept {
    if (f.failed || (target.count() > 0 && f.took > target)) return std::max(size / 2, least);
    return f.full ? (size > most - std::min(step, most) ? most : size + step) : size;
  }
};

}  // namespace tideover::inline v0
