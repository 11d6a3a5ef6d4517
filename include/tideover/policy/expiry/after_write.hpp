// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/expiry.hpp>

namespace tideover::inline v0 {

/// An entry lives for its TTL from the last time its value was written; reading does not prolong it. 8 bytes
/// an entry.
struct after_write {
  using policy_axis = axis::expiry;
  static constexpr bool expires = true;
  static constexpr bool hits_need_no_lock = true;
  struct hook {
    instant deadline;
  };

  static void on_write(hook& h, instant now, std::chrono::nanoseconds life) noexcept {
    h.deadline = now + life;
  }
  static void on_hit(hook&, instant) noexcept {}
  static instant deadline(hook const& h) noexcept { return h.deadline; }
};

}  // namespace tideover::inline v0
