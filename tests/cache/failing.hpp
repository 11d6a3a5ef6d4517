// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "cache/common.hpp"
#include "support/allocation_counter.hpp"
#include "support/fail_points.hpp"
#include "support/throwing.hpp"

#include <tideover/policy/hashing.hpp>

#include <functional>
#include <map>
#include <memory>

namespace tideover_test {

using fragile = throwing<point::all>;
using contents = std::map<int, int>;

/// A cache whose keys, values, hash, equality and memory all fail on demand. The fixture lives on the heap,
/// so that a run can make a fresh one; it holds keys 1 to `filled` with ten times their number, and key -1,
/// which has expired.
template <class... Policies>
struct fragile_cache {
  using cache_type =
      tideover::ttl_cache<fragile, fragile, manual_clock, tideover::lru, tideover::single_threaded,
                          tideover::hash_by<fragile::hasher>, Policies...>;

  explicit fragile_cache(tideover::ttl_cache_options options, int filled = 4) : cache(options, clock) {
    cache.put(fragile(-1), fragile(-10), living(1s));
    for (int key = 1; key <= filled; ++key) cache.put(fragile(key), fragile(key * 10));
    clock.advance(1s);
    before = held();
    stats_before = cache.stats();
  }

  /// The live entries.
  contents held() {
    contents all;
    cache.for_each([&](fragile const& key, fragile const& value) { all[key.id()] = value.id(); });
    return all;
  }
  std::optional<int> at(int key) {
    auto const got = cache.peek(fragile(key));
    return got ? std::optional(got->id()) : std::nullopt;
  }

  /// The strong guarantee: no live entry was lost, changed or added, and the cache still works.
  bool unchanged() { return held() == before && sound(); }
  bool sound() {
    if (!adds_up(cache.stats())) return false;
    for (auto const& [key, value] : held())
      if (at(key) != value) return false;  // the index and the entries agree
    return true;
  }
  /// New entries come in, old ones go out, each is found.
  bool works() {
    for (int key = 100; key < 120; ++key) {
      if (!cache.put(fragile(key), fragile(key)) || at(key) != key) return false;
      if (cache.get_or_compute(fragile(key + 100), [&] { return fragile(key); }).id() != key) return false;
    }
    return cache.erase(fragile(119)) && !at(119) && sound();
  }

  manual_clock clock;
  cache_type cache;
  contents before;
  tideover::cache_stats stats_before;
};

/// Runs `operation(cache)` with every point failing in turn; a run that threw must have changed nothing, one
/// that did not must satisfy `done(fixture)`. Returns the number of points.
template <class Fixture = fragile_cache<>, class Operation, class Done>
std::size_t hold_to_the_strong_guarantee(tideover::ttl_cache_options options, int filled, Operation operation,
                                         Done done) {
  long const alive = fragile::live();
  std::size_t const points = fail_at_every_point(
      [&] { return std::make_unique<Fixture>(options, filled); },
      [&](auto& fixture) { operation(fixture->cache); },
      [&](auto& fixture, attempt const& how) {
        INFO("point " << how.point << (how.threw ? " threw" : "") << (how.fired ? " fired" : ""));
        if (how.threw) {
          CHECK(fixture->unchanged());
        } else {
          CHECK(fixture->sound());
          CHECK(done(*fixture));
        }
        CHECK(fixture->works());
      });
  CHECK(fragile::live() == alive);  // nothing leaked, nothing destroyed twice
  return points;
}

}  // namespace tideover_test
