// SPDX-License-Identifier: BSL-1.0
// expect: tideover::stampede_guard: compute must return a value, a tideover::cached of one, or a result of
// either
#include <tideover/guarded_cache.hpp>
#include <tideover/single_flight.hpp>

struct page {};
int use(tideover::stampede_guard<tideover::ttl_cache<int, tideover::cached<int>>>& guard) {
  return guard.get_or_compute(1, [] { return page(); });
}
