// SPDX-License-Identifier: BSL-1.0
// expect: constraint
#include <tideover/policy/policy.hpp>

struct house : tideover::bundle<int> {};
