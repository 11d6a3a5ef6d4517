// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace tideover::inline v0 {

/// What an operator tunes of a `single_flight`. The constructor throws `error(errc::invalid_argument)`,
/// naming field, value and bounds, for anything outside of them.
struct single_flight_options {
  /// How many callers may wait for one computation, 0 to 4,000,000,000; more are told errc::queue_full at
  /// once.
  std::size_t max_waiters = 100'000;
  /// A computation that takes a stop_token is told to stop when each caller that it runs for has given up: by
  /// its deadline or stop_token while waiting, by its stop_token while computing; who asks from then on
  /// begins another. Otherwise it is never told; nor is one with `single_threaded`, where nobody could.
  bool stop_unwanted = false;
};

/// What a `single_flight` has counted since it was made.
struct single_flight_stats {
  std::uint64_t computations = 0;         ///< user functions started
  std::uint64_t computations_failed = 0;  ///< of these, those that threw or returned a failure
  std::uint64_t abandoned = 0;            ///< and those whose thread went away
  std::uint64_t coalesced =
      0;  ///< callers that waited for another's computation; one whose leader was lost counts again
  std::uint64_t timed_out = 0;   ///< callers whose deadline ended their wait
  std::uint64_t cancelled = 0;   ///< callers whose stop_token did
  std::uint64_t recursions = 0;  ///< waits refused, as they would have closed a cycle
  std::uint64_t refused = 0;     ///< callers turned away by `max_waiters`
  std::uint64_t running = 0;     ///< computations at this moment
};

}  // namespace tideover::inline v0
