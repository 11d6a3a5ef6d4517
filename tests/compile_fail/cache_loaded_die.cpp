// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ttl_cache: see tideover::rng_policy in <tideover/policy/rng.hpp>
#include <tideover/ttl_cache.hpp>

#include <cstdint>

// It cannot be seeded.
struct loaded_die {
  using policy_axis = tideover::axis::rng;
  std::uint64_t operator()() noexcept { return 4; }
};

tideover::ttl_cache<int, int, loaded_die> cache({});
