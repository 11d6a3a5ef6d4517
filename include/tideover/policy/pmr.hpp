// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/allocator.hpp>

#include <memory_resource>

namespace tideover::inline v0 {

/// A component's memory from a std::pmr::memory_resource, which must outlive it:
///
///     tideover::ttl_cache<int, int, tideover::pmr_allocator> cache({}, tideover::pmr_allocator(&arena));
///
/// In a header of its own, because <memory_resource> is not cheap to include.
using pmr_allocator = allocate_with<std::pmr::polymorphic_allocator<std::byte>>;

}  // namespace tideover::inline v0
