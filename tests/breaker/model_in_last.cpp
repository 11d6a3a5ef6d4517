// SPDX-License-Identifier: BSL-1.0
#include "breaker/walk.hpp"

TEST_CASE("a random walk of failure_rate_in_last agrees with the oracle", "[model]") {
  SECTION("as it comes") {
    walk_all<tideover::failure_rate_in_last<30>>({.trip = trips::in_last, .last = 30}, true);
  }
  SECTION("with a ramp, doubling, for one thread") {
    walk_all<tideover::failure_rate_in_last<30>, tideover::ramp<4>, tideover::open_exponential,
             tideover::single_threaded>(
        {.trip = trips::in_last, .last = 30, .ramp_steps = 4, .doubling = true, .limit = 20s}, true,
        tideover::open_exponential{.limit = 20s});
  }
}
