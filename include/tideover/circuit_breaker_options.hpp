// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <string_view>

namespace tideover::inline v0 {

/// What an operator tunes of a `circuit_breaker`. The constructor and `reconfigure` throw
/// `error(errc::invalid_argument)`, naming field, value and bounds, for anything outside of them.
struct breaker_options {
  /// For people: events and registries show it. Copied.
  std::string_view name = {};
  /// With `consecutive_failures`: so many failures with no success between them open it. 1 to 1,000,000,000.
  std::uint32_t failure_threshold = 5;
  /// How long it stays open before a probe is let through; above zero. `open_exponential` and `open_jittered`
  /// begin with it.
  std::chrono::nanoseconds recovery_timeout = std::chrono::seconds(30);
  /// The deadline given to callables that take one, and what the lease of a probe is reckoned from; above
  /// zero. A call that takes no deadline is not ended by it: nothing can end a function that runs.
  std::chrono::nanoseconds call_timeout = std::chrono::seconds(30);
  /// With a rate: the share of calls that failed, above 0 to 1.
  double failure_rate = 0.5;
  /// With a rate or the throttle: it says nothing before so many calls. 1 to 1,000,000,000, and no more than
  /// `failure_rate_in_last` keeps.
  std::uint32_t min_calls = 20;
  /// With a rate: a call that took so long or longer is slow. 0: no call is; must be left at 0 with
  /// `consecutive_failures` and `adaptive_throttle`. Above zero each call reads the precise clock twice.
  std::chrono::nanoseconds slow_after = std::chrono::nanoseconds(0);
  /// With a rate: the share of calls that were slow, above 0 to 1.
  double slow_rate = 0.8;
  /// With `failure_rate_over` and `adaptive_throttle`: what is remembered, 1 ms or more.
  std::chrono::nanoseconds window = std::chrono::seconds(10);
  /// Half open: how many probes may be under way at once, 1 to 1000.
  std::uint32_t probes = 1;
  /// Half open: how many of them must succeed to close it, 1 to 1000.
  std::uint32_t successes = 1;
  /// Half open: how many of them may fail before it opens again, 0 to 1000.
  std::uint32_t tolerated_failures = 0;
  /// Half open: when so long after the last probe was let through one has still not reported, the breaker
  /// opens again, and the probe is none of its any more. 0: `call_timeout` and a second. Kept in steps of
  /// about a millisecond, rounded up.
  std::chrono::nanoseconds probe_lease = std::chrono::nanoseconds(0);
  /// With `ramp<Steps>`: from the last probe to letting everybody through; above zero, rounded as the lease.
  std::chrono::nanoseconds ramp_over = std::chrono::seconds(30);
  /// With `adaptive_throttle`: K, 1 to 1000. At 2 a call is turned away once less than half of them succeed.
  double throttle_factor = 2.0;
  /// With `adaptive_throttle`: the most that is turned away, 0 to 0.999.
  double throttle_most = 0.9;

  friend bool operator==(breaker_options const&, breaker_options const&) = default;
};

/// What is documented for common back-ends; copy one and change a field. The fallback that goes with each is
/// the caller's callable: docs/circuit_breaker.md shows all four.
namespace presets::breaker {
/// A model behind an API; fall back to a simpler one.
inline constexpr breaker_options ai_service{
    .name = "ai_service", .failure_threshold = 3, .recovery_timeout = std::chrono::seconds(60)};
/// Fall back to cached data.
inline constexpr breaker_options database{
    .name = "database", .failure_threshold = 5, .recovery_timeout = std::chrono::seconds(30)};
/// Queue the call and try again later.
inline constexpr breaker_options external_api{
    .name = "external_api", .failure_threshold = 5, .recovery_timeout = std::chrono::seconds(120)};
/// Do without.
inline constexpr breaker_options cache{
    .name = "cache", .failure_threshold = 10, .recovery_timeout = std::chrono::seconds(10)};
}  // namespace presets::breaker

/// Where a breaker stands. The last three are modes that an operator sets.
enum class breaker_state : unsigned char {
  closed,       ///< calls pass, their ends are counted
  open,         ///< calls are rejected
  half_open,    ///< a few probes pass
  ramping,      ///< a growing share of calls passes
  forced_open,  ///< every call is rejected
  disabled,     ///< every call passes, nothing is counted
  observing,    ///< every call passes, and it is told when the breaker would have opened
};

constexpr char const* to_string(breaker_state s) noexcept {
  switch (s) {
    case breaker_state::closed:
      return "closed";
    case breaker_state::open:
      return "open";
    case breaker_state::half_open:
      return "half_open";
    case breaker_state::ramping:
      return "ramping";
    case breaker_state::forced_open:
      return "forced_open";
    case breaker_state::disabled:
      return "disabled";
    case breaker_state::observing:
      return "observing";
  }
  return "unknown";
}

/// Why it changed.
enum class breaker_cause : unsigned char {
  tripped,        ///< the trip policy had seen enough
  probing,        ///< its time was up, and somebody asked
  recovered,      ///< enough probes succeeded, or the ramp has come to its end
  probe_failed,   ///< more probes failed than are tolerated
  lease_expired,  ///< a probe did not report in time
  reset,
  mode_set,
  reconfigured,
  would_open,  ///< nothing changed: it only observes
};

constexpr char const* to_string(breaker_cause c) noexcept {
  switch (c) {
    case breaker_cause::tripped:
      return "tripped";
    case breaker_cause::probing:
      return "probing";
    case breaker_cause::recovered:
      return "recovered";
    case breaker_cause::probe_failed:
      return "probe_failed";
    case breaker_cause::lease_expired:
      return "lease_expired";
    case breaker_cause::reset:
      return "reset";
    case breaker_cause::mode_set:
      return "mode_set";
    case breaker_cause::reconfigured:
      return "reconfigured";
    case breaker_cause::would_open:
      return "would_open";
  }
  return "unknown";
}

/// What a listener is told. `generation` counts the changes of the breaker, and grows from event to event
/// but for `would_open`, which changes nothing.
struct breaker_event {
  std::uint64_t generation = 0;
  breaker_state from = breaker_state::closed;
  breaker_state to = breaker_state::closed;
  breaker_cause cause = breaker_cause::reset;
  std::string_view name = {};  ///< of the breaker; lives as long as that

  friend bool operator==(breaker_event const&, breaker_event const&) = default;
};

/// A breaker's listener: told each change once, after it is visible, with no lock held, in the order of
/// their generations and never two at a time, by a thread that is calling the breaker; it may call it itself.
/// What it throws is swallowed and counted (`listener_failures`). While it is being told, up to 64 further
/// changes wait; of more than that the oldest are lost, and counted (`events_lost`).
template <class L>
concept breaker_listener = policy<L> && std::same_as<typename L::policy_axis, axis::listener> &&
    requires(L& l, breaker_event const& event) {
  l.on_event(event);
};

/// What a breaker has counted since it was made.
struct breaker_stats {
  breaker_state state = breaker_state::closed;
  std::uint32_t generation = 0;       ///< modulo 2^24
  std::uint32_t attempt = 0;          ///< how often it has opened since it was last closed, up to 31
  std::uint32_t probes_out = 0;       ///< probes under way
  std::uint64_t window_calls = 0;     ///< what the trip policy holds of this generation; 0 for those in a row
  std::uint64_t window_failures = 0;  ///< of these, failures; for those in a row: how many so far
  std::uint64_t window_slow = 0;      ///< and slow ones
  bool counts_successes = false;      ///< whether `successes` is counted: with the policy `counting`
  std::uint64_t successes = 0;
  std::uint64_t failures = 0;             ///< reports of failure, but stale ones
  std::uint64_t ignored = 0;              ///< reports that say nothing; of permits that died unreported, too
  std::uint64_t stale = 0;                ///< reports of another generation; they changed nothing else
  std::uint64_t rejected = 0;             ///< calls that were not let through
  std::uint64_t opened = 0;               ///< changes to open, by itself
  std::uint64_t would_have_opened = 0;    ///< generations in which it observed that it would have
  std::uint64_t classifier_failures = 0;  ///< exceptions of the classifier, swallowed
  std::uint64_t listener_failures = 0;    ///< exceptions of the listener, swallowed
  std::uint64_t events_lost = 0;          ///< that the listener was too slow for
  std::uint64_t duration_failures = 0;    ///< open-duration policy threw, or said less than zero
};

}  // namespace tideover::inline v0
