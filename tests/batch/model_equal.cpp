// SPDX-License-Identifier: BSL-1.0
#include "batch/walk.hpp"

TEST_CASE("B18: equal items, as the oracle says", "[model]") {
  walk_tally t;
  CHECK(walk_all<tideover::reject, walk_equals, tideover::eager, walk_bytes, tideover::retry_items>(
            {.eager = true, .retry = true, .dedupe = true}, true, batch_steps(), run_seed(), t) == "");
  CHECK(t.duplicates > 0);
}

TEST_CASE("B11: B18: equal items where the oldest give way, as the oracle says", "[model]") {
  walk_tally t;
  CHECK(walk_all<tideover::drop_oldest, walk_equals, walk_bytes, tideover::retry_items>(
            {.drop_oldest = true, .retry = true, .dedupe = true}, true, batch_steps(), run_seed(), t) == "");
  CHECK(t.duplicates > 0);
}
