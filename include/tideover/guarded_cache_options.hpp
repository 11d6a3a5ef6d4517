// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/stampede_guard_options.hpp>
#include <tideover/ttl_cache_options.hpp>

#include <chrono>
#include <cstddef>

namespace tideover::inline v0 {

/// What an operator tunes of a `guarded_cache`: of its cache the bounds, of its guard the rest. Each is
/// described where it belongs, `ttl_cache_options` and `stampede_guard_options`, and has the bounds said
/// there.
struct guarded_cache_options {
  std::size_t capacity = 10'000;
  std::chrono::nanoseconds ttl = std::chrono::minutes(5);
  std::chrono::nanoseconds stale_while_revalidate = std::chrono::nanoseconds(0);
  std::chrono::nanoseconds stale_if_error = std::chrono::nanoseconds(0);
  std::chrono::nanoseconds negative_ttl = std::chrono::nanoseconds(0);
  double ttl_jitter = 0.0;
  std::size_t max_weight = 0;
  std::size_t max_waiters = 100'000;
  std::size_t max_failing = 10'000;
  bool stop_unwanted = false;

  /// Every put of the guard says how long its entry lives: the cache's own TTL is for nobody.
  ttl_cache_options of_cache() const noexcept {
    ttl_cache_options o;
    o.capacity = capacity;
    o.max_weight = max_weight;
    return o;
  }
  stampede_guard_options of_guard() const noexcept {
    stampede_guard_options o;
    o.ttl = ttl;
    o.stale_while_revalidate = stale_while_revalidate;
    o.stale_if_error = stale_if_error;
    o.negative_ttl = negative_ttl;
    o.ttl_jitter = ttl_jitter;
    o.max_waiters = max_waiters;
    o.max_failing = max_failing;
    o.stop_unwanted = stop_unwanted;
    return o;
  }
};

}  // namespace tideover::inline v0
