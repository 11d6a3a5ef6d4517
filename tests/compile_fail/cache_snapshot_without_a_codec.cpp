// SPDX-License-Identifier: BSL-1.0
// expect: tideover: no snapshot codec for this type; see tideover::snapshot_codec
#include <tideover/cache_snapshot.hpp>
#include <tideover/ttl_cache.hpp>

#include <ostream>
#include <string>

struct profile {
  std::string name;
};

void keep(tideover::ttl_cache<int, profile>& cache, std::ostream& out) {
  tideover::save_snapshot(cache, out);
}
