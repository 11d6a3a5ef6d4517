// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ttl_cache: see tideover::locking_policy in <tideover/policy/locking.hpp>
#include <tideover/ttl_cache.hpp>

#include <cstddef>

// Its number of shards is no power of two.
struct three_shards : tideover::sharded<4> {
  static constexpr std::size_t max_shards = 3;
};

tideover::ttl_cache<int, int, three_shards> cache({});
