// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <utility>

namespace tideover_test {

/// How long a stress test goes on: for `least` turns, and then until its races were `met()`, since threads
/// meet seldom where processors are few or busy. It does not go on for more than two minutes: a race that was
/// not met by then is for the test to report.
template <class Met>
class stress_turns {
 public:
  stress_turns(std::size_t least, Met met) : least_(least), met_(std::move(met)) {}

  /// Whether there is another turn after `done`. By all threads at once, if they may call `met` so.
  bool operator()(std::size_t done) const {
    return done < least_ || (!met_() && std::chrono::steady_clock::now() < end_);
  }

 private:
  std::size_t least_;
  Met met_;
  std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + std::chrono::minutes(2);
};

}  // namespace tideover_test
