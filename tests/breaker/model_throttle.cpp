// SPDX-License-Identifier: BSL-1.0
#include "breaker/walk.hpp"

TEST_CASE("a random walk of adaptive_throttle agrees with the oracle", "[model]") {
  SECTION("as it comes") {
    walk_all<tideover::adaptive_throttle>({.trip = trips::throttle, .buckets = 12}, false);
  }
  SECTION("with a ramp, doubling, for one thread") {
    walk_all<tideover::adaptive_throttle, tideover::ramp<4>, tideover::open_exponential,
             tideover::single_threaded>(
        {.trip = trips::throttle, .buckets = 12, .ramp_steps = 4, .doubling = true, .limit = 20s}, false,
        tideover::open_exponential{.limit = 20s});
  }
}
