// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/expiry.hpp>

#include <algorithm>
#include <chrono>
#include <optional>

namespace tideover::inline v0 {

/// An entry lives for `ttl` from its last write and for `idle_ttl` from its last use, whichever ends first:
/// sessions that must be renewed however busy they are. A put's own TTL stands for the first. Looking without
/// using does not count, and an entry that has expired is never revived. 24 bytes an entry.
struct after_write_or_access {
  using policy_axis = axis::expiry;
  static constexpr bool expires = true;
  struct hook {
    instant last;  // the end that no use can put off
    instant deadline;
    std::chrono::nanoseconds idle;
  };

  static void on_write(hook& h, instant now, std::chrono::nanoseconds life,
                       std::chrono::nanoseconds idle) noexcept {
    h = {now + life, now + std::min(life, idle), idle};
  }
  static void on_hit(hook& h, instant now) noexcept {
    h.deadline = std::min(h.last, std::max(h.deadline, now + h.idle));
  }
  static instant deadline(hook const& h) noexcept { return h.deadline; }
  /// Unknown where the life since the write ends first.
  static std::optional<instant> last_use(hook const& h) noexcept {
    if (h.deadline == h.last) return std::nullopt;
    return h.deadline - h.idle;
  }
};

}  // namespace tideover::inline v0
