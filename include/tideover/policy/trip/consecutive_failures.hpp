// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/trip.hpp>

#include <atomic>
#include <cstdint>

namespace tideover::inline v0 {

/// `failure_threshold` failures with no success between them. The count stands in the breaker's own word, so
/// a success, while there is no failure to forget, writes nothing at all. Slow calls mean nothing to it.
struct consecutive_failures {
  using policy_axis = axis::trip;
  static constexpr bool in_word = true;
  static constexpr bool reads_clock = false;
  static constexpr bool sees_slow = false;
  static constexpr bool throttles = false;

  template <class Locking>
  class statistics {
   public:
    void configure(trip_limits const& l) noexcept {
      threshold_.store(l.failure_threshold, std::memory_order_relaxed);
    }
    std::uint32_t limit() const noexcept { return threshold_.load(std::memory_order_relaxed); }

   private:
    typename Locking::template cell<std::uint32_t> threshold_{1};
  };
};

}  // namespace tideover::inline v0
