// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tideover::inline v0 {

/// What an operator tunes of a `data_loader`. The constructor throws `error(errc::invalid_argument)`, naming
/// field, value and bounds, for anything outside of them.
struct data_loader_options {
  /// The most keys of one call of the batch function, 1 to 1,000,000.
  std::size_t max_items = 100;
  /// How long `load` and `load_many` wait for the keys of other threads; 0: not at all. `get` of a `later`
  /// never waits.
  std::chrono::nanoseconds linger = std::chrono::milliseconds(1);
  /// Of its own cache: the most values kept, 1 to 4,000,000,000.
  std::size_t capacity = 10'000;
  /// Of its own cache: how long a value is believed, above zero.
  std::chrono::nanoseconds ttl = std::chrono::minutes(5);

  friend bool operator==(data_loader_options const&, data_loader_options const&) = default;
};

/// What a `data_loader` has counted since it was made. asked = hits + joined + loaded, but for calls that
/// ended by an exception of the store or of a copy.
struct data_loader_stats {
  std::uint64_t asked = 0;       ///< keys asked for, one by one, in batches or for later
  std::uint64_t hits = 0;        ///< of these, found in the store
  std::uint64_t joined = 0;      ///< of these, already waited for by somebody
  std::uint64_t loaded = 0;      ///< of these, a place in a batch of their own
  std::uint64_t batches = 0;     ///< calls of the batch function
  std::uint64_t keys = 0;        ///< that it was given
  std::uint64_t failed = 0;      ///< of these, those without a value
  std::uint64_t mismatches = 0;  ///< calls that gave another number of values than keys
  std::uint64_t primed = 0;      ///< values stored by `prime`
  std::uint64_t outdated = 0;    ///< values given to those who waited and not stored: `clear` came meanwhile
  std::uint64_t abandoned = 0;   ///< calls whose thread went away
  std::uint64_t timed_out = 0;   ///< waits that ended by their deadline
  std::uint64_t cancelled = 0;   ///< waits that ended by their stop_token
  std::uint64_t recursions = 0;  ///< waits for a batch from within that batch
  std::uint64_t store_failures = 0;  ///< exceptions of the store while a value was stored, swallowed
  std::uint64_t pending = 0;         ///< keys that have no answer at this moment
};

}  // namespace tideover::inline v0
