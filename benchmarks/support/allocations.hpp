// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

namespace bench {

/// How often operator new was called. A program that links support/allocations.cpp has one that counts.
std::size_t allocations();

}  // namespace bench
