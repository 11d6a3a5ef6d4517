// SPDX-License-Identifier: BSL-1.0
// Policies in any order, a bundle for the house, and the same type with a test's clock.
#include <tideover/ttl_cache.hpp>

#include <cstdio>
#include <string>
#include <type_traits>

using sessions =
    tideover::ttl_cache<std::string, int, tideover::fifo, tideover::sharded<64>, tideover::after_access>;

struct house : tideover::bundle<tideover::fifo, tideover::one_mutex, tideover::steady> {};
using live = tideover::ttl_cache<std::string, int, house>;
using tested =
    tideover::ttl_cache<std::string, int, house, tideover::manual_clock>;  // named directly: it wins

static_assert(std::is_same_v<live::clock_type, tideover::steady>);
static_assert(std::is_same_v<tested::clock_type, tideover::manual_clock>);
static_assert(std::is_same_v<tested::eviction_type, tideover::fifo>);

int main() {
  sessions s({.capacity = 1'000'000});
  std::printf("%zu shards\n", s.shards());
}
// expect: 64 shards
