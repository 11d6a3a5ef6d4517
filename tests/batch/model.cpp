// SPDX-License-Identifier: BSL-1.0
#include "batch/walk.hpp"

namespace {
template <class... Policies>
walk_tally walked(oracle_rules rules, bool measured) {
  walk_tally t;
  CHECK(walk_all<Policies...>(rules, measured, batch_steps(), run_seed(), t) == "");
  return t;
}
bool happened(walk_tally const& t, batch_oracle::state s) { return t.ended[std::size_t(s)] != 0; }
using end = batch_oracle::state;
}  // namespace

TEST_CASE("B2: every accepted item is settled once, as the oracle says", "[model]") {
  auto const t = walked<tideover::reject>({}, false);
  CHECK(happened(t, end::delivered));
  CHECK(happened(t, end::failed));
  CHECK(happened(t, end::mismatched));
  CHECK(happened(t, end::expired));
  CHECK(happened(t, end::cancelled));
  CHECK(happened(t, end::shut_down));
  CHECK(t.rejected > 0);
  CHECK(t.nested > 0);
  // As deep as three only now and then.
  CHECK(t.in_flight_most >= (batch_steps() < 20'000 ? 2 : 3));
  CHECK(t.splits > 0);
}

TEST_CASE("B27: by hand and with a manual clock: bytes, retries, bisecting, dropping", "[model]") {
  auto const t = walked<walk_bytes, tideover::drop_oldest, tideover::retry_items, tideover::bisect,
                        tideover::oversize_alone>(
      {.drop_oldest = true, .retry = true, .bisect = true, .alone = true}, true);
  CHECK(happened(t, end::dropped));
  CHECK(t.retries > 0);
  CHECK(t.splits > 0);
  for (auto const why : {batch_trigger::count, batch_trigger::bytes, batch_trigger::time,
                         batch_trigger::flush, batch_trigger::shutdown}) {
    CHECK(t.triggers[std::size_t(why)] > 0);
  }
}
