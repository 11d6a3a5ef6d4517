// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>

namespace tideover::inline v0 {

/// What an operator tunes of a `breaker_registry`.
struct breaker_registry_options {
  /// The most breakers, 1 to 4,000,000,000; the one used least recently goes for a new one.
  std::size_t capacity = 10'000;
  /// A breaker that nobody asked for so long is forgotten, closed or not; above zero. Should be longer than
  /// any breaker stays open.
  std::chrono::nanoseconds idle_ttl = std::chrono::hours(1);
};

}  // namespace tideover::inline v0
