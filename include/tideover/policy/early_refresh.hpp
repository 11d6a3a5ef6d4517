// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/instant.hpp>
#include <tideover/policy/policy.hpp>
#include <tideover/policy/rng.hpp>

#include <chrono>
#include <concepts>
#include <ratio>

/// The early_refresh axis: whether a value that is still fresh is computed anew ahead of its expiry, so that
/// no caller ever meets an expired one.
namespace tideover::inline v0 {

/// `e(now, soft_expiry, delta, ttl, rng)`: whether the caller that asks at `now` is to refresh a value that
/// expires at `soft_expiry`, was given a life of `ttl`, and takes `delta` to compute. Asked on every hit:
/// what it can decide without drawing from `rng`, which is shared, it should. `refreshes` is false if the
/// answer is always no; then nothing is asked and nothing is paid. Called from many threads at once; never
/// throws.
template <class E>
concept early_refresh_policy = policy<E> && std::same_as<typename E::policy_axis, axis::early_refresh> &&
    requires(E const& e, instant t, std::chrono::nanoseconds d, xoshiro& rng) {
  { e(t, t, d, d, rng) }
  noexcept->std::same_as<bool>;
  { E::refreshes } -> std::convertible_to<bool>;
};

/// Never ahead of time.
struct no_early_refresh {
  using policy_axis = axis::early_refresh;
  static constexpr bool refreshes = false;
  template <class Rng>
  constexpr bool operator()(instant, instant, std::chrono::nanoseconds, std::chrono::nanoseconds,
                            Rng&) const noexcept {
    return false;
  }
};

/// By the first caller after a fixed share of the TTL, a `std::ratio` above 0 and below 1: after four fifths
/// unless told otherwise. Every caller from then on is told to refresh, so that without single flight they
/// all do; and a key that is asked for rarely misses its expiry as it would without.
template <class Fraction = std::ratio<4, 5>>
struct refresh_after {
  static_assert(Fraction::num > 0 && Fraction::num < Fraction::den,
                "tideover::refresh_after: the fraction must be above 0 and below 1");
  using policy_axis = axis::early_refresh;
  static constexpr bool refreshes = true;
  template <class Rng>
  constexpr bool operator()(instant now, instant soft_expiry, std::chrono::nanoseconds,
                            std::chrono::nanoseconds ttl, Rng&) const noexcept {
    constexpr double rest =
        static_cast<double>(Fraction::den - Fraction::num) / static_cast<double>(Fraction::den);
    return static_cast<double>((soft_expiry - now).count()) <= rest * static_cast<double>(ttl.count());
  }
};

}  // namespace tideover::inline v0
