// SPDX-License-Identifier: BSL-1.0
// expect: tideover::single_flight: compute must return a value, or a result of one
#include <tideover/guarded_cache.hpp>
#include <tideover/single_flight.hpp>

struct page {};
int use(tideover::single_flight<int, int>& flights) {
  return flights.run(1, [] { return page(); });
}
