// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "cache/subject.hpp"
#include "support/catch.hpp"

#include <tideover/policy/expiry/after_access.hpp>
#include <tideover/policy/expiry/after_write.hpp>
#include <tideover/policy/expiry/after_write_or_access.hpp>
#include <tideover/policy/expiry/never.hpp>
#include <tideover/policy/expiry/per_entry.hpp>
#include <tideover/policy/locking.hpp>

/// The combinations of expiry and locking that each eviction policy is walked with; one translation unit
/// each.
namespace tideover_test {

template <ages Ages, class Expiry, class Locking>
struct combination {
  static constexpr ages expiry = Ages;
  template <class Eviction>
  using with = walked_cache<Eviction, Expiry, Locking>;
};

using single_after_write = combination<ages::after_write, tideover::after_write, tideover::single_threaded>;
using single_after_access =
    combination<ages::after_access, tideover::after_access, tideover::single_threaded>;
using single_never = combination<ages::never, tideover::never, tideover::single_threaded>;
using one_shard_after_write = combination<ages::after_write, tideover::after_write, tideover::sharded<1>>;
using one_shard_after_access = combination<ages::after_access, tideover::after_access, tideover::sharded<1>>;
using one_shard_never = combination<ages::never, tideover::never, tideover::sharded<1>>;
// A small cache uses one of its sixteen shards, so the whole oracle applies to it as well.
using shards_after_access = combination<ages::after_access, tideover::after_access, tideover::sharded<16>>;

/// A walk that never met an outcome has said nothing about it.
inline void check_the_walk_went_everywhere(walk_report const& report, keeps eviction, ages expiry) {
  if (model_steps() < 4000 || !report.problem.empty()) return;  // too short to promise it
  oracle_tally const& seen = report.tally;
  CHECK(seen.hits > 0);
  CHECK(seen.misses > 0);
  CHECK(seen.replaced > 0);
  CHECK(seen.erased > 0);
  CHECK(seen.computed > 0);
  CHECK(seen.failed > 0);
  CHECK(seen.refused > 0);
  CHECK(seen.outdated > 0);
  if (eviction != keeps::unbounded) CHECK(seen.evicted > 0);
  if (expiry == ages::never) return;
  CHECK(seen.expired > 0);
  CHECK(seen.expired_on_read > 0);
  CHECK(seen.read_on_the_deadline > 0);
  CHECK(seen.evicted_beside_expired * 5 <= seen.evicted);
}

}  // namespace tideover_test

using namespace tideover_test;
