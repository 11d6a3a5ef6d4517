// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/trip.hpp>
#include <tideover/policy/trip/time_window.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace tideover::inline v0 {

/// Turns calls away in proportion, and never opens: with probability
///     max(0, (requests - K * accepts) / (requests + 1)),
/// K being `throttle_factor`, and never more than `throttle_most` ("Site Reliability Engineering", Beyer and
/// others, O'Reilly 2016, chapter 21, "Client-Side Throttling"; the bound keeps a trickle of calls by which
/// recovery is seen). Counted over the last `window` of the options in 12 slices, once there were `min_calls`
/// requests. A request is counted when it ends, or is turned away; what is ignored is neither. Each call
/// reads the cheap clock twice and adds up 12 words.
struct adaptive_throttle {
  using policy_axis = axis::trip;
  static constexpr bool in_word = false;
  static constexpr bool reads_clock = true;
  static constexpr bool sees_slow = false;
  static constexpr bool throttles = true;

  template <class Locking>
  class statistics {
   public:
    void configure(trip_limits const& l) noexcept {
      requests_.configure(l.window);
      factor_.store(l.throttle_factor, std::memory_order_relaxed);
      most_.store(l.throttle_most, std::memory_order_relaxed);
      least_.store(l.min_calls, std::memory_order_relaxed);
    }
    void begin(std::uint32_t g) noexcept { requests_.begin(g); }
    bool record(std::uint32_t g, trip_sample const& sample) noexcept {
      requests_.add(g, requests_.slice_at(sample.at), !sample.failed);
      return false;
    }
    void record_turned_away(std::uint32_t g, instant now) noexcept {
      requests_.add(g, requests_.slice_at(now), false);
    }
    double turned_away(std::uint32_t g, instant now) const noexcept {
      auto const [requests, accepts] = requests_.sum(g, requests_.slice_at(now));
      if (requests < least_.load(std::memory_order_relaxed)) return 0;
      double const excess = static_cast<double>(requests) -
                            factor_.load(std::memory_order_relaxed) * static_cast<double>(accepts);
      double const share = excess / (static_cast<double>(requests) + 1);
      return std::clamp(share, 0.0, most_.load(std::memory_order_relaxed));
    }
    /// Failures are the requests that were not accepted, whoever turned them away.
    trip_counts counts(std::uint32_t g, instant now) const noexcept {
      auto const [requests, accepts] = requests_.sum(g, requests_.slice_at(now));
      return {requests, requests - accepts, 0};
    }

   private:
    template <class T>
    using cell = typename Locking::template cell<T>;
    static constexpr std::size_t slices = 12;
    trip_parts::time_window<Locking, slices> requests_;
    cell<double> factor_{2.0};
    cell<double> most_{0.9};
    cell<std::uint32_t> least_{1};
  };
};

}  // namespace tideover::inline v0
