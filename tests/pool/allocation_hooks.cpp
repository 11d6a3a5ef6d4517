// SPDX-License-Identifier: BSL-1.0
// The one translation unit of this executable that counts and fails allocations.
#include "support/allocation_hooks.hpp"
