// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/instant.hpp>

#include <chrono>
#include <stop_token>
#include <utility>

namespace tideover::inline v0 {

/// How long a caller is willing to wait: until an instant of the component's clock, or until its stop_token
/// is triggered, whichever comes first. The default waits for ever.
///
///     pages.get_or_compute("/", render, tideover::deadline::after(pages.clock(), 50ms));
///
/// It ends a wait, never a function of the user's that is already running.
struct deadline {
  instant at = instant::max();
  std::stop_token stop{};

  /// `patience` from now by the clock's precise time; zero or less has passed already.
  template <class Clock>
  static deadline after(Clock const& clock, std::chrono::nanoseconds patience, std::stop_token stop = {}) {
    return {clock.precise_now() + patience, std::move(stop)};
  }
  static deadline never() noexcept { return {}; }

  bool passed(instant now) const noexcept { return now >= at; }
};

}  // namespace tideover::inline v0
