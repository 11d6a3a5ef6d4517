// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/deadline.hpp>

#include <cstddef>

namespace tideover::inline v0 {

/// What a failed call means for the others of its group.
enum class error_handling : unsigned char {
  fail_fast,    ///< the first failure cancels what has not begun
  collect_all,  ///< everything is called, whatever fails
};

constexpr char const* to_string(error_handling e) noexcept {
  switch (e) {
    case error_handling::fail_fast:
      return "fail_fast";
    case error_handling::collect_all:
      return "collect_all";
  }
  return "unknown";
}

/// What became of one group of calls.
struct parallel_report {
  std::size_t calls = 0;      ///< calls that were asked for; in a pipeline, items times stages
  std::size_t started = 0;    ///< of these, begun
  std::size_t failed = 0;     ///< begun and failed
  std::size_t cancelled = 0;  ///< never begun: cancelled, or in a pipeline behind a stage that failed
  std::size_t helpers = 0;    ///< times that the executor was given a part of the work
  std::size_t refused = 0;    ///< times that it took none: full, closed, or it threw
};

/// What may be chosen for `gather`, `map_reduce`, `scatter_gather`, `round_robin` and `pipeline`.
struct parallel_options {
  /// How many calls may be under way at once, that of the caller included; 0 to 65,536. 0: as many as there
  /// are calls, up to 256. The executor may run fewer.
  std::size_t max_workers = 0;
  /// Whether the first failure cancels what has not begun.
  error_handling errors = error_handling::fail_fast;
  /// When it comes, nothing more is begun. Calls under way are told, if they take a `deadline`, and waited
  /// for. An instant of `steady`, unless the executor comes `with_clock`.
  deadline until = {};
  /// Where to write what happened, before the function returns or throws. May be null.
  parallel_report* report = nullptr;
};

}  // namespace tideover::inline v0
