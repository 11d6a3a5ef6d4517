// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/magnitude_histogram.hpp>
#include <tideover/policy/policy.hpp>

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>

namespace tideover::inline v0 {

/// What an operator tunes of a `batch_processor`. The constructor throws `error(errc::invalid_argument)`,
/// naming field, value and bounds, for anything outside of them.
struct batch_options {
  /// The most items of one call of the sink, 1 to 1,000,000. The memory for so many is taken when the first
  /// one of a batch is accepted: some 90 bytes and an item each.
  std::size_t max_items = 100;
  /// The most bytes of one call, 1 or above; the measure policy says what an item has.
  std::size_t max_bytes = std::size_t{1} << 20;
  /// A batch is sealed no later than this after its first item was accepted; 0: at once.
  std::chrono::nanoseconds linger = std::chrono::seconds(5);
  /// The most items accepted and not settled, 1 or above.
  std::size_t max_pending = 10'000;
  /// The most batches with the sink at one time, 1 to 1024.
  std::size_t max_in_flight = 1;
  /// The most bytes accepted and not settled, `max_bytes` or above.
  std::size_t max_pending_bytes = std::numeric_limits<std::size_t>::max();
  /// The most bytes with the sink at one time, 1 or above. One batch may always go.
  std::size_t max_in_flight_bytes = std::numeric_limits<std::size_t>::max();
  /// With `block` and `caller_runs`: how long an add waits for room at the most, 0 or above.
  std::chrono::nanoseconds max_block = std::chrono::seconds(60);
  /// The deadline of an item that is added without one, from then; if it has passed when the batch is sealed,
  /// or before an attempt, the item is settled as expired. 0: none.
  std::chrono::nanoseconds item_timeout = std::chrono::nanoseconds(0);
  /// With `retry_items`: how often the sink sees an item at the most, 1 to 1000.
  unsigned max_attempts = 3;
  /// What the destructor gives to `shutdown`, 0 or above.
  std::chrono::nanoseconds shutdown_timeout = std::chrono::seconds(30);

  friend bool operator==(batch_options const&, batch_options const&) = default;
};

/// What is documented for common sinks; copy one and change a field.
namespace presets::batch {
/// Rows for a database.
inline constexpr batch_options bulk_insert{.max_items = 100, .linger = std::chrono::seconds(5)};
/// Messages for a web socket: little delay, few writes.
inline constexpr batch_options web_socket{.max_items = 50, .linger = std::chrono::milliseconds(100)};
}  // namespace presets::batch

/// Why a batch was sealed.
enum class batch_trigger : unsigned char {
  count,     ///< it had its number of items
  bytes,     ///< it had its bytes, or the next item would have exceeded them
  time,      ///< its linger was over
  idle,      ///< `eager`: nothing else was under way
  flush,     ///< somebody flushes
  shutdown,  ///< the batch processor is closed
  pressure,  ///< somebody waits for room
};
inline constexpr std::size_t batch_triggers = 7;

constexpr char const* to_string(batch_trigger t) noexcept {
  switch (t) {
    case batch_trigger::count:
      return "count";
    case batch_trigger::bytes:
      return "bytes";
    case batch_trigger::time:
      return "time";
    case batch_trigger::idle:
      return "idle";
    case batch_trigger::flush:
      return "flush";
    case batch_trigger::shutdown:
      return "shutdown";
    case batch_trigger::pressure:
      return "pressure";
  }
  return "unknown";
}

/// What a listener is told of.
enum class batch_event_kind : unsigned char {
  sent,             ///< a call of the sink has ended, and what it settled is settled
  callback_failed,  ///< the callback of an item threw `cause`
};

struct batch_event {
  batch_event_kind kind = batch_event_kind::sent;
  batch_trigger trigger = batch_trigger::count;  ///< of the batch
  std::size_t items = 0;                         ///< that the sink was given
  std::size_t delivered = 0;                     ///< of these
  std::size_t failed = 0;                        ///< settled as failed; the rest is given to it again
  unsigned attempt = 0;                          ///< 1: the first
  std::chrono::nanoseconds took{0};              ///< the sink's time
  std::exception_ptr cause{};                    ///< what was thrown, if anything was
};

/// A batch processor's listener: told with no lock held, after the change, by the thread that ran the sink;
/// so from many at once if many batches may be in flight. It may call the batch processor. What it throws is
/// swallowed and counted (`listener_failures`).
template <class L>
concept batch_listener = policy<L> && std::same_as<typename L::policy_axis, axis::listener> &&
    requires(L& l, batch_event const& event) {
  l.on_event(event);
};

/// What a `batch_processor` has counted since it was made, taken under its lock. At every instant
/// accepted = delivered + failed + pending, and failed is the sum of the six that follow it.
struct batch_stats {
  std::uint64_t accepted = 0;
  std::uint64_t delivered = 0;
  std::uint64_t failed = 0;
  std::uint64_t failed_by_sink = 0;  ///< the sink's failure, and the journal's
  std::uint64_t expired = 0;         ///< their own deadline passed
  std::uint64_t cancelled = 0;       ///< by `cancel`
  std::uint64_t dropped = 0;         ///< by `drop_oldest`
  std::uint64_t shut_down = 0;       ///< still pending when the time of a shutdown was up
  std::uint64_t mismatched = 0;      ///< the sink gave another number of outcomes than items
  std::uint64_t pending = 0;         ///< accepted and not settled
  std::uint64_t pending_bytes = 0;
  std::uint64_t open = 0;           ///< of the pending, those not sealed
  std::uint64_t rejected_full = 0;  ///< adds for which there was no room, or none in time
  std::uint64_t rejected_closed = 0;
  std::uint64_t rejected_too_large = 0;
  std::uint64_t rejected_no_memory = 0;
  std::uint64_t rejected_expired = 0;
  std::uint64_t rejected_cancelled = 0;  ///< adds whose stop_token was triggered while they waited
  std::uint64_t rejected_by_journal = 0;
  std::uint64_t duplicates = 0;  ///< accepted, and sharing the place of an equal one
  /// Batches by why they were sealed, and the items that they had then: accepted = the sum of these + open +
  /// what was cancelled, and dropped.
  std::array<std::uint64_t, batch_triggers> batches_by{};
  std::array<std::uint64_t, batch_triggers> items_by{};
  std::uint64_t sink_calls = 0;
  std::uint64_t sink_failures = 0;  ///< calls that threw, or failed an item
  std::uint64_t retries = 0;        ///< times that items were kept for another attempt
  std::uint64_t splits = 0;         ///< halvings, as it was too large or by `bisect`
  std::uint64_t in_flight = 0;      ///< batches with the sink
  std::uint64_t in_flight_bytes = 0;
  std::uint64_t blocked = 0;            ///< adds that wait for room
  std::uint64_t size = 0;               ///< how many items the next batch may have
  std::uint64_t callback_failures = 0;  ///< exceptions of callbacks, swallowed
  std::uint64_t listener_failures = 0;  ///< exceptions of the listener, swallowed
  std::uint64_t policy_failures = 0;    ///< exceptions of the retryable policy, swallowed
  std::uint64_t runner_failures = 0;    ///< times that the runner did not take work
  magnitude_histogram sizes{};          ///< items of each sink call
  magnitude_histogram waits{};          ///< ns from a batch's first item to its first sink call
  magnitude_histogram sink_times{};     ///< ns of each sink call

  std::uint64_t operator[](batch_trigger t) const noexcept { return batches_by[static_cast<std::size_t>(t)]; }
};

/// What `shutdown` returns: all items ever accepted, by how they ended. `pending` is above zero only if it
/// was called from within a sink or callback, which is not waited for.
struct batch_totals {
  std::uint64_t accepted = 0;
  std::uint64_t delivered = 0;
  std::uint64_t failed = 0;
  std::uint64_t shut_down = 0;  ///< of the failed, those that the shutdown did not wait for
  std::uint64_t pending = 0;

  friend bool operator==(batch_totals const&, batch_totals const&) = default;
};

}  // namespace tideover::inline v0
