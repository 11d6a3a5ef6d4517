// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "cache/computing.hpp"

#include <tideover/guarded_cache.hpp>
#include <tideover/policy/executor.hpp>
#include <tideover/policy/retryable.hpp>
#include <tideover/single_flight.hpp>
#include <tideover/stampede_guard.hpp>
#include <tideover/xfetch.hpp>

#include <stdexcept>
#include <string>

/// What the clause tests share: a guard over a ttl_cache of ints on a manual clock. Early refresh is off
/// unless a test turns it on, so that nothing happens by chance.
namespace tideover_test {

using tideover::cached;
using tideover::serving;
using tideover::stampede_guard_options;
using tideover::stampede_stats;

using int_store = tideover::ttl_cache<int, cached<int>, manual_clock>;

template <class... Policies>
using int_guard = tideover::stampede_guard<int_store, Policies...>;
/// Nothing by chance: no early refresh, no backoff.
using plain_guard = int_guard<tideover::no_early_refresh, tideover::no_backoff>;

/// ttl 10 s, then 5 s stale while it is revalidated, and 60 s if errors make it so.
inline stampede_guard_options living(std::chrono::nanoseconds ttl, std::chrono::nanoseconds revalidate,
                                     std::chrono::nanoseconds if_error) {
  stampede_guard_options o;
  o.ttl = ttl;
  o.stale_while_revalidate = revalidate;
  o.stale_if_error = if_error;
  return o;
}
inline stampede_guard_options usual() { return living(10s, 5s, 60s); }

/// An origin that counts how often it is asked, takes a time of its own, and fails when told to.
struct origin {
  manual_clock clock;
  std::chrono::nanoseconds delay{0};
  int asked = 0;
  int value = 0;
  bool fails = false;

  int operator()() {
    ++asked;
    clock.advance(delay);
    if (fails) throw std::runtime_error("the origin is down");
    return ++value;
  }
};

inline stampede_guard_options with_waiters(stampede_guard_options o, std::size_t most) {
  o.max_waiters = most;
  return o;
}

}  // namespace tideover_test
