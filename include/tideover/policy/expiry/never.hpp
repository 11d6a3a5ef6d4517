// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/expiry.hpp>

namespace tideover::inline v0 {

/// Nothing expires: no byte an entry, no clock reading, no branch. A TTL given to the options or to a put has
/// no effect, but a put TTL of zero or less still stores nothing.
struct never {
  using policy_axis = axis::expiry;
  static constexpr bool expires = false;
  static constexpr bool hits_need_no_lock = true;
  struct hook {};

  static void on_write(hook&, instant, std::chrono::nanoseconds) noexcept {}
  static void on_hit(hook&, instant) noexcept {}
  static instant deadline(hook const&) noexcept { return instant::max(); }
};

}  // namespace tideover::inline v0
