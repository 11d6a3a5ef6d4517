// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/expiry.hpp>

#include <algorithm>
#include <chrono>
#include <optional>

namespace tideover::inline v0 {

/// An entry lives for its TTL from the last time it was read or written: sessions. Looking without using
/// (peek, contains) does not count, and an entry that has expired is never revived. 16 bytes an entry.
struct after_access {
  using policy_axis = axis::expiry;
  static constexpr bool expires = true;
  struct hook {
    instant deadline;
    std::chrono::nanoseconds life;
  };

  static void on_write(hook& h, instant now, std::chrono::nanoseconds life) noexcept {
    h = {now + life, life};
  }
  /// A thread may read the clock and be overtaken by one that read it later: the later use counts.
  static void on_hit(hook& h, instant now) noexcept { h.deadline = std::max(h.deadline, now + h.life); }
  static instant deadline(hook const& h) noexcept { return h.deadline; }
  /// Unknown where the sum was too long to tell.
  static std::optional<instant> last_use(hook const& h) noexcept {
    if (h.deadline == instant::max()) return std::nullopt;
    return h.deadline - h.life;
  }
};

}  // namespace tideover::inline v0
