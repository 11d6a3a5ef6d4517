// SPDX-License-Identifier: BSL-1.0
#include "batch/walk.hpp"

TEST_CASE("B9: keys, retries and dropping, as the oracle says", "[model]") {
  walk_tally t;
  CHECK(walk_all<tideover::drop_oldest, walk_keys, tideover::retry_items, walk_bytes>(
            {.drop_oldest = true, .keyed = true, .retry = true}, true, batch_steps(), run_seed(), t) == "");
  CHECK(t.ended[std::size_t(batch_oracle::state::dropped)] > 0);
  CHECK(t.retries > 0);
}

TEST_CASE("B7: eager, with keys and bisecting, as the oracle says", "[model]") {
  walk_tally t;
  CHECK(walk_all<tideover::reject, walk_keys, tideover::eager, tideover::bisect, tideover::retry_items>(
            {.eager = true, .keyed = true, .retry = true, .bisect = true}, false, batch_steps(), run_seed(),
            t) == "");
  CHECK(t.triggers[std::size_t(batch_trigger::idle)] > 0);
}
