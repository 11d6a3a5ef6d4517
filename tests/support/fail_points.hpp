// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <exception>
#include <new>

/// Fail points: places where a test can make an exception appear. Every copy, move, hash, comparison or
/// allocation of a type made for it is one point; `fail_at_every_point` runs an operation with the first
/// point failing, then the second, and so on until it passes with no point left, and checks the promise each
/// time.
///
/// The count belongs to the thread that arms it, so that the other threads of a test never fail by accident.
namespace tideover_test {

struct injected_failure : std::exception {
  char const* what() const noexcept override { return "a fail point of the test"; }
};

struct fail_plan {
  std::size_t fail_at = 0;  ///< 0: not armed
  std::size_t seen = 0;
  bool fired = false;
};

inline constinit thread_local fail_plan failing{};

/// Whether this very point is the one that must fail. What runs after it (rollback) never fails again.
inline bool point_fails() noexcept {
  if (failing.fail_at == 0 || ++failing.seen != failing.fail_at) return false;
  failing.fired = true;
  return true;
}

inline void fail_point() {
  if (point_fails()) throw injected_failure();
}

/// How one run of the operation ended.
struct attempt {
  std::size_t point;  ///< the point that was to fail
  bool fired;         ///< the operation came that far
  bool threw;         ///< and the failure reached the caller
};

/// Runs `operation(state)` on a fresh `setup()` with point 1, 2, 3 ... failing; after each run, with nothing
/// armed, `check(state, attempt)`. Returns how many points there were: a test asserts that there were some.
/// A failing `operator new` is a point too, where the executable holds `allocation_hooks.hpp`.
template <class Setup, class Operation, class Check>
std::size_t fail_at_every_point(Setup setup, Operation operation, Check check) {
  constexpr std::size_t too_many = 100'000;
  for (std::size_t point = 1; point < too_many; ++point) {
    auto state = setup();
    bool threw = false;
    failing = fail_plan{point, 0, false};
    try {
      operation(state);
    } catch (injected_failure const&) {
      threw = true;
    } catch (std::bad_alloc const&) {
      threw = true;
    } catch (...) {
      failing = fail_plan{};
      throw;
    }
    bool const fired = failing.fired;
    failing = fail_plan{};
    check(state, attempt{point, fired, threw});
    if (!fired) return point - 1;
  }
  return too_many;
}

}  // namespace tideover_test
