// SPDX-License-Identifier: BSL-1.0
#include "batch/walk.hpp"

TEST_CASE("B2: relaxed bounds: one thread sees the same as with exact ones, as the oracle says", "[model]") {
  walk_tally t;
  CHECK(walk_all<tideover::reject, tideover::relaxed_bounds, tideover::retry_items, tideover::bisect>(
            {.retry = true, .bisect = true}, false, batch_steps(), run_seed(), t) == "");
  for (auto const why : {batch_trigger::count, batch_trigger::time, batch_trigger::flush}) {
    CHECK(t.triggers[std::size_t(why)] > 0);
  }
  CHECK(t.rejected > 0);
  CHECK(t.ended[std::size_t(batch_oracle::state::cancelled)] > 0);
  CHECK(t.ended[std::size_t(batch_oracle::state::expired)] > 0);
}
