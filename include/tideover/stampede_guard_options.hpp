// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/error.hpp>
#include <tideover/magnitude_histogram.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tideover::inline v0 {

/// What an operator tunes of a `stampede_guard`. The constructor throws `error(errc::invalid_argument)`,
/// naming field, value and bounds, for anything outside of them.
struct stampede_guard_options {
  /// How long a value is fresh, from the end of its computation. Zero or less: values are delivered, not
  /// stored.
  std::chrono::nanoseconds ttl = std::chrono::minutes(5);
  /// For how long after that it is served at once while one caller, or the executor, refreshes it; 0 or
  /// above.
  std::chrono::nanoseconds stale_while_revalidate = std::chrono::nanoseconds(0);
  /// For how long after that it is served when computing fails in a way that may pass; 0 or above.
  std::chrono::nanoseconds stale_if_error = std::chrono::nanoseconds(0);
  /// How long at least a failure answers for a key that has no value, 0 or above; 0: only while it backs off.
  std::chrono::nanoseconds negative_ttl = std::chrono::nanoseconds(0);
  /// `ttl` is shortened by a random share of up to this for each value, 0.0 to 0.5, so that what was computed
  /// or put together does not expire together. A life that the call says is not.
  double ttl_jitter = 0.0;
  /// How many callers may wait for one computation, 0 to 4,000,000,000; more are told errc::queue_full at
  /// once, or given a stale value.
  std::size_t max_waiters = 100'000;
  /// Of about how many keys the last failure is remembered, 1 to 4,000,000,000: each of up to 16 parts, to
  /// which keys belong by their hash, has its share, one at least, and forgets the oldest beyond that.
  std::size_t max_failing = 10'000;
  /// A computation that takes a stop_token is told to stop when each caller that it runs for has given up: by
  /// its deadline or stop_token while waiting, by its stop_token while computing; who asks from then on
  /// begins another. Otherwise, and a refresh by an executor, it is never told; nor is one in a guard for a
  /// single thread, where nobody could.
  bool stop_unwanted = false;
};

/// How an answer of a `stampede_guard` came about.
enum class serving : unsigned char {
  fresh,                   ///< it was there
  stale_while_revalidate,  ///< it was there, past its TTL, and is being refreshed
  computed,                ///< by this call
  joined,                  ///< by another call that this one waited for
  stale_if_error,          ///< it was there, past its TTL; no newer one could be had: `served::why`
};

constexpr char const* to_string(serving how) noexcept {
  switch (how) {
    case serving::fresh:
      return "fresh";
    case serving::stale_while_revalidate:
      return "stale_while_revalidate";
    case serving::computed:
      return "computed";
    case serving::joined:
      return "joined";
    case serving::stale_if_error:
      return "stale_if_error";
  }
  return "unknown";
}

/// A value with how it came about.
template <class T>
struct served {
  T value;
  serving how = serving::fresh;
  failure why{};  ///< with `stale_if_error`: what kept a newer value from being there

  bool stale() const noexcept {
    return how == serving::stale_while_revalidate || how == serving::stale_if_error;
  }
};

/// Computations by what they were begun for.
struct computation_counts {
  std::uint64_t miss = 0;   ///< there was no value that might be served
  std::uint64_t early = 0;  ///< the value was fresh still
  std::uint64_t stale = 0;  ///< it was past its TTL
  constexpr std::uint64_t total() const noexcept { return miss + early + stale; }
};

/// Stale values by why they were served.
struct stale_counts {
  std::uint64_t revalidate = 0;
  std::uint64_t error = 0;
};

/// What a `stampede_guard` has counted since it was made; a consistent sum when no call is under way. A hit
/// on a fresh value that nobody is to refresh counts nothing here: the store counts it.
struct stampede_stats {
  computation_counts computations{};  ///< user functions started, or given to the executor
  std::uint64_t failed = 0;           ///< of these, those that threw or returned a failure
  std::uint64_t abandoned =
      0;  ///< computations whose thread or task went away, and those that no executor took
  std::uint64_t coalesced =
      0;  ///< callers that waited for another's computation; one whose leader was lost counts again
  magnitude_histogram
      stampede_size{};  ///< callers for each computation: the one that began it and those that joined
  magnitude_histogram early_gap{};  ///< nanoseconds by which early refreshes were ahead of the expiry
  stale_counts stale_served{};
  std::uint64_t timed_out = 0;        ///< callers whose deadline ended their wait
  std::uint64_t cancelled = 0;        ///< callers whose stop_token did
  std::uint64_t recursions = 0;       ///< waits refused, as they would have closed a cycle
  std::uint64_t refused = 0;          ///< callers turned away by `max_waiters`
  std::uint64_t failed_fast = 0;      ///< callers given the last failure, as the key backs off
  std::uint64_t rejected_writes = 0;  ///< results not stored, as the key was written or invalidated meanwhile
  std::uint64_t found_refreshed = 0;  ///< callers about to compute that found that another had just done it
  std::uint64_t refills = 0;          ///< computations that brought an entry of a farther tier
  std::uint64_t refresh_refused = 0;  ///< refreshes that the executor, or memory, did not take
  std::uint64_t refresh_failures = 0;    ///< failures that no caller was told, since it had a value
  std::uint64_t store_failures = 0;      ///< exceptions of the store around a computation, swallowed
  std::uint64_t predicate_failures = 0;  ///< exceptions of the retryable policy, swallowed
  std::uint64_t forgotten_failures = 0;  ///< failures that were not remembered, for lack of room or memory
  std::uint64_t running = 0;             ///< computations at this moment
  std::uint64_t failing = 0;             ///< keys whose last failure is remembered at this moment

  constexpr stampede_stats& operator+=(stampede_stats const& o) noexcept {
    computations.miss += o.computations.miss;
    computations.early += o.computations.early;
    computations.stale += o.computations.stale;
    stale_served.revalidate += o.stale_served.revalidate;
    stale_served.error += o.stale_served.error;
    stampede_size.add(o.stampede_size);
    early_gap.add(o.early_gap);
    for (auto const count :
         {&stampede_stats::failed, &stampede_stats::abandoned, &stampede_stats::coalesced,
          &stampede_stats::timed_out, &stampede_stats::cancelled, &stampede_stats::recursions,
          &stampede_stats::refused, &stampede_stats::failed_fast, &stampede_stats::rejected_writes,
          &stampede_stats::found_refreshed, &stampede_stats::refills, &stampede_stats::refresh_refused,
          &stampede_stats::refresh_failures, &stampede_stats::store_failures,
          &stampede_stats::predicate_failures, &stampede_stats::forgotten_failures, &stampede_stats::running,
          &stampede_stats::failing}) {
      this->*count += o.*count;
    }
    return *this;
  }
};

}  // namespace tideover::inline v0
