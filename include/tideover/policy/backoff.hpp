// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>
#include <tideover/policy/rng.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>

/// The backoff axis: how long to wait before trying again.
namespace tideover::inline v0 {

/// `delay(attempt, rng)`: the wait before attempt number `attempt` + 1, where 0 names the first failure.
/// Never negative, never throws.
template <class B>
concept backoff_policy = policy<B> && std::same_as<typename B::policy_axis, axis::backoff> &&
    requires(B const& b, unsigned attempt, xoshiro& rng) {
  { b.delay(attempt, rng) }
  noexcept->std::same_as<std::chrono::nanoseconds>;
};

/// Try again at once.
struct no_backoff {
  using policy_axis = axis::backoff;
  template <rng_policy Rng>
  static std::chrono::nanoseconds delay(unsigned, Rng&) noexcept {
    return std::chrono::nanoseconds{0};
  }
};

/// Always the same wait. A negative wait counts as none.
struct constant_backoff {
  using policy_axis = axis::backoff;
  std::chrono::nanoseconds wait = std::chrono::milliseconds(100);

  template <rng_policy Rng>
  std::chrono::nanoseconds delay(unsigned, Rng&) const noexcept {
    return std::max(wait, std::chrono::nanoseconds{0});
  }
};

/// The ceiling starts at `first` and doubles with each failure up to `limit`; the wait is drawn evenly from
/// [0, ceiling), "full jitter" (M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015):
/// clients that failed together do not come back together. The doubling saturates, it never overflows.
struct exponential_backoff {
  using policy_axis = axis::backoff;
  std::chrono::nanoseconds first = std::chrono::milliseconds(100);
  std::chrono::nanoseconds limit = std::chrono::seconds(30);

  /// The ceiling after `attempt` + 1 failures.
  constexpr std::chrono::nanoseconds ceiling(unsigned attempt) const noexcept {
    std::int64_t const most = std::max<std::int64_t>(limit.count(), 0);
    std::int64_t const start = std::clamp<std::int64_t>(first.count(), 0, most);
    if (attempt > 62 || start > (most >> attempt)) return std::chrono::nanoseconds(start == 0 ? 0 : most);
    return std::chrono::nanoseconds(start << attempt);
  }

  template <rng_policy Rng>
  std::chrono::nanoseconds delay(unsigned attempt, Rng& rng) const noexcept {
    double const drawn = to_unit_interval(rng()) * static_cast<double>(ceiling(attempt).count());
    return std::chrono::nanoseconds(static_cast<std::int64_t>(drawn));
  }
};

}  // namespace tideover::inline v0
