// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

/// Counts what this thread allocates. The executable must hold exactly one translation unit that includes
/// `allocation_hooks.hpp`; `allocation_counter::works()` says whether it does, and a test that asserts "no
/// allocation" asserts that first, or it could not fail.
namespace tideover_test {

struct allocation_tally {
  std::size_t allocations = 0;
  std::size_t bytes = 0;
};

inline constinit thread_local allocation_tally allocated_here{};

/// What was allocated by this thread since the counter was made.
class allocation_counter {
 public:
  allocation_counter() noexcept : start_(allocated_here) {}

  std::size_t allocations() const noexcept { return allocated_here.allocations - start_.allocations; }
  std::size_t bytes() const noexcept { return allocated_here.bytes - start_.bytes; }

  static bool works() {
    allocation_counter const counter;
    ::operator delete(
        ::operator new(32));  // the function, not the expression: that one may be optimised away
    return counter.allocations() == 1 && counter.bytes() == 32;
  }

 private:
  allocation_tally start_;
};

}  // namespace tideover_test
