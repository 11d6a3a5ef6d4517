// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/trip.hpp>
#include <tideover/policy/trip/time_window.hpp>

#include <cstddef>
#include <cstdint>

namespace tideover::inline v0 {

/// A share of the calls of the last `window` of the options, in `Buckets` slices: `failure_rate` of them
/// failed, or `slow_rate` of them were slow, once there were `min_calls`. The window slides by whole slices,
/// so it covers between window - window / Buckets and window. Each call reads the cheap clock once and
/// changes one word; rates are added up on a failure or slow call alone, in O(Buckets). No thread rolls
/// anything, nothing is allocated.
template <std::size_t Buckets = 10>
struct failure_rate_over {
  using policy_axis = axis::trip;
  static constexpr bool in_word = false;
  static constexpr bool reads_clock = true;
  static constexpr bool sees_slow = true;
  static constexpr bool throttles = false;

  template <class Locking>
  class statistics {
   public:
    void configure(trip_limits const& l) noexcept {
      limits_.configure(l);
      calls_.configure(l.window);
      slow_.configure(l.window);
    }
    void begin(std::uint32_t g) noexcept {
      calls_.begin(g);
      slow_.begin(g);
    }
    bool record(std::uint32_t g, trip_sample const& sample) noexcept {
      std::uint64_t const slice = calls_.slice_at(sample.at);
      auto const what = calls_.add(g, slice, sample.failed);
      if (what != window::added::nothing_else) [[unlikely]] {
        // The shares stay, and both windows hold the same slices, wherever a clock, set back, comes to.
        what == window::added::halved_it ? slow_.halve(g, slice) : slow_.begin(g, slice);
      }
      if (sample.slow) slow_.add(g, slice, false);
      if (!sample.failed && !sample.slow) return false;
      return limits_.reached_by(counts_at(g, slice));
    }
    trip_counts counts(std::uint32_t g, instant now) const noexcept {
      return counts_at(g, calls_.slice_at(now));
    }

   private:
    using window = trip_parts::time_window<Locking, Buckets>;

    trip_counts counts_at(std::uint32_t g, std::uint64_t slice) const noexcept {
      auto const calls = calls_.sum(g, slice);
      return {calls.total, calls.marked, slow_.sum(g, slice).total};
    }

    trip_parts::rate_limits<Locking> limits_;
    window calls_;
    window slow_;
  };
};

}  // namespace tideover::inline v0
