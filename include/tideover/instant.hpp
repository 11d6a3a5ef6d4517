// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>

namespace tideover::inline v0 {

/// A point on a monotonic scale: int64 nanoseconds since an epoch that the clock policy fixes. Every clock
/// policy returns it, so that components, snapshots and tests speak of time in one type.
///
/// Adding a duration saturates at `min()` and `max()` instead of overflowing: a TTL of centuries is for ever.
/// Only instants of one clock may be compared. All members are constexpr, noexcept and O(1).
struct instant {
  std::int64_t ns = 0;

  static constexpr instant min() noexcept { return {std::numeric_limits<std::int64_t>::min()}; }
  static constexpr instant max() noexcept { return {std::numeric_limits<std::int64_t>::max()}; }
  static constexpr instant at(std::chrono::nanoseconds since_epoch) noexcept { return {since_epoch.count()}; }

  constexpr std::chrono::nanoseconds since_epoch() const noexcept { return std::chrono::nanoseconds(ns); }

  friend constexpr auto operator<=>(instant, instant) noexcept = default;

  friend constexpr instant operator+(instant t, std::chrono::nanoseconds d) noexcept {
    std::int64_t sum = 0;
    if (__builtin_add_overflow(t.ns, d.count(), &sum)) return d.count() < 0 ? min() : max();
    return {sum};
  }
  friend constexpr instant operator-(instant t, std::chrono::nanoseconds d) noexcept {
    std::int64_t difference = 0;
    if (__builtin_sub_overflow(t.ns, d.count(), &difference)) return d.count() < 0 ? max() : min();
    return {difference};
  }
  /// The time from `b` to `a`, saturating.
  friend constexpr std::chrono::nanoseconds operator-(instant a, instant b) noexcept {
    std::int64_t difference = 0;
    if (__builtin_sub_overflow(a.ns, b.ns, &difference)) return (a < b ? min() : max()).since_epoch();
    return std::chrono::nanoseconds(difference);
  }
  constexpr instant& operator+=(std::chrono::nanoseconds d) noexcept { return *this = *this + d; }
};

}  // namespace tideover::inline v0
