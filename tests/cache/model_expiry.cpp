// SPDX-License-Identifier: BSL-1.0
#include "cache/model.hpp"

#include <tideover/policy/eviction/fifo.hpp>
#include <tideover/policy/eviction/lru.hpp>

namespace {

using single_both =
    combination<ages::after_write_or_access, tideover::after_write_or_access, tideover::single_threaded>;
using shards_both =
    combination<ages::after_write_or_access, tideover::after_write_or_access, tideover::sharded<16>>;
using single_own = combination<ages::per_entry, tideover::per_entry<some_life>, tideover::single_threaded>;
using one_shard_own = combination<ages::per_entry, tideover::per_entry<some_life>, tideover::sharded<1>>;

template <class Combination, class Eviction>
walk_report walk_with(keeps eviction) {
  oracle_rules rules{.eviction = eviction, .expiry = Combination::expiry};
  if (Combination::expiry == ages::per_entry) rules.live = some_life();
  // As many steps with each eviction policy: together beyond 100,000 for each way to expire.
  return walk_small<typename Combination::template with<Eviction>>(rules);
}

}  // namespace

TEMPLATE_TEST_CASE("a random walk of each way to expire agrees with the oracle", "[model]", single_both,
                   shards_both, single_own, one_shard_own) {
  for (bool const lru : {true, false}) {
    keeps const eviction = lru ? keeps::lru : keeps::fifo;
    walk_report const report =
        lru ? walk_with<TestType, tideover::lru>(eviction) : walk_with<TestType, tideover::fifo>(eviction);
    INFO(report.problem);
    CHECK(report.problem.empty());
    check_the_walk_went_everywhere(report, eviction, TestType::expiry);
    if (TestType::expiry == ages::after_write_or_access && model_steps() >= 4000)
      CHECK(report.tally.capped_by_the_write > 0);
  }
}
