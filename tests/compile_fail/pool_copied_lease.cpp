// SPDX-License-Identifier: BSL-1.0
// expect: deleted
#include <tideover/connection_pool.hpp>

tideover::lease<int> twice(tideover::lease<int> const& once) { return once; }
