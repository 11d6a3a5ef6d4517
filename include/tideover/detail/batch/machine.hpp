// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/batch_processor_options.hpp>
#include <tideover/config.hpp>
#include <tideover/detail/batch/block.hpp>
#include <tideover/detail/batch/state.hpp>
#include <tideover/detail/batch/stripes.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/batch_size.hpp>
#include <tideover/policy/overflow.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace tideover::inline v0::detail {

/// How an add ended.
enum class batch_answer : unsigned char {
  accepted,
  full,
  closed,
  too_large,
  no_memory,
  expired,
  cancelled,
  unwritten,  ///< the journal did not take it
  again,      ///< something must be destroyed outside of the lock first; then the add is to be tried again
};

/// What a ticket is made of.
struct batch_place {
  batch_state* state = nullptr;
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
};

template <class Types>
struct batch_request {
  std::size_t bytes = 0;
  instant until = instant::max();
  batch_callback* callback = nullptr;
  typename Types::key_type key{};
  typename Types::equality_key equal{};
  [[no_unique_address]] typename Types::entry_type entry{};
  bool ticket = true;

  bool is_plain() const noexcept { return callback == nullptr && until == instant::max(); }
};

/// An add that waits for room. Who makes room moves the item in, for it can: moving does not throw.
template <class Types>
struct batch_waiter {
  batch_waiter* next = nullptr;
  batch_waiter* previous = nullptr;
  batch_request<Types>* request = nullptr;
  typename Types::item_type* item = nullptr;
  batch_answer answer = batch_answer::full;
  batch_place place{};
  bool listed = false;
  bool answered = false;  // under the mutex of those who wait
  std::condition_variable changed;
};

/// A flush that somebody waits for: how many of the items accepted before it are not settled yet.
struct batch_flush {
  batch_flush* next = nullptr;
  batch_flush* previous = nullptr;
  std::uint64_t epoch = 0;
  std::uint64_t remaining = 0;
};

/// A worker that sleeps until something is to be done.
struct batch_seat {
  batch_seat* next = nullptr;
  batch_seat* previous = nullptr;
  instant until = instant::max();
  bool listed = false;     // under the lock of the shell
  bool signalled = false;  // under the mutex of those who wait
  std::condition_variable changed;
};

/// What is to be done after the lock is let go. Filled and emptied without memory.
template <class Types>
struct batch_effects {
  using block = batch_block<Types>;
  using lane = batch_lane<Types>;

  batch_effects() = default;
  batch_effects(batch_effects const&) = delete;
  batch_effects& operator=(batch_effects const&) = delete;
  ~batch_effects() { free_lanes(); }  // of an add that threw, too

  void free_lanes() noexcept {
    while (gone != nullptr) delete std::exchange(gone, gone->in_bucket);
  }
  bool any() const noexcept {
    return callbacks.first != nullptr || answered.first != nullptr || spent.first != nullptr ||
           gone != nullptr || woken != nullptr || post || settled || more || removed.has_value();
  }
  void clear() noexcept { sendable = earlier = settled = more = wake_all = post = false, woken = nullptr; }

  batch_callbacks callbacks{};
  batch_list<batch_waiter<Types>> answered{};
  batch_list<block> spent{};
  lane* gone = nullptr;
  std::optional<typename Types::item_type> removed{};
  bool counted = false;   ///< the callbacks, among those that a shutdown waits for
  bool sendable = false;  ///< there is more to send than before
  bool earlier = false;   ///< there is something to do at an earlier time than before
  bool settled = false;   ///< a flush, or the shutdown, may have come to its end, or has a time to look at
  bool more = false;      ///< who waits for room is to be served again, once `removed` is gone
  bool wake_all = false;  ///< everybody who sleeps has to look
  // What the shell makes of it.
  batch_seat* woken = nullptr;
  bool post = false;
};

/// The batch processor without lock, thread, clock and I/O: adds, seals, hands out, settles, and says when it
/// wants to be asked again. Whoever calls it holds the lock of the shell, and gives it the time.
///
/// The identity accepted = delivered + failed + pending holds whenever a member returns: every change of one
/// side is made beside its counterpart, in `admit` and `settle_one`.
template <class Types>
class batch_machine {
 public:
  using item_type = typename Types::item_type;
  using block = batch_block<Types>;
  using lane = batch_lane<Types>;
  using request = batch_request<Types>;
  using waiter = batch_waiter<Types>;
  using effects = batch_effects<Types>;
  using stripe = batch_stripe<Types>;
  using clock_type = typename Types::clock_type;
  using size_policy = typename Types::size_policy;
  using verdict = typename block::verdict;

  enum class plan : unsigned char {
    all_delivered,
    as_judged,  ///< `verdicts` say
    halve,      ///< too large: the same items in two halves, and it was no attempt
    bisect,     ///< the same, and it was one
  };
  enum class step : unsigned char { again, later, done };

  batch_machine(batch_options const& o, size_policy size, clock_type const& clock, void const* owner)
      : owner_(owner), o_(o), sizes_(std::move(size)), clock_(clock) {
    if constexpr (Types::even) {
      each_ = Types::even_bytes;
      per_bytes_ = std::max<std::size_t>(1, o_.max_bytes / each_);
      cap_ = std::min(o_.max_pending, o_.max_pending_bytes / each_);
    } else {
      cap_ = o_.max_pending;
    }
    admit_below_ = cap_;
    most_free_ = std::min<std::size_t>(1024, o_.max_pending / o_.max_items + o_.max_in_flight + 2);
    if constexpr (Types::relaxed) most_free_ += batch_stripes<Types>::count;
    stats_.size = std::clamp<std::size_t>(sizes_.first(o_.max_items), 1, o_.max_items);
    if constexpr (Types::keyed) buckets_.assign(16, nullptr);
  }
  batch_machine(batch_machine const&) = delete;
  batch_machine& operator=(batch_machine const&) = delete;
  ~batch_machine() {
    while (block* b = free_.pop_front()) b->destroy();
  }

  // ---- In -------------------------------------------------------------------------------------------------

  /// The common case, with nothing but the item to write: false, and nothing has changed, in any other. `put`
  /// makes the item; it may throw, then nothing has changed.
  template <class Put>
  bool add_quickly(Put&& put, batch_place& place) {
    if constexpr (block::always_plain && !Types::relaxed) {
      block* const b = only_.open;
      if (pending_ >= admit_below_ || b == nullptr || !b->plain) return false;
      std::uint32_t const at = b->end;
      if (at + 1 >= b->limit) return false;  // the one that fills it seals it
      put(static_cast<void*>(b->items + at));
      ++b->issued;
      place = {b, at, 0};
      b->end = at + 1;
      ++pending_;
      ++accepted_;
      return true;
    } else {
      return static_cast<void>(put), static_cast<void>(place), false;
    }
  }

  /// `now()` is asked when the time is needed.
  template <class Put, class Now>
  [[gnu::noinline]] batch_answer add(request& q, Put&& put, Now&& now, batch_place& place, effects& e) {
    if (closed_) return batch_answer::closed;
    if ((!Types::alone && q.bytes > o_.max_bytes) || q.bytes > o_.max_pending_bytes) {
      return batch_answer::too_large;
    }
    if (q.until != instant::max() && q.until <= now()) return batch_answer::expired;
    if (!waiters_.empty()) return batch_answer::full;  // first come, first served
    if (!has_room(q.bytes)) {
      if constexpr (Types::overflow == when_full::drops_oldest) {
        if (!can_drop_for(q.bytes)) return batch_answer::full;
      } else {
        return batch_answer::full;
      }
    }
    return admit(q, std::forward<Put>(put), now, place, e);
  }

  /// `relaxed_bounds`: learns what was added to the open batch of a stripe, which the caller holds too.
  void gather(stripe& s) noexcept {
    block* const b = s.open;
    if (b == nullptr) return;
    std::uint32_t const added = s.end - b->end;
    b->end = s.end;
    b->issued += added;  // each with its ticket
    pending_ += added;
    accepted_ += added;
  }
  /// The same as `add`, into the open batch of a stripe, which the caller holds too.
  template <class Put, class Now>
  batch_answer add_at(stripe& s, request& q, Put&& put, Now&& now, batch_place& place, effects& e) {
    struct visit {
      visit(batch_machine& machine, stripe& at) noexcept : m(machine), s(at) {
        m.gather(s);
        m.only_.open = s.open;
      }
      visit(visit const&) = delete;
      visit& operator=(visit const&) = delete;
      ~visit() { m.leave_to(s, std::exchange(m.only_.open, nullptr)); }
      batch_machine& m;
      stripe& s;
    } const here(*this, s);
    return add(q, std::forward<Put>(put), now, place, e);
  }

  /// Of an add that was answered with `full`, and waits.
  template <class Now>
  void enlist(waiter& w, Now&& now, effects& e) noexcept {
    waiters_.push_back(&w);
    w.listed = true;
    ++stats_.blocked;
    admit_below_ = 0;
    seal_all(batch_trigger::pressure, now, e);
    make_room(now, e);  // what expired meanwhile may have left some
  }
  /// Its time is up: without trace. Those behind it may find room where it did not.
  template <class Now>
  void delist(waiter& w, Now&& now, effects& e) noexcept {
    take_out(w);
    make_room(now, e);
  }

  /// Whether the item was not sealed yet, and is settled as cancelled now.
  bool cancel(batch_place const& p, effects& e) noexcept {
    block* const b = static_cast<block*>(p.state);
    if (!is_open(b)) return false;
    if (b->look(p.slot, p.generation) != nullptr) return false;
    b->write_down(each_);
    if constexpr (Types::relaxed) b->home->stop = 0;  // what comes now has to be written down, too
    std::uint32_t i = b->begin;
    while (b->extras[i].slot != p.slot) ++i;
    if (b->extras[i].members > 1) return false;  // others want it
    remove_open(b, i, slot_state::cancelled, cancelled_outcome(), stats_.cancelled, e);
    harvest(*b, e);
    if (b->live() == 0) close_empty(b, e);
    return true;
  }

  // ---- Out ------------------------------------------------------------------------------------------------

  /// The next batch that may be sent; it is in flight, and the caller's until `settle` says `done` or
  /// `later`.
  block* take(instant now, effects& e) noexcept {
    auto const at = [now] { return now; };
    while (lane* const l = may_take()) {
      block* const b = l->sealed.pop_front();
      l->busy = true;
      ready_.erase(l);
      l->queued = false;
      if constexpr (!Types::keyed) queue(l);
      --stats_ready_;
      in_flight_list_.push_back(b);
      b->in_flight = true;
      b->flight_bytes = bytes_of(b);
      ++stats_.in_flight;
      stats_.in_flight_bytes += b->flight_bytes;
      if (!b->sent) {
        b->sent = true;
        b->ranges[0] = {b->end, 0};
        b->depth = 1;
        stats_.waits.add(static_cast<std::uint64_t>(std::max<std::int64_t>((now - b->opened).count(), 0)));
      }
      if (begin_attempt(b, now, e)) {
        make_room(at, e);
        return b;
      }
      finish(b, at, e);
      e.spent.push_back(b);
      make_room(at, e);
    }
    return nullptr;
  }
  /// Whether `take` would find something.
  bool sendable() const noexcept { return may_take() != nullptr; }

  /// The items of this call of the sink, and how often it has seen them, this time included.
  static std::uint32_t range_end(block const* b) noexcept { return b->ranges[b->depth - 1].end; }
  static std::uint32_t attempt(block const* b) noexcept { return b->ranges[b->depth - 1].attempts + 1; }

  /// Whether anything was given up. Relaxed, without the lock: only a hint to look at a batch with it.
  bool gave_up() const noexcept { return gave_up_.load(std::memory_order_relaxed); }
  /// Of a batch that was given up before its call.
  template <class Now>
  void take_back(block* b, Now&& now, effects& e) noexcept {
    end(b, now, e);
  }

  /// A call of the sink has ended. `delay`: before what is to be tried again.
  step settle(block* b, plan p, bool failed, std::chrono::nanoseconds delay, std::chrono::nanoseconds took,
              instant now, effects& e) noexcept {
    auto const at = [now] { return now; };
    auto& r = b->ranges[b->depth - 1];
    std::uint32_t const size = r.end - b->begin;
    ++stats_.sink_calls;
    if (failed) ++stats_.sink_failures;
    stats_.sizes.add(b->abandoned ? 0 : size);
    stats_.sink_times.add(static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0)));
    if (b->abandoned) return end(b, at, e);
    stats_.size = std::clamp<std::size_t>(
        sizes_.next(static_cast<std::size_t>(stats_.size), o_.max_items,
                    batch_feedback{size, b->trigger == batch_trigger::count && b->depth == 1, failed, took}),
        1, o_.max_items);
    if (p == plan::halve || p == plan::bisect) {
      ++stats_.splits;
      range const half{b->begin + (size + 1) / 2, r.attempts + (p == plan::bisect ? 1u : 0u)};
      r.attempts = half.attempts;
      b->ranges[b->depth++] = half;
    } else if (p == plan::all_delivered && b->plain && b->begin == 0 && r.end == b->end) {
      b->set_all_delivered();
      b->begin = r.end;
      count_settled(b, size, size * each_, stats_.delivered, e);
    } else if (p == plan::all_delivered) {
      for (std::uint32_t i = b->begin; i != r.end; ++i) {
        settle_one(b, i, slot_state::delivered, delivered_outcome(), stats_.delivered, e);
      }
      b->begin = r.end;
    } else {
      bool kept = false;
      for (std::uint32_t i = b->begin; i != r.end; ++i) {
        switch (b->verdicts[i]) {
          case verdict::delivered:
            settle_one(b, i, slot_state::delivered, delivered_outcome(), stats_.delivered, e);
            break;
          case verdict::failed:
            settle_one(b, i, slot_state::failed, b->result_of(b->slot_at(i)), stats_.failed_by_sink, e);
            break;
          case verdict::mismatched:
            settle_one(b, i, slot_state::failed, b->result_of(b->slot_at(i)), stats_.mismatched, e);
            break;
          case verdict::again:
            stats_.retries += members_at(b, i);
            kept = true;
            break;
        }
      }
      ++r.attempts;
      if (!kept) {
        b->begin = r.end;
      } else {
        b->write_down(each_);
        b->partition(r.end, [b](std::uint32_t i) { return b->verdicts[i] != verdict::again; });
        b->tell();  // here, for somebody else may have it at once
        b->retry_at = now + delay;
        b->due = std::min(b->retry_at, b->earliest_deadline());
        leave_flight(b);
        delay_until(b);
        make_room(at, e);
        e.sendable = true;  // the place in flight is free
        e.settled = true;   // who waits and works meanwhile has a time to look at
        return step::later;
      }
    }
    if (b->begin == r.end) --b->depth;
    if (b->depth != 0 && begin_attempt(b, now, e)) {
      make_room(at, e);
      return step::again;
    }
    return end(b, at, e);
  }

  /// Gives back a batch of which nothing is left, cleared.
  void recycle(block* b) noexcept {
    if (free_count_ < most_free_) {
      ++free_count_;
      free_.push_front(b);
    } else {
      b->destroy();
    }
  }

  // ---- Time -----------------------------------------------------------------------------------------------

  void tick(instant now, effects& e) noexcept {
    auto const at = [now] { return now; };
    if constexpr (!Types::relaxed) seal_lingering(now, e);
    while (delayed_.first != nullptr && delayed_.first->due <= now) {
      block* const b = delayed_.pop_front();
      if (b->retry_at > now) {
        // Woken for what expires before its next attempt.
        expire_waiting(b, now, e);
        if (b->begin == b->end) {
          leave_lane(b, at, e);
          e.spent.push_back(b);
        } else {
          b->due = std::min(b->retry_at, b->earliest_deadline());
          delay_until(b);
        }
        continue;
      }
      b->lane->busy = false;
      b->lane->sealed.push_front(b);
      ++stats_ready_;
      queue(b->lane);
      e.sendable = true;
    }
    if (closed_ && pending_ != 0 && now >= closing_at_) give_up(at, e);
    make_room(at, e);
  }
  /// A part of `tick`; with `relaxed_bounds` on its own, for it needs the stripes.
  void seal_lingering(instant now, effects& e) noexcept {
    while (lingers_over(now)) {
      seal(
          open_.first, batch_trigger::time, [now] { return now; }, e);
    }
  }
  bool lingers_over(instant now) const noexcept {
    return open_.first != nullptr && open_.first->opened + o_.linger <= now;
  }
  /// When `tick` has something to do next.
  instant next_deadline() const noexcept {
    instant t = instant::max();
    if (open_.first != nullptr) t = std::min(t, open_.first->opened + o_.linger);
    if (delayed_.first != nullptr) t = std::min(t, delayed_.first->due);
    if (closed_ && pending_ != 0) t = std::min(t, closing_at_);
    return t;
  }

  // ---- All at once ----------------------------------------------------------------------------------------

  template <class Now>
  void begin_flush(batch_flush& f, Now&& now, effects& e) noexcept {
    f.epoch = ++flush_epoch_;
    f.remaining = pending_;
    flushes_.push_back(&f);
    seal_all(batch_trigger::flush, now, e);
    make_room(now, e);
  }
  void end_flush(batch_flush& f) noexcept { flushes_.erase(&f); }

  /// No more adds from here on; what is pending at `until` is given up.
  template <class Now>
  void close(instant until, Now&& now, effects& e) noexcept {
    closing_at_ = closed_ ? std::min(closing_at_, until) : until;
    closed_ = true;
    admit_below_ = 0;
    while (waiter* const w = waiters_.first) {
      take_out(*w);
      answer(*w, batch_answer::closed, e);
    }
    seal_all(batch_trigger::shutdown, now, e);
    e.sendable = e.settled = e.wake_all = true;
  }
  bool closed() const noexcept { return closed_; }
  std::uint64_t pending() const noexcept { return pending_; }
  std::uint64_t accepted() const noexcept { return accepted_; }
  clock_type const& clock() const noexcept { return clock_; }
  /// For who waits for room; see `effects::more`.
  void serve_waiters(instant now, effects& e) noexcept {
    make_room([now] { return now; }, e);
  }
  /// Of the batches that somebody runs, those that were settled while the sink had them, and still has.
  std::size_t abandoned() const noexcept {
    std::size_t n = 0;
    for (block const* b = in_flight_list_.first; b != nullptr; b = b->next) n += b->abandoned ? 1u : 0u;
    return n;
  }
  bool drained() const noexcept { return closed_ && pending_ == 0; }

  batch_stats stats() const noexcept {
    batch_stats s = stats_;
    s.accepted = accepted_;
    s.pending = pending_;
    s.pending_bytes = pending_bytes();
    s.failed = s.failed_by_sink + s.expired + s.cancelled + s.dropped + s.shut_down + s.mismatched;
    for (block const* b = open_.first; b != nullptr; b = b->next) s.open += b->live() + b->shared;
    return s;
  }
  batch_totals totals() const noexcept {
    batch_stats const s = stats();
    return {s.accepted, s.delivered, s.failed, s.shut_down, s.pending};
  }
  batch_stats& counters() noexcept { return stats_; }
  void count(batch_answer a) noexcept {
    switch (a) {
      case batch_answer::full:
        ++stats_.rejected_full;
        break;
      case batch_answer::closed:
        ++stats_.rejected_closed;
        break;
      case batch_answer::too_large:
        ++stats_.rejected_too_large;
        break;
      case batch_answer::no_memory:
        ++stats_.rejected_no_memory;
        break;
      case batch_answer::expired:
        ++stats_.rejected_expired;
        break;
      case batch_answer::cancelled:
        ++stats_.rejected_cancelled;
        break;
      case batch_answer::unwritten:
        ++stats_.rejected_by_journal;
        break;
      case batch_answer::accepted:
      case batch_answer::again:
        break;
    }
  }

 private:
  using range = typename block::range;

  // ---- Adding ---------------------------------------------------------------------------------------------

  bool has_room(std::size_t bytes) const noexcept {
    if constexpr (Types::even) {
      return pending_ < cap_;
    } else {
      return pending_ < cap_ &&
             bytes <= o_.max_pending_bytes - std::min(o_.max_pending_bytes, pending_bytes_);
    }
  }
  std::size_t pending_bytes() const noexcept {
    if constexpr (Types::even && !Types::dedupes) {
      return static_cast<std::size_t>(pending_) * each_;
    } else {
      return pending_bytes_;
    }
  }

  /// There is room, or something that can make way.
  template <class Put, class Now>
  batch_answer admit(request& q, Put&& put, Now&& now, batch_place& place, effects& e) {
    lane* const l = lane_for(q);
    if (l == nullptr) return batch_answer::no_memory;
    block* const b = l->open;
    bool cannot_join = false;  // an equal one is there, but the new one must not come into this batch
    if constexpr (Types::dedupes) {
      if (b != nullptr) {
        auto const found = b->equals.find(q.equal);
        if (found != b->equals.end()) {
          auto const a = join(q, put, now, *b, found->second, place, e);
          if (a) return *a;
          cannot_join = true;
        }
      }
    }
    // What is too much for the open batch seals it; but only when nothing can go wrong any more.
    bool const by_bytes = b != nullptr && !fits(*b, q.bytes);
    bool const seals_first = by_bytes || cannot_join || (b != nullptr && !b->has_slot());
    block* fresh = nullptr;
    if (b == nullptr || seals_first) {
      fresh = fetch();
      if (fresh == nullptr) {
        drop_lane_if_idle(l, e);
        return batch_answer::no_memory;
      }
      fresh->begin_anew(limit_of_next(), now(), flush_epoch_);
      fresh->lane = l;
    } else if (b->end == b->capacity) {
      // Only what was dropped or cancelled is in the way.
      if (harvest(*b, e) == harvested::more) return batch_answer::again;
      b->close_up();
    }
    block* const into = fresh != nullptr ? fresh : b;
    std::uint32_t* found_by = nullptr;
#if TIDEOVER_EXCEPTIONS
    try {
      found_by = fill(q, put, *into);
    } catch (...) {
      if (fresh != nullptr) put_back(fresh);
      drop_lane_if_idle(l, e);
      throw;
    }
#else
    found_by = fill(q, put, *into);
#endif
    // Nothing fails from here on.
    l->open = into;
    if constexpr (Types::overflow == when_full::drops_oldest) {
      while (!has_room(q.bytes) && drop_one(into, e)) {
      }
    }
    if (seals_first && b->lane == l) {
      seal(b,
           by_bytes      ? batch_trigger::bytes
           : cannot_join ? batch_trigger::pressure
                         : batch_trigger::count,
           now, e);
    }
    if (fresh != nullptr) {
      open_.push_back(fresh);
      if (o_.linger.count() > 0) e.earlier = true;
    }
    commit(q, *into, place, found_by);
    if (into->live() == into->limit) {
      seal_full(into, now, e);
    } else if (!Types::even && into->bytes >= o_.max_bytes) {
      seal(into, batch_trigger::bytes, now, e);
    } else if (o_.linger.count() <= 0) {
      seal(into, batch_trigger::time, now, e);
    } else if (Types::when_idle && l->outstanding == 0) {
      seal(into, batch_trigger::idle, now, e);
    }
    return batch_answer::accepted;
  }

  bool fits(block const& b, std::size_t bytes) const noexcept {
    if constexpr (Types::even) {
      return true;  // its limit sees to it
    } else {
      return b.live() == 0 || (b.bytes <= o_.max_bytes && bytes <= o_.max_bytes - b.bytes);
    }
  }
  std::uint32_t limit_of_next() const noexcept {
    std::size_t n = static_cast<std::size_t>(stats_.size);
    if constexpr (Types::even) n = std::min(n, per_bytes_);
    return static_cast<std::uint32_t>(n);
  }
  template <class Now>
  void seal_full(block* b, Now&& now, effects& e) noexcept {
    bool const by_bytes = Types::even && b->limit == per_bytes_ && per_bytes_ < o_.max_items;
    seal(b, by_bytes ? batch_trigger::bytes : batch_trigger::count, now, e);
  }

  /// Makes the item behind the others, and what is needed to find it; may throw, then nothing has changed.
  /// Where `commit` has to write the slot down, if equal items are to find it.
  template <class Put>
  std::uint32_t* fill(request& q, Put&& put, block& b) {
    if constexpr (Types::dedupes) {
      // No slot of any item: what gives way before `commit` takes one must not be mistaken for this.
      auto const [where, made] = b.equals.emplace(q.equal, b.capacity);
      static_cast<void>(made);
#if TIDEOVER_EXCEPTIONS
      try {
        put(static_cast<void*>(b.items + b.end));
      } catch (...) {
        b.equals.erase(where);
        throw;
      }
#else
      put(static_cast<void*>(b.items + b.end));
#endif
      return &where->second;
    } else {
      put(static_cast<void*>(b.items + b.end));
      return nullptr;
    }
  }
  void commit(request& q, block& b, batch_place& place, [[maybe_unused]] std::uint32_t* found_by) noexcept {
    if (!q.is_plain()) b.write_down(each_);
    std::uint32_t slot = b.end;
    if (!b.plain) {
      slot = b.take_slot();
      if constexpr (Types::dedupes) *found_by = slot;
      ::new (static_cast<void*>(b.extras + b.end))
          typename block::extra{q.callback, q.until, q.bytes, accepted_, slot, 1, q.entry};
      if (q.until != instant::max()) b.has_deadlines = true;
    }
    if (q.ticket) {
      ++b.issued;
      place = {&b, slot, b.generation(slot)};
    }
    ++b.end;
    ++accepted_;
    ++pending_;
    b.bytes += q.bytes;
    pending_bytes_ += q.bytes;
  }

  /// An equal item is in the open batch: the new one takes its place, and they share the outcome.
  template <class Put, class Now>
  std::optional<batch_answer> join(request& q, Put& put, Now&& now, block& b, std::uint32_t slot,
                                   batch_place& place, effects& e) {
    std::uint32_t i = b.begin;
    while (b.extras[i].slot != slot) ++i;
    std::size_t const before = b.extras[i].bytes;
    if (!Types::even && q.bytes > before && b.live() > 1 &&
        q.bytes - before > o_.max_bytes - std::min(o_.max_bytes, b.bytes)) {
      return std::nullopt;  // too much for this batch: the next one
    }
    std::size_t const more = q.bytes > before ? q.bytes - before : 0;
    if (!has_room(more)) {
      if constexpr (Types::overflow != when_full::drops_oldest) return batch_answer::full;
      // It is renewed, so the others are older. If it is all there is, it gives way to the new one.
      if (!can_drop_for(more, b.extras[i].members, before)) return std::nullopt;
    }
    if (e.removed.has_value()) return batch_answer::again;
    if (b.end == b.capacity) {
      if (harvest(b, e) == harvested::more) return batch_answer::again;
      if (e.removed.has_value()) return batch_answer::again;
      b.close_up();
    }
    put(static_cast<void*>(b.items + b.end));
    // Nothing fails from here on.
    if constexpr (Types::overflow == when_full::drops_oldest) {
      while (!has_room(more) && drop_one(&b, e, slot)) {
      }
    }
    i = b.begin;
    while (b.extras[i].slot != slot) ++i;
    e.removed.emplace(std::move(b.items[i]));
    std::destroy_at(b.items + i);
    std::construct_at(b.items + i, std::move(b.items[b.end]));
    std::destroy_at(b.items + b.end);
    auto& x = b.extras[i];
    ++x.members;
    ++b.shared;
    ++stats_.duplicates;
    x.bytes = q.bytes;
    x.deadline = std::max(x.deadline, q.until);  // as long as one of them wants it
    if (q.callback != nullptr) {
      auto** last = &x.callbacks;
      while (*last != nullptr) last = &(*last)->next;
      *last = q.callback;
    }
    if (x.deadline != instant::max()) b.has_deadlines = true;
    if (q.ticket) {
      ++b.issued;
      place = {&b, slot, b.generation(slot)};
    }
    ++accepted_;
    ++pending_;
    b.bytes += q.bytes - before;
    pending_bytes_ += q.bytes - before;
    if (!Types::even && b.bytes >= o_.max_bytes) seal(&b, batch_trigger::bytes, now, e);
    return batch_answer::accepted;
  }

  block* fetch() noexcept {
    if (block* const b = free_.pop_front()) {
      --free_count_;
      return b;
    }
    return block::make(static_cast<std::uint32_t>(o_.max_items), clock_, owner_);
  }
  void put_back(block* b) noexcept {
    b->lane = nullptr;
    ++free_count_;
    free_.push_front(b);
  }

  // ---- Stripes --------------------------------------------------------------------------------------------

  bool is_open(block const* b) const noexcept {
    if constexpr (Types::relaxed) {
      return b->home != nullptr;
    } else {
      return b->lane != nullptr && b->lane->open == b;
    }
  }
  /// `b`, if there is one, is the open batch of a stripe from here on, which may add to it as many items as
  /// there is room for at this moment, but for the one that fills it.
  void leave_to(stripe& s, block* b) noexcept {
    s.open = b;
    s.stop = 0;
    if (b == nullptr) return;
    b->home = &s;
    s.end = b->end;
    s.items = b->items;
    if (!b->plain || o_.item_timeout.count() > 0) return;
    std::uint64_t const room =
        std::min<std::uint64_t>(cap_ - std::min(cap_, pending_), batch_stripes<Types>::unknown);
    s.stop = std::min(b->limit - 1, b->end + static_cast<std::uint32_t>(room));
  }
  void take_out_of_open(block* b) noexcept {
    open_.erase(b);
    if (b->lane->open == b) b->lane->open = nullptr;
    if constexpr (Types::relaxed) {
      if (b->home == nullptr) return;
      b->home->open = nullptr;
      b->home->stop = 0;
      b->home = nullptr;
    }
  }

  // ---- Taking out of what is open -------------------------------------------------------------------------

  enum class harvested : unsigned char { nothing, one, more };
  /// Hands one dead item out, to be destroyed without the lock. `more`: there are others still.
  harvested harvest(block& b, effects& e) noexcept {
    if constexpr (std::is_trivially_destructible_v<item_type>) {
      b.first = b.begin;
      return harvested::nothing;
    } else {
      if (b.first == b.begin) return harvested::nothing;
      if (e.removed.has_value()) return harvested::more;
      e.removed.emplace(std::move(b.items[b.first]));
      std::destroy_at(b.items + b.first);
      ++b.first;
      return b.first == b.begin ? harvested::one : harvested::more;
    }
  }
  /// Whether what is not sealed can make room, but for one item of `members` that has `own` bytes.
  bool can_drop_for(std::size_t bytes, std::uint32_t members = 0, std::size_t own = 0) const noexcept {
    std::uint64_t items = 0;
    std::size_t freed = 0;
    for (block const* b = open_.first; b != nullptr; b = b->next) {
      items += b->live() + b->shared;
      freed += b->bytes;
    }
    if (items == members) return false;
    if constexpr (Types::even) {
      return true;
    } else {
      return bytes <= o_.max_pending_bytes - std::min(o_.max_pending_bytes, pending_bytes_ - (freed - own));
    }
  }
  static constexpr std::uint32_t no_slot = std::numeric_limits<std::uint32_t>::max();
  /// The oldest of all that is not sealed gives way. `keep` may be left empty: something is about to come;
  /// its slot `but` stays, and what is dropped is not handed out then.
  bool drop_one(block* keep, effects& e, std::uint32_t but = no_slot) noexcept {
    block* oldest = nullptr;
    std::uint32_t place = 0;
    std::uint64_t sequence = std::numeric_limits<std::uint64_t>::max();
    for (block* b = open_.first; b != nullptr; b = b->next) {
      std::uint32_t at = b->begin;
      if (b == keep && but != no_slot && b->extras[at].slot == but) ++at;
      if (at == b->end) continue;
      std::uint64_t const own = b->plain ? 0 : b->extras[at].sequence;  // plain: it is the only one
      if (oldest == nullptr || own < sequence) oldest = b, place = at, sequence = own;
    }
    if (oldest == nullptr) return false;
    oldest->write_down(each_);
    // If it is `keep`, what is being added stands behind its end already, and is not touched.
    remove_open(oldest, place, slot_state::pending, dropped_outcome(), stats_.dropped, e);
    if (but == no_slot) harvest(*oldest, e);
    if (oldest->live() == 0 && oldest != keep) close_empty(oldest, e);
    return true;
  }
  /// It is dead then, and stays where it is until it is harvested.
  void remove_open(block* b, std::uint32_t i, slot_state s, outcome const& o, std::uint64_t& counter,
                   effects& e) noexcept {
    auto& x = b->extras[i];
    if constexpr (Types::dedupes) {
      for (auto at = b->equals.begin(); at != b->equals.end(); ++at) {
        if (at->second != x.slot) continue;
        b->equals.erase(at);
        break;
      }
    }
    e.callbacks.append(x.callbacks, o);
    x.callbacks = nullptr;
    std::uint32_t const members = x.members;
    std::size_t const bytes = x.bytes;
    b->shared -= members - 1;
    s == slot_state::pending ? b->free_slot(x.slot) : b->set(x.slot, s);
    b->bytes -= bytes;
    b->kill(i);
    count_settled(b, members, bytes, counter, e);
    b->tell();
  }
  void close_empty(block* b, effects& e) noexcept {
    take_out_of_open(b);
    lane* const l = b->lane;
    b->lane = nullptr;
    e.spent.push_back(b);
    drop_lane_if_idle(l, e);
  }

  // ---- Sealing --------------------------------------------------------------------------------------------

  template <class Now>
  void seal(block* b, batch_trigger why, Now&& now, effects& e) noexcept {
    lane* const l = b->lane;
    take_out_of_open(b);
    b->trigger = why;
    ++stats_.batches_by[static_cast<std::size_t>(why)];
    stats_.items_by[static_cast<std::size_t>(why)] += b->live() + b->shared;
    if (b->has_deadlines) expire(b, b->end, now(), e);
    if (b->live() == 0) {
      b->lane = nullptr;
      e.spent.push_back(b);
      drop_lane_if_idle(l, e);
      return;
    }
    l->sealed.push_back(b);
    ++l->outstanding;
    ++stats_ready_;
    queue(l);
    e.sendable = true;
  }
  template <class Now>
  void seal_all(batch_trigger why, Now&& now, effects& e) noexcept {
    while (open_.first != nullptr) seal(open_.first, why, now, e);
  }
  /// Settles what has expired among [begin, to).
  void expire(block* b, std::uint32_t to, instant now, effects& e) noexcept {
    bool any = false;
    for (std::uint32_t i = b->begin; i != to; ++i) {
      bool const late = b->extras[i].deadline <= now;
      b->verdicts[i] = late ? verdict::failed : verdict::again;
      if (!late) continue;
      any = true;
      b->store_result(b->slot_at(i), expired_outcome());
      settle_one(b, i, slot_state::failed, b->result_of(b->slot_at(i)), stats_.expired, e);
    }
    if (!any) return;
    b->partition(to, [b](std::uint32_t i) { return b->verdicts[i] == verdict::failed; });
    b->tell();
  }

  /// The same among all that a batch holds, halves that wait behind its innermost range included.
  void expire_waiting(block* b, instant now, effects& e) noexcept {
    for (std::uint32_t d = 0; d != b->depth; ++d) {
      auto& r = b->ranges[d];
      std::uint32_t dead_behind = 0;
      for (std::uint32_t i = r.end; i != b->end; ++i) dead_behind += b->extras[i].deadline <= now ? 1u : 0u;
      r.end += dead_behind;  // the dead go to the beginning, and what lives moves up
    }
    expire(b, b->end, now, e);
  }

  // ---- Sending --------------------------------------------------------------------------------------------

  lane* may_take() const noexcept {
    lane* const l = ready_.first;
    if (l == nullptr || stats_.in_flight >= o_.max_in_flight) return nullptr;
    if (stats_.in_flight != 0 &&
        bytes_of(l->sealed.first) >
            o_.max_in_flight_bytes -
                std::min<std::size_t>(o_.max_in_flight_bytes,
                                      static_cast<std::size_t>(stats_.in_flight_bytes))) {
      return nullptr;
    }
    return l;
  }
  std::size_t bytes_of(block const* b) const noexcept {
    if constexpr (Types::even) {
      return b->live() * each_;
    } else {
      return b->bytes;
    }
  }
  void queue(lane* l) noexcept {
    if (l->queued || l->sealed.empty() || (Types::keyed && l->busy)) return;
    l->queued = true;
    ready_.push_back(l);
  }
  /// False: nothing is left to be sent.
  bool begin_attempt(block* b, instant now, effects& e) noexcept {
    while (b->depth != 0) {
      if (b->has_deadlines) expire(b, range_end(b), now, e);
      if (b->begin != range_end(b)) return true;
      --b->depth;
    }
    return false;
  }
  template <class Now>
  step end(block* b, Now&& now, effects& e) noexcept {
    finish(b, now, e);
    make_room(now, e);
    return step::done;
  }
  void leave_flight(block* b) noexcept {
    in_flight_list_.erase(b);
    b->in_flight = false;
    --stats_.in_flight;
    stats_.in_flight_bytes -= b->flight_bytes;
  }
  template <class Now>
  void finish(block* b, Now&& now, effects& e) noexcept {
    leave_flight(b);
    leave_lane(b, now, e);
  }
  template <class Now>
  void leave_lane(block* b, Now&& now, effects& e) noexcept {
    lane* const l = b->lane;
    b->lane = nullptr;
    --l->outstanding;
    l->busy = false;
    queue(l);
    if (Types::when_idle && l->outstanding == 0 && l->open != nullptr) {
      seal(l->open, batch_trigger::idle, now, e);
    }
    drop_lane_if_idle(l, e);
    e.sendable = true;
  }
  void delay_until(block* b) noexcept {
    block* after = delayed_.last;
    while (after != nullptr && after->due > b->due) after = after->previous;
    delayed_.insert_before(after != nullptr ? after->next : delayed_.first, b);
  }

  // ---- Settling -------------------------------------------------------------------------------------------

  static std::uint32_t members_at(block const* b, std::uint32_t i) noexcept {
    return b->plain ? 1 : b->extras[i].members;
  }
  void settle_one(block* b, std::uint32_t i, slot_state s, outcome const& o, std::uint64_t& counter,
                  effects& e) noexcept {
    if (b->plain) {
      b->set(i, s);
      count_settled(b, 1, each_, counter, e);
      return;
    }
    auto& x = b->extras[i];
    b->set(x.slot, s);
    e.callbacks.append(x.callbacks, o);
    x.callbacks = nullptr;
    b->bytes -= x.bytes;
    b->shared -= x.members - 1;
    count_settled(b, x.members, x.bytes, counter, e);
  }
  void count_settled(block* b, std::uint32_t members, std::size_t bytes, std::uint64_t& counter,
                     effects& e) noexcept {
    counter += members;
    pending_ -= members;
    pending_bytes_ -= bytes;
    for (batch_flush* f = flushes_.first; f != nullptr; f = f->next) {
      if (b->epoch >= f->epoch) continue;
      f->remaining -= members;
      if (f->remaining == 0) e.settled = true;
    }
    if (closed_ && pending_ == 0) e.settled = e.wake_all = true;
  }

  /// Serves those who wait, in their order.
  template <class Now>
  void make_room(Now&& now, effects& e) noexcept {
    if (waiters_.empty()) [[likely]]
      return;
    while (waiter* const w = waiters_.first) {
      if (!has_room(w->request->bytes)) break;
      auto const move_in = [w](void* where) noexcept { ::new (where) item_type(std::move(*w->item)); };
      batch_answer a = batch_answer::no_memory;
      if (w->request->until != instant::max() && w->request->until <= now()) {
        a = batch_answer::expired;
      } else {
#if TIDEOVER_EXCEPTIONS
        try {
          a = admit(*w->request, move_in, now, w->place, e);
        } catch (...) {
          a = batch_answer::no_memory;  // a key that had to be copied: nothing else throws here
        }
#else
        a = admit(*w->request, move_in, now, w->place, e);
#endif
      }
      if (a == batch_answer::again) {
        e.more = true;
        break;
      }
      take_out(*w);
      answer(*w, a, e);
    }
    if (!waiters_.empty()) seal_all(batch_trigger::pressure, now, e);
    if constexpr (Types::relaxed) {
      // It is of no stripe; what those who waited add next goes into batches that are sealed after it.
      if (only_.open != nullptr) seal(only_.open, batch_trigger::pressure, now, e);
    }
  }
  void take_out(waiter& w) noexcept {
    waiters_.erase(&w);
    w.listed = false;
    --stats_.blocked;
    if (waiters_.empty()) admit_below_ = closed_ ? 0 : cap_;
  }
  void answer(waiter& w, batch_answer a, effects& e) noexcept {
    w.answer = a;
    e.answered.push_back(&w);
  }

  /// The time of the shutdown is up: everything that is pending is settled.
  template <class Now>
  void give_up(Now&& now, effects& e) noexcept {
    static_cast<void>(now);
    gave_up_.store(true, std::memory_order_relaxed);
    auto const settle_all = [&](block* b) {
      for (std::uint32_t i = b->begin; i != b->end; ++i) {
        settle_one(b, i, slot_state::shut_down, shut_down_outcome(), stats_.shut_down, e);
      }
      b->tell();
    };
    auto const end_of = [&](block* b) {
      settle_all(b);
      lane* const l = b->lane;
      b->lane = nullptr;
      --l->outstanding;
      b->begin = b->end;
      e.spent.push_back(b);
      return l;
    };
    while (lane* const l = ready_.pop_front()) {
      l->queued = false;
      while (block* const b = l->sealed.pop_front()) end_of(b), --stats_ready_;
      drop_lane_if_idle(l, e);
    }
    while (block* const b = delayed_.pop_front()) {
      lane* const l = end_of(b);
      l->busy = false;
      while (block* const behind = l->sealed.pop_front()) end_of(behind), --stats_ready_;
      drop_lane_if_idle(l, e);
    }
    for (block* b = in_flight_list_.first; b != nullptr; b = b->next) {
      if (b->abandoned) continue;
      settle_all(b);
      b->abandoned = true;
      lane* const l = b->lane;
      while (block* const behind = l->sealed.pop_front()) end_of(behind), --stats_ready_;
    }
    e.settled = e.wake_all = true;
  }

  // ---- Lanes ----------------------------------------------------------------------------------------------

  lane* lane_for(request& q) {
    if constexpr (!Types::keyed) {
      static_cast<void>(q);
      return &only_;
    } else {
      std::size_t const hash = std::hash<typename Types::key_type>()(q.key);
      for (lane* l = buckets_[hash % buckets_.size()]; l != nullptr; l = l->in_bucket) {
        if (l->hash == hash && l->key == q.key) return l;
      }
      if (lanes_ >= buckets_.size()) spread();
      lane* const made = new (std::nothrow) lane;
      if (made == nullptr) return nullptr;
#if TIDEOVER_EXCEPTIONS
      try {
        made->key = q.key;
      } catch (...) {
        delete made;
        throw;
      }
#else
      made->key = q.key;
#endif
      made->hash = hash;
      auto& bucket = buckets_[hash % buckets_.size()];
      made->in_bucket = bucket;
      bucket = made;
      ++lanes_;
      return made;
    }
  }
  void spread() noexcept {
#if TIDEOVER_EXCEPTIONS
    try {
#endif
      std::vector<lane*> more(buckets_.size() * 2, nullptr);
      for (lane* l : buckets_) {
        while (l != nullptr) {
          lane* const next = l->in_bucket;
          l->in_bucket = more[l->hash % more.size()];
          more[l->hash % more.size()] = l;
          l = next;
        }
      }
      buckets_.swap(more);
#if TIDEOVER_EXCEPTIONS
    } catch (...) {
      // The chains are longer then.
    }
#endif
  }
  void drop_lane_if_idle(lane* l, effects& e) noexcept {
    if constexpr (Types::keyed) {
      if (!l->idle() || l->gone) return;
      l->gone = true;
      auto** at = &buckets_[l->hash % buckets_.size()];
      while (*at != l) at = &(*at)->in_bucket;
      *at = l->in_bucket;
      --lanes_;
      l->in_bucket = e.gone;
      e.gone = l;
    } else {
      static_cast<void>(l), static_cast<void>(e);
    }
  }

  // What every add touches stands together.
  std::uint64_t admit_below_ = 0;  // 0: closed, or somebody waits
  std::uint64_t pending_ = 0;
  std::uint64_t accepted_ = 0;
  lane only_{};
  std::size_t each_ = 0;       // bytes of an item, where all have the same
  std::size_t per_bytes_ = 0;  // so many of them have max_bytes
  std::uint64_t cap_ = 0;
  std::size_t pending_bytes_ = 0;
  std::uint64_t flush_epoch_ = 0;
  bool closed_ = false;
  std::atomic<bool> gave_up_{false};
  instant closing_at_ = instant::max();

  batch_list<block> open_{};  // by the time of their first item, and so of their deadlines
  batch_list<lane> ready_{};
  batch_list<block> delayed_{};  // by when they are due
  batch_list<block> in_flight_list_{};
  batch_list<block> free_{};
  batch_list<waiter> waiters_{};
  batch_list<batch_flush> flushes_{};
  std::size_t free_count_ = 0;
  std::size_t most_free_;  // as many as it took to hold what may be pending
  std::size_t stats_ready_ = 0;
  std::size_t lanes_ = 0;
  std::vector<lane*> buckets_{};
  void const* owner_;
  batch_options o_;
  [[no_unique_address]] size_policy sizes_;
  [[no_unique_address]] clock_type clock_;
  batch_stats stats_{};
};

}  // namespace tideover::inline v0::detail
