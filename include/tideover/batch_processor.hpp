// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/batch_processor_options.hpp>
#include <tideover/config.hpp>
#include <tideover/deadline.hpp>
#include <tideover/detail/batch/block.hpp>
#include <tideover/detail/batch/check.hpp>
#include <tideover/detail/batch/core.hpp>
#include <tideover/detail/batch/machine.hpp>
#include <tideover/detail/batch/state.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/backoff.hpp>
#include <tideover/policy/batch_size.hpp>
#include <tideover/policy/bounds.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/executor.hpp>
#include <tideover/policy/journal.hpp>
#include <tideover/policy/listener.hpp>
#include <tideover/policy/measure.hpp>
#include <tideover/policy/ordering.hpp>
#include <tideover/policy/overflow.hpp>
#include <tideover/policy/policy.hpp>
#include <tideover/policy/retry.hpp>
#include <tideover/policy/retryable.hpp>
#include <tideover/policy/rng.hpp>
#include <tideover/policy/sealing.hpp>
#include <tideover/result.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace tideover::inline v0 {

/// The axes of `batch_processor`.
using batch_axes =
    axes<axis::sealing, axis::batch_size, axis::bounds, axis::overflow, axis::oversize, axis::ordering,
         axis::deduplication, axis::retry, axis::retryable, axis::backoff, axis::poison, axis::late_sink,
         axis::measure, axis::journal, axis::clock, axis::executor, axis::rng, axis::listener>;

/// The right to learn what became of one item. It may outlive the batch processor: by then everything is
/// settled. As long as it lives it keeps the memory of its batch, though not the items.
///
/// Threads: const members may be called at once. Cost: 16 bytes; making one writes nothing that is shared,
/// ending it is one atomic subtraction.
class [[nodiscard]] ticket {
 public:
  /// Of nothing; only to be assigned to.
  ticket() noexcept = default;
  ticket(ticket&& other) noexcept : place_(std::exchange(other.place_, {})) {}
  ticket& operator=(ticket&& other) noexcept {
    if (this != &other) {
      leave();
      place_ = std::exchange(other.place_, {});
    }
    return *this;
  }
  ~ticket() { leave(); }

  /// Whether it is a ticket of an item, and not moved from.
  bool valid() const noexcept { return place_.state != nullptr; }
  /// Whether the item is settled.
  bool ready() const noexcept { return peek() != nullptr; }
  /// The outcome, null while there is none. It lives as long as the ticket.
  outcome const* peek() const noexcept TIDEOVER_LIFETIMEBOUND {
    TIDEOVER_ASSERT(valid(), "tideover::ticket: of no item, or moved from");
    return place_.state->look(place_.slot, place_.generation);
  }
  /// Waits for the outcome. Not within the sink or a callback of the batch processor: it would wait for
  /// itself.
  outcome const& wait() const TIDEOVER_LIFETIMEBOUND {
    TIDEOVER_ASSERT(valid(), "tideover::ticket: of no item, or moved from");
    return *place_.state->wait(place_.slot, place_.generation, nullptr);
  }
  /// The outcome, or null if there was none by the deadline, an instant of the batch processor's clock.
  outcome const* wait(deadline const& until) const TIDEOVER_LIFETIMEBOUND {
    TIDEOVER_ASSERT(valid(), "tideover::ticket: of no item, or moved from");
    return place_.state->wait(place_.slot, place_.generation, &until);
  }

 private:
  template <class Item, class... Policies>
  friend class batch_processor;
  explicit ticket(detail::batch_place const& place) noexcept : place_(place) {}
  void leave() noexcept {
    if (place_.state != nullptr) place_.state->release();
  }

  detail::batch_place place_{};
};

/// Collects items and gives them to a sink in batches: what costs per call is paid once for many. Nothing is
/// lost: every accepted item is settled exactly once, delivered or failed, and at every instant
/// accepted = delivered + failed + pending.
///
///     tideover::batch_processor<row> rows([&](std::span<row> batch) { table.insert(batch); },
///                                         {.max_items = 100, .linger = 5s, .max_pending = 10'000});
///     tideover::result<tideover::ticket> t = rows.add(r);         // or why it was not accepted
///     t->wait();                                                  // the outcome of this one item
///     if (!rows.add(r, [](tideover::outcome const& o) { log(o); })) too_much();
///     rows.flush(1s);
///
/// The sink takes `std::span<Item>`, 1 to `max_items` of them, which it may change. It returns nothing (all
/// are delivered), an `outcome` or `result<void>` for all, or a std::vector<outcome>, one for each. If it
/// throws, the items of that call failed with that exception (errc::sink_failed, or see the policies). If it
/// says errc::too_large (or throws a std::system_error that does, EMSGSIZE too), it is given half as many.
///
/// Policies, in any order; objects of those with state are passed after the options:
///   sealing        lingering (default), eager
///   batch_size     fixed_size (default), doubling_size, aimd_size
///   bounds         exact_bounds (default), relaxed_bounds
///   overflow       block (default), reject, drop_newest, drop_oldest, caller_runs
///   oversize       oversize_rejected (default), oversize_alone
///   ordering       unordered (default), keyed<F>
///   deduplication  keep_duplicates (default), dedupe_by<F>
///   retry          no_retry (default), retry_items; with retryable (every_failure, retryable_if<F>) and
///                  backoff (exponential_backoff, ...)
///   poison         fail_batch (default), bisect
///   late_sink      wait_for_sink (default), detach_sink
///   measure        own_bytes (default), measure_by<F>
///   journal        no_journal (default), your own
///   executor       owned_threads (default: one for each batch that may be in flight), any executor,
///                  hand_driven
///   clock          steady (default), coarse, manual_clock
///   rng, listener  xoshiro, silent (defaults)
///
/// Runner  `owned_threads` keeps its threads until the end; it is not to be shared. With another executor, or
///         `hand_driven`, nobody looks at the time: call `tick()` by `next_deadline()`. An executor is given
///         what is sealed, and `flush` and `shutdown` help it; with `hand_driven` these and `tick` run the
///         sink on the calling thread.
/// Time    A batch is sealed by the first thread of the runner that looks at the time after its linger: at
///         once, unless all of them are in the sink; then when one returns. Give the runner a thread more
///         than `max_in_flight` where that matters.
/// Threads All members may be called at once. No function of the user runs under a lock of ours, but copy and
///         move of an item, hash and equality of keys.
/// Throws  `add`: what copying the item, the measure and the key functions throw (but std::bad_alloc: that is
///         errc::no_memory); then nothing has changed. An item's move and destructor may not throw.
/// Cost    An add takes a lock of some ten nanoseconds, with `relaxed_bounds` one that no other thread takes
///         meanwhile; memory is allocated once for each batch at most, and
///         for each callback. Sealing, settling, dropping, flushing and shutting down take no memory.
template <class Item, class... Policies>
class batch_processor {
  static_assert(batch_axes::accept<Policies...>);
  static_assert(std::is_object_v<Item> && std::same_as<Item, std::remove_cv_t<Item>>,
                "tideover::batch_processor: items are objects, and not const: the sink may take them");
  static_assert(
      std::is_nothrow_move_constructible_v<Item> && std::is_nothrow_destructible_v<Item>,
      "tideover::batch_processor: moving and destroying an item may not throw, or one could be lost; "
      "hold it by a std::unique_ptr");

 public:
  using item_type = Item;
  using options = batch_options;
  using types = detail::batch_types<Item, Policies...>;
  using clock_type = typename types::clock_type;
  using listener_type = typename types::listener_type;
  using runner_type = typename types::runner_type;

  // ---- Making one -----------------------------------------------------------------------------------------

  /// The sink, the options or a preset, then objects of the policies named above that have state, in any
  /// order. Throws `error` (errc::invalid_argument) naming field, value and bounds.
  template <class Sink, class... P>
    requires(!std::same_as<std::remove_cvref_t<Sink>, batch_processor> && types::template accepts<P...>)
  explicit batch_processor(Sink&& sink, options o = {}, P const&... policies)
      : core_((detail::check_batch_options(o),
               std::make_shared<core_type>(std::make_unique<detail::batch_sink_of<Item, std::decay_t<Sink>>>(
                                               std::forward<Sink>(sink)),
                                           o, policies...))),
        patience_(o.shutdown_timeout) {}
  batch_processor(batch_processor const&) = delete;
  batch_processor& operator=(batch_processor const&) = delete;
  /// `shutdown(shutdown_timeout)`. Not within its own sink or callbacks.
  ~batch_processor() {
    core_->shutdown(patience_);
    core_->leave();
  }

  // ---- Items ----------------------------------------------------------------------------------------------
  //
  // A rejection says why, errc::queue_full, closed, too_large, no_memory, expired, cancelled (the stop_token,
  // while it waited for room) or journal_failed, and then `x` is as it was. The deadline is the item's, an
  // instant of `clock()`: if it has passed when the batch is sealed, or before an attempt, the item is
  // settled as expired and not sent. Nothing is sealed any earlier for it.

  result<ticket> add(Item const& x) requires std::copy_constructible<Item> {
    return add_for_ticket(x, nullptr);
  }
  result<ticket> add(Item&& x) { return add_for_ticket(std::move(x), nullptr); }
  result<ticket> add(Item const& x, deadline const& until) requires std::copy_constructible<Item> {
    return add_for_ticket(x, &until);
  }
  result<ticket> add(Item&& x, deadline const& until) { return add_for_ticket(std::move(x), &until); }

  /// `f(outcome const&)` is called when the item is settled, by the thread that settles it, with no lock
  /// held; what it throws is swallowed, counted, and told to the listener. Not called if the item is
  /// rejected.
  template <class F>
    requires std::is_invocable_v < std::decay_t<F>
  &, outcome const& > result<void> add(Item const& x, F&& f) requires std::copy_constructible<Item> {
    return add_with_callback(x, std::forward<F>(f), nullptr);
  }
  template <class F>
    requires std::is_invocable_v < std::decay_t<F>
  &, outcome const& > result<void> add(Item&& x, F&& f) {
    return add_with_callback(std::move(x), std::forward<F>(f), nullptr);
  }
  template <class F>
    requires std::is_invocable_v < std::decay_t<F>
  &, outcome const& > result<void> add(Item const& x, F&& f,
                                       deadline const& until) requires std::copy_constructible<Item> {
    return add_with_callback(x, std::forward<F>(f), &until);
  }
  template <class F>
    requires std::is_invocable_v < std::decay_t<F>
  &, outcome const& > result<void> add(Item&& x, F&& f, deadline const& until) {
    return add_with_callback(std::move(x), std::forward<F>(f), &until);
  }

  /// Takes the item back: true if and only if it was not sealed yet, and then it is settled as cancelled. An
  /// item that shares its place with an equal one is not taken back.
  bool cancel(ticket const& t) { return core_->cancel(t.place_); }

  // ---- Operating ------------------------------------------------------------------------------------------

  /// Seals what is open and waits until everything accepted before the call is settled; false if it was not
  /// by then. Later adds do not prolong it. Within a sink or callback it seals and does not wait.
  bool flush(std::chrono::nanoseconds patience) { return flush(deadline::after(clock(), patience)); }
  bool flush(deadline const& until) { return core_->flush(until); }

  /// No add is accepted from here on; what is pending is sent in its order until `patience` is over, and what
  /// is left then is settled as shut down. Waits for sinks that run, unless `detach_sink`. May be called
  /// again, and by many. Within a sink or callback it begins the shutdown and does not wait.
  batch_totals shutdown(std::chrono::nanoseconds patience) { return core_->shutdown(patience); }
  batch_totals shutdown() { return shutdown(patience_); }

  /// Does what the time asks for; with `hand_driven` also runs the sink, until nothing more can be sent.
  /// Returns how many batches it ran.
  std::size_t tick() { return core_->tick(); }
  /// When `tick()` has something to do: an instant of `clock()`, `instant::min()` for at once,
  /// `instant::max()` for nothing.
  instant next_deadline() const { return core_->next_deadline(); }

  batch_stats stats() const { return core_->stats(); }
  clock_type const& clock() const noexcept { return core_->clock(); }
  listener_type& listener() noexcept { return core_->listener(); }

 private:
  using core_type = detail::batch_core<types>;

  template <class X>
  result<ticket> add_for_ticket(X&& x, deadline const* until) {
    detail::batch_place place;
#if TIDEOVER_EXCEPTIONS
    try {
      if (core_->add_quickly(std::forward<X>(x), until, place)) [[likely]]
        return ticket(place);
    } catch (std::bad_alloc const&) {
      return no_memory();
    }
#else
    if (core_->add_quickly(std::forward<X>(x), until, place)) [[likely]]
      return ticket(place);
#endif
    return add_for_ticket_slowly(std::forward<X>(x), until);
  }
  template <class X>
  [[gnu::noinline]] result<ticket> add_for_ticket_slowly(X&& x, deadline const* until) {
    detail::batch_place place;
    failure why;
    detail::batch_answer a = detail::batch_answer::no_memory;
#if TIDEOVER_EXCEPTIONS
    try {
      a = core_->add(std::forward<X>(x), until, nullptr, true, place, why);
    } catch (std::bad_alloc const&) {
      return no_memory();
    }
#else
    a = core_->add(std::forward<X>(x), until, nullptr, true, place, why);
#endif
    if (a == detail::batch_answer::accepted) return ticket(place);
    return detail::batch_rejection(a, std::move(why));
  }
  template <class X, class F>
  result<void> add_with_callback(X&& x, F&& f, deadline const* until) {
    detail::batch_place place;
    failure why;
    detail::batch_answer a = detail::batch_answer::no_memory;
#if TIDEOVER_EXCEPTIONS
    try {
      auto callback = std::make_unique<detail::batch_callback_of<std::decay_t<F>>>(std::forward<F>(f));
      a = core_->add(std::forward<X>(x), until, callback.get(), false, place, why);
      if (a == detail::batch_answer::accepted) static_cast<void>(callback.release());
    } catch (std::bad_alloc const&) {
      return no_memory();
    }
#else
    auto callback = std::make_unique<detail::batch_callback_of<std::decay_t<F>>>(std::forward<F>(f));
    a = core_->add(std::forward<X>(x), until, callback.get(), false, place, why);
    if (a == detail::batch_answer::accepted) static_cast<void>(callback.release());
#endif
    if (a == detail::batch_answer::accepted) return {};
    return detail::batch_rejection(a, std::move(why));
  }
  TIDEOVER_COLD failure no_memory() {
    core_->count_no_memory();
    return {.code = errc::no_memory};
  }

  std::shared_ptr<core_type> core_;
  std::chrono::nanoseconds patience_;
};

}  // namespace tideover::inline v0
