// SPDX-License-Identifier: BSL-1.0
#include "breaker/walk.hpp"

TEST_CASE("a random walk of failure_rate_over agrees with the oracle", "[model]") {
  SECTION("as it comes") {
    walk_all<tideover::failure_rate_over<5>>({.trip = trips::over, .buckets = 5}, true);
  }
  SECTION("with a ramp, doubling, for one thread") {
    walk_all<tideover::failure_rate_over<5>, tideover::ramp<4>, tideover::open_exponential,
             tideover::single_threaded>(
        {.trip = trips::over, .buckets = 5, .ramp_steps = 4, .doubling = true, .limit = 20s}, true,
        tideover::open_exponential{.limit = 20s});
  }
}
