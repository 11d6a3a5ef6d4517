// SPDX-License-Identifier: BSL-1.0
#include "breaker/walk.hpp"

TEST_CASE("a random walk of consecutive_failures agrees with the oracle", "[model]") {
  SECTION("as it comes") { walk_all<tideover::consecutive_failures>({.trip = trips::in_a_row}, false); }
  SECTION("with a ramp, doubling, for one thread") {
    walk_all<tideover::consecutive_failures, tideover::ramp<4>, tideover::open_exponential,
             tideover::single_threaded>(
        {.trip = trips::in_a_row, .ramp_steps = 4, .doubling = true, .limit = 20s}, false,
        tideover::open_exponential{.limit = 20s});
  }
}
