// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/catch.hpp"

#include <tideover/policy/clock.hpp>
#include <tideover/policy/eviction/fifo.hpp>
#include <tideover/policy/eviction/lru.hpp>
#include <tideover/policy/eviction/unbounded.hpp>
#include <tideover/policy/expiry/after_access.hpp>
#include <tideover/policy/expiry/after_write.hpp>
#include <tideover/policy/expiry/never.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/ttl_cache.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

/// What the clause tests share: a cache on a manual clock, and the sums that must always hold.
namespace tideover_test {

using namespace std::chrono_literals;
using tideover::manual_clock;

template <class... Policies>
using int_cache = tideover::ttl_cache<int, int, manual_clock, Policies...>;

inline tideover::ttl_cache_options sized(std::size_t capacity, std::chrono::nanoseconds ttl = 1min) {
  tideover::ttl_cache_options options;
  options.capacity = capacity;
  options.ttl = ttl;
  return options;
}

inline tideover::put_options living(std::chrono::nanoseconds ttl) {
  tideover::put_options options;
  options.ttl = ttl;
  return options;
}

/// C8: the sums of the contract.
inline bool adds_up(tideover::cache_stats const& s) {
  return s.gets == s.hits + s.misses && s.puts == s.inserted + s.replaced + s.refused &&
         s.inserted == s.resident + s.expired + s.evicted + s.erased + s.cleared;
}

}  // namespace tideover_test

using namespace tideover_test;
