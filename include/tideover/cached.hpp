// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/instant.hpp>

#include <chrono>
#include <cstdint>

namespace tideover::inline v0 {

/// A value with what is needed to decide whether it may still be served: the envelope that stores hold when
/// something around them refreshes early, serves stale values or moves values between tiers.
/// A plain aggregate; what T is, it is.
template <class T>
struct cached {
  T value;
  instant created{};                     ///< when its computation began
  instant soft_expiry = instant::max();  ///< fresh before this instant
  instant hard_expiry = instant::max();  ///< never served from this instant on; not before `soft_expiry`
  std::chrono::nanoseconds delta{0};     ///< what computing it costs, as an average
  std::uint64_t generation = 0;          ///< of the store when its computation began

  /// Fresh before `soft_expiry`, stale from then on, gone from `hard_expiry` on.
  constexpr bool fresh(instant now) const noexcept { return now < soft_expiry && now < hard_expiry; }
  constexpr bool stale(instant now) const noexcept { return !fresh(now) && now < hard_expiry; }
  constexpr bool gone(instant now) const noexcept { return now >= hard_expiry; }
};

}  // namespace tideover::inline v0
