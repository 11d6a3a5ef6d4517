// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ttl_cache: see tideover::clock_policy in <tideover/policy/clock.hpp>
#include <tideover/ttl_cache.hpp>

// Its now() may throw and is no instant.
struct unsteady_clock {
  using policy_axis = tideover::axis::clock;
  long now() const { return 0; }
};

tideover::ttl_cache<int, int, unsteady_clock> cache({});
