// SPDX-License-Identifier: BSL-1.0
// expect: tideover::stampede_guard: compute must be callable as compute(Key const&, std::stop_token),
// compute(Key const&) or compute()
#include <tideover/guarded_cache.hpp>
#include <tideover/single_flight.hpp>

int use(tideover::stampede_guard<tideover::ttl_cache<int, tideover::cached<int>>>& guard) {
  return guard.get_or_compute(1, [](int const&, int) { return 1; });
}
