// SPDX-License-Identifier: BSL-1.0
#include "support/allocation_hooks.hpp"
