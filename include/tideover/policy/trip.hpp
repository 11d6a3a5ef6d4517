// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/policy/policy.hpp>

#include <chrono>
#include <cmath>
#include <concepts>
#include <cstdint>

/// The trip axis: when a breaker that lets calls through has seen enough. Stock policies live in
/// policy/trip/.
namespace tideover::inline v0 {

/// What a trip policy is tuned by; the breaker fills it from its options, which say bounds and defaults.
struct trip_limits {
  std::uint32_t failure_threshold;
  double failure_rate;
  std::uint32_t min_calls;
  std::chrono::nanoseconds slow_after;  ///< 0: no call is slow
  double slow_rate;
  std::chrono::nanoseconds window;
  double throttle_factor;
  double throttle_most;
};

/// What a trip policy has seen of one generation.
struct trip_counts {
  std::uint64_t total = 0;
  std::uint64_t failures = 0;
  std::uint64_t slow = 0;
};

/// One call that has ended, and was not ignored. `slow` and `at` are set where the policy asks for them.
struct trip_sample {
  bool failed;
  bool slow;
  instant at;
};

/// The statistics of one breaker, shared by its threads without a lock. `begin(g)`: generation `g` (24 bits,
/// counted modulo 2^24) is about to be entered; it may be called more than once and late, and never forgets
/// what was recorded of `g` or of a younger one. `record(g, sample)` adds a call of generation `g` and says
/// whether it is enough; only a failure or a slow call can be. What belongs to another generation than the
/// one that was begun last is left out. Nothing of these throws.
template <class S>
concept trip_statistics = requires(S& s, S const& c, trip_limits const& limits, std::uint32_t g,
                                   trip_sample const& sample, instant now) {
  { s.configure(limits) }
  noexcept;
  { s.begin(g) }
  noexcept;
  { s.record(g, sample) }
  noexcept->std::same_as<bool>;
  { c.counts(g, now) }
  noexcept->std::same_as<trip_counts>;
};

/// Instead of `record`: `in_word` says that the policy counts failures in a row and needs nothing but the
/// breaker's own word; `limit()` is how many there may be.
template <class S>
concept trip_in_word = requires(S& s, S const& c, trip_limits const& limits) {
  { s.configure(limits) }
  noexcept;
  { c.limit() }
  noexcept->std::same_as<std::uint32_t>;
};

/// `T::statistics<Locking>` is the part that each breaker has; its shared variables are `Locking::cell`s.
/// `reads_clock`: each sample needs its time. `sees_slow`: slow calls mean something to it. `throttles`: it
/// never opens the breaker, but turns calls away while it is closed, `turned_away(g, now)` being the
/// probability, and wants to know of those it did: `record_turned_away(g, now)`. `T::check(limits)`, if there
/// is one, throws what is wrong with them.
template <class T>
concept trip_policy = policy<T> && std::same_as<typename T::policy_axis, axis::trip> && requires {
  { T::in_word } -> std::convertible_to<bool>;
  { T::reads_clock } -> std::convertible_to<bool>;
  { T::sees_slow } -> std::convertible_to<bool>;
  { T::throttles } -> std::convertible_to<bool>;
} &&(T::in_word ? trip_in_word<typename T::template statistics<sharded<>>>
                : trip_statistics<typename T::template statistics<sharded<>>>);

namespace trip_parts {

/// A share as whole millionths, so that "7 of 100 is 7 %" does not hang on the last bit of a double.
inline std::uint32_t millionths(double share) noexcept {
  return static_cast<std::uint32_t>(std::lround(share * 1e6));
}
inline bool reaches(std::uint64_t part, std::uint64_t whole, std::uint32_t share) noexcept {
  return part * 1'000'000 >= whole * share;
}
/// Generations count modulo 2^Bits; of two of them the one ahead by less than half of that is the younger.
template <unsigned Bits>
constexpr bool younger(std::uint32_t a, std::uint32_t b) noexcept {
  std::uint32_t const ahead = (a - b) & ((1u << Bits) - 1);
  return ahead != 0 && ahead < (1u << (Bits - 1));
}

/// The three numbers by which rates are judged; they may change while calls are under way.
template <class Locking>
class rate_limits {
 public:
  void configure(trip_limits const& l) noexcept {
    // Relaxed: each number is good by itself, and a new generation begins after a change.
    failures_.store(millionths(l.failure_rate), std::memory_order_relaxed);
    slow_.store(l.slow_after.count() > 0 ? millionths(l.slow_rate) : never, std::memory_order_relaxed);
    least_.store(l.min_calls, std::memory_order_relaxed);
  }
  bool reached_by(trip_counts const& c) const noexcept {
    if (c.total < least_.load(std::memory_order_relaxed)) return false;
    std::uint32_t const slow = slow_.load(std::memory_order_relaxed);
    return reaches(c.failures, c.total, failures_.load(std::memory_order_relaxed)) ||
           (slow != never && reaches(c.slow, c.total, slow));
  }

 private:
  static constexpr std::uint32_t never = ~0u;
  template <class T>
  using cell = typename Locking::template cell<T>;
  cell<std::uint32_t> failures_{500'000};
  cell<std::uint32_t> slow_{never};
  cell<std::uint32_t> least_{1};
};

}  // namespace trip_parts

}  // namespace tideover::inline v0
