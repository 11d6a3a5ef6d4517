// SPDX-License-Identifier: BSL-1.0
// expect: tideover::sharded: the number of shards must be a power of two
// expect-errors: 1
#include <tideover/policy/locking.hpp>

using no_locking = tideover::sharded<3>::mutex_type;
