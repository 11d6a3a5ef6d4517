// SPDX-License-Identifier: BSL-1.0
// The walk can see: an oracle with a flaw and a batch processor without one soon disagree.
#include "batch/walk.hpp"

namespace {
template <class... Policies>
void finds(oracle_rules rules, bool measured, std::initializer_list<oracle_flaw> flaws) {
  for (auto const flaw : flaws) {
    rules.flaw = flaw;
    walk_tally t;
    CAPTURE(int(flaw));
    CHECK(walk_all<Policies...>(rules, measured, 40'000, run_seed(), t) != "");
  }
}
}  // namespace

TEST_CASE("the walks find an oracle's flaws", "[model]") {
  finds<walk_bytes, tideover::drop_oldest, tideover::retry_items, tideover::bisect, tideover::oversize_alone>(
      {.drop_oldest = true, .retry = true, .bisect = true, .alone = true}, true,
      {oracle_flaw::linger_from_the_last_item, oracle_flaw::one_item_too_many, oracle_flaw::forgets_bytes,
       oracle_flaw::drops_the_newest, oracle_flaw::retries_everything, oracle_flaw::attempts_once_more,
       oracle_flaw::expired_are_sent, oracle_flaw::cancels_the_sealed, oracle_flaw::too_large_counts,
       oracle_flaw::splits_lose_order, oracle_flaw::flush_covers_later_items,
       oracle_flaw::shutdown_forgets_in_flight});
  finds<tideover::reject, walk_keys, tideover::retry_items>({.keyed = true, .retry = true}, false,
                                                            {oracle_flaw::keys_overtake});
  finds<tideover::reject, walk_equals, walk_bytes>({.dedupe = true}, true,
                                                   {oracle_flaw::duplicates_take_room_in_the_batch});
}
