// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/backoff.hpp>
#include <tideover/policy/policy.hpp>
#include <tideover/policy/rng.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>

/// The open_duration axis: how long a breaker stays open before it lets a probe through.
namespace tideover::inline v0 {

/// `open_for(base, attempt, rng)`: `base` is what the options say, `attempt` counts from 1 the times that the
/// breaker has opened since it was last closed, and goes no further than 31. A policy may throw or answer
/// less than zero: then it is `base`, and the breaker counts it. Asked without a lock, from many threads.
/// `draws` is false where no random numbers are needed; then the breaker keeps none.
template <class O>
concept open_duration_policy = policy<O> && std::same_as<typename O::policy_axis, axis::open_duration> &&
    requires(O const& o, std::chrono::nanoseconds base, unsigned attempt, xoshiro& rng) {
  { o.open_for(base, attempt, rng) } -> std::convertible_to<std::chrono::nanoseconds>;
  { O::draws } -> std::convertible_to<bool>;
};

/// Always as the options say.
struct open_fixed {
  using policy_axis = axis::open_duration;
  static constexpr bool draws = false;

  template <class Rng>
  static constexpr std::chrono::nanoseconds open_for(std::chrono::nanoseconds base, unsigned, Rng&) noexcept {
    return base;
  }
};

/// Twice as long after each probe that failed, up to `limit`, or `base` if that is more. Never overflows: it
/// is cut before it is multiplied.
struct open_exponential {
  using policy_axis = axis::open_duration;
  static constexpr bool draws = false;
  std::chrono::nanoseconds limit = std::chrono::minutes(10);

  template <class Rng>
  constexpr std::chrono::nanoseconds open_for(std::chrono::nanoseconds base, unsigned attempt,
                                              Rng&) const noexcept {
    return exponential_backoff{.first = base, .limit = std::max(limit, base)}.ceiling(attempt - 1);
  }
};

/// As `open_exponential`, and then half of it drawn evenly ("equal jitter", M. Brooker, "Exponential Backoff
/// and Jitter", AWS Architecture Blog, 2015): from half the time up to it. Clients that were cut off together
/// do not probe together.
struct open_jittered {
  using policy_axis = axis::open_duration;
  static constexpr bool draws = true;
  std::chrono::nanoseconds limit = std::chrono::minutes(10);

  template <class Rng>
  std::chrono::nanoseconds open_for(std::chrono::nanoseconds base, unsigned attempt,
                                    Rng& rng) const noexcept {
    std::int64_t const full = open_exponential{limit}.open_for(base, attempt, rng).count();
    double const drawn = to_unit_interval(rng()) * static_cast<double>(full / 2);
    return std::chrono::nanoseconds(full - full / 2 + static_cast<std::int64_t>(drawn));
  }
};

}  // namespace tideover::inline v0
