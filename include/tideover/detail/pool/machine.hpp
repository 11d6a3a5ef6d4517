// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/connection_pool_options.hpp>
#include <tideover/detail/pool/budget.hpp>
#include <tideover/detail/pool/idle_store.hpp>
#include <tideover/detail/pool/slot.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/rng.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace tideover::inline v0::detail {

/// What the machine is told of the policies.
template <bool NewcomersMayPass, bool DropsSuspects, class Budget = no_budget>
struct pool_rules {
  using budget_type = Budget;
  static constexpr bool newcomers_may_pass = NewcomersMayPass;
  static constexpr bool drops_suspects = DropsSuspects;
};

/// The pool as a sequential machine: slots, and a queue of tickets. Events come in with the time, what is to
/// be done goes out as `pool_effects`. It knows no lock, no thread and no object: its caller holds the lock,
/// and the gate of `Store` is shut. Allocates nothing but in `configure`.
///
/// What is asked of the factory waits as a job (`claim`) until somebody has the time: slots that are
/// `opening` or `checking`.
template <class Store, class Rules, class Backoff, class Rng>
class pool_machine {
 public:
  using budget_type = typename Rules::budget_type;

  pool_machine(Backoff backoff, Rng rng) : backoff_(std::move(backoff)), rng_(std::move(rng)) {}

  pool_slots const& slots() const noexcept { return slots_; }
  Store& store() noexcept { return store_; }
  pool_options const& options() const noexcept { return o_; }

  void shut() noexcept { store_.shut(slots_); }
  /// Opens the gate if that changes nothing that anybody is promised.
  void open_if_quiet() noexcept {
    if constexpr (Store::is_fast) {
      if constexpr (budget_type::limited) {
        if (budget_.wants_idle()) return;
      }
      if (first_ == nullptr && !closed_ && wanted_idle_ == 0 && total() <= o_.max_size &&
          live_ <= o_.max_idle && (!rests() || needed(0) <= opening_)) {
        store_.open(slots_);
      }
    }
  }

  // ---- Events ---------------------------------------------------------------------------------------------

  /// Options that are within their bounds. Throws std::bad_alloc, and nothing has changed.
  void configure(pool_options const& o) {
    slots_.grow(static_cast<std::uint32_t>(o.max_size));
    o_ = o;
  }

  /// Settles the ticket, or puts it into the queue.
  void acquire(pool_ticket& t, instant now, pool_effects& fx) {
    ++counts_.started;
    // It may have been closed by hand, long before it said that it would let anybody through.
    if (t.let_through && std::exchange(refused_, false)) retry_at_ = instant::min();
    enter(t, now, fx);
    settle(now, fx);
  }
  /// What the step would lend at once to one who comes now; null if it takes more than that.
  pool_slot* take_idle(instant now) noexcept {
    if (first_ != nullptr || store_.first() == no_slot) return nullptr;
    pool_slot& s = slots_[store_.first()];
    if (now >= s.expires_at || needs_check(s, now)) return nullptr;
    store_.remove(slots_, s);
    ++counts_.started;
    ++counts_.granted;
    return &s;
  }
  /// One that was taken without the lock, and goes back as if it never had been.
  void put_back(pool_slot& s, instant now, pool_effects& fx) {
    ++counts_.put_back;
    come_back<false>(s, now, fx);
  }
  /// False: it is settled already.
  bool cancel(pool_ticket& t, errc why, instant now, pool_effects& fx) {
    if (!t.queued) return false;
    unlink(t);
    refuse(t, why, counts_of(why));
    settle(now, fx);
    return true;
  }

  void give_back(pool_slot& s, bool broken, bool doubtful, pool_close_reason why, instant now,
                 pool_effects& fx) {
    if (broken) {
      doom(s, why, fx);
      return settle(now, fx);
    }
    s.proven = now;
    s.must_check = doubtful && validates_;
    come_back<true>(s, now, fx);
  }

  void opened(pool_slot& s, pool_box& box, instant now, pool_effects& fx) {
    --opening_;
    ++live_;
    failures_ = 0;
    refused_ = false;
    retry_at_ = instant::min();
    box.id = ++counts_.created;
    box.slot = s.index;
    s.box = &box;
    s.state = pool_slot_state::live;
    s.must_check = false;
    s.proven = now;
    s.expires_at = o_.max_lifetime.count() > 0 ? now + life() : instant::max();
    come_back<true>(s, now, fx);
  }
  /// `ends_one`: the first one who waits is told at once. Without `had_time` it says nothing of the factory.
  void open_failed(pool_slot& s, bool ends_one, instant now, pool_effects& fx, bool had_time = true) {
    ++counts_.open_failures;
    free_opening(s);
    if (had_time) {
      refused_ = false;
      retry_at_ = now + backoff_.delay(failures_, rng_);
      if (failures_ < 63) ++failures_;
      free_unbegun(now);
    }
    if (ends_one || (had_time && !o_.wait_through_errors)) tell_first(now, fx);
    settle(now, fx);
  }
  /// It was not let through, and the factory was not asked: the first one who waits is told, unless another
  /// opening may serve him still.
  void open_refused(pool_slot& s, std::chrono::nanoseconds retry_after, instant now, pool_effects& fx) {
    ++counts_.open_failures;
    refused_ = true;
    retry_at_ = now + (retry_after.count() > 0 ? retry_after : backoff_.delay(failures_, rng_));
    free_opening(s);
    free_unbegun(now);
    if (opening_ == 0) tell_first(now, fx, true);
    settle(now, fx);
  }

  /// `tells_of_others`: if it failed, so may they.
  void checked(pool_slot& s, bool good, instant now, pool_effects& fx, bool tells_of_others = true) {
    --checking_;
    ++live_;
    s.state = pool_slot_state::live;
    if (good) {
      s.must_check = false;
      s.proven = now;
      return come_back<false>(s, now, fx);
    }
    ++counts_.check_failures;
    doom(s, pool_close_reason::check_failed, fx);
    for (std::uint32_t i = tells_of_others ? store_.first() : no_slot; i != no_slot;) {
      pool_slot& other = slots_[i];
      i = store_.after(other);
      if (other.proven >= now) continue;
      if constexpr (Rules::drops_suspects) {
        close_idle(other, pool_close_reason::suspect, fx);
      } else {
        other.must_check = true;
      }
    }
    settle(now, fx);
  }

  /// With `count_closing`: what was doomed is destroyed.
  void destroyed(std::uint32_t index, instant now, pool_effects& fx) {
    --closing_;
    ++counts_.destroyed;
    if constexpr (budget_type::limited) {
      budget_.all().end_leaving();
      given_ = true;
    }
    make_absent(slots_[index]);
    settle(now, fx);
  }

  void tick(instant now, pool_effects& fx) {
    std::size_t grown_old = 0;
    for (std::uint32_t i = store_.first(); i != no_slot;) {
      pool_slot& s = slots_[i];
      i = store_.after(s);
      if (now >= s.expires_at) {
        close_idle(s, pool_close_reason::lifetime, fx);
      } else if (too_idle(s, now)) {
        ++grown_old;
      }
    }
    std::size_t const there = live_ + checking_;
    std::size_t const spare = there > o_.min_size ? std::min(grown_old, there - o_.min_size) : 0;
    close_oldest(spare, pool_close_reason::idle, fx);
    if (first_ == nullptr && !closed_ && o_.health_check_interval.count() > 0 && validates_) {
      pool_slot* oldest = nullptr;
      for (std::uint32_t i = store_.first(); i != no_slot; i = store_.after(slots_[i])) {
        pool_slot& s = slots_[i];
        if (now - s.proven >= o_.health_check_interval && (oldest == nullptr || s.proven < oldest->proven)) {
          oldest = &s;
        }
      }
      // One at a time: maintenance is not to take what others want.
      if (oldest != nullptr && checking_ == 0) begin_check(*oldest, fx);
    }
    settle(now, fx);
  }
  /// After other options.
  void adjust(instant now, pool_effects& fx) {
    // What nobody has begun to open does not keep the place of what is there.
    while (total() > o_.max_size) {
      pool_slot* const unbegun = claim(true, false);
      if (unbegun == nullptr) break;
      free_opening(*unbegun);
    }
    if (total() > o_.max_size) close_oldest(total() - o_.max_size, pool_close_reason::shrunk, fx);
    if (std::size_t const idle = store_.count(slots_); idle > o_.max_idle) {
      close_oldest(idle - o_.max_idle, pool_close_reason::surplus, fx);
    }
    wanted_idle_ = std::min(wanted_idle_, most_idle());
    // Who wants more than there may be now would wait in vain, and everybody behind him.
    for (pool_ticket* t = first_; t != nullptr;) {
      pool_ticket& now_it = *t;
      t = t->next;
      if (now_it.want <= o_.max_size) continue;
      unlink(now_it);
      refuse(now_it, errc::invalid_argument, counts_.rejected);
      fx.wake(now_it);
    }
    settle(now, fx);
  }
  void invalidate(instant now, pool_effects& fx) {
    ++counts_.generation;
    while (store_.first() != no_slot) {
      close_idle(slots_[store_.first()], pool_close_reason::invalidated, fx);
    }
    settle(now, fx);
  }
  void close(pool_effects& fx) {
    if (closed_) return;
    closed_ = true;
    while (first_ != nullptr) {
      pool_ticket& t = *first_;
      unlink(t);
      refuse(t, errc::closed, counts_.closed);
      fx.wake(t);
    }
    while (store_.first() != no_slot) {
      close_idle(slots_[store_.first()], pool_close_reason::pool_closed, fx);
    }
    // What nobody has begun never will be.
    while (pool_slot* const s = claim(true, true)) {
      if (s->state == pool_slot_state::opening) {
        free_opening(*s);
      } else {
        --checking_;
        ++live_;
        doom(*s, pool_close_reason::pool_closed, fx);
      }
    }
  }
  /// Somebody waits until so many are idle.
  void want_idle(std::size_t n, instant now, pool_effects& fx) {
    wanted_idle_ = std::min(n, most_idle());
    settle(now, fx);
  }

  // ---- The budget, where there is one ---------------------------------------------------------------------

  budget_type& budget() noexcept { return budget_; }
  /// Somebody waits, and only the budget keeps it from opening one more.
  bool starves() const noexcept { return starved_ && first_ != nullptr && !closed_; }
  /// It was offered a place.
  void use_offer(instant now, pool_effects& fx) {
    settle(now, fx);
    budget_.decline();
  }
  /// Since when its oldest idle object has been so, if nobody here waits.
  instant oldest_spare() const noexcept {
    instant oldest = instant::max();
    if (first_ != nullptr) return oldest;
    for (std::uint32_t i = store_.first(); i != no_slot; i = store_.after(slots_[i])) {
      oldest = std::min(oldest, slots_[i].idle_since);
    }
    return oldest;
  }
  bool close_spare(pool_effects& fx) noexcept {
    if (first_ != nullptr || store_.first() == no_slot || !budget_.all().evict(o_.count_closing))
      return false;
    given_ = true;
    close_oldest(1, pool_close_reason::evicted, fx);
    return true;
  }

  // ---- Jobs -----------------------------------------------------------------------------------------------

  /// A slot that is to be opened or checked, by whoever asks; null: there is none.
  pool_slot* claim(bool openings, bool checks) noexcept {
    std::uint32_t before = no_slot;
    for (std::uint32_t i = jobs_; i != no_slot; before = i, i = slots_[i].job_next) {
      pool_slot& s = slots_[i];
      if (!(s.state == pool_slot_state::opening ? openings : checks)) continue;
      (before == no_slot ? jobs_ : slots_[before].job_next) = s.job_next;
      if (last_job_ == i) last_job_ = before;
      --pending_;
      return &s;
    }
    return nullptr;
  }
  std::size_t pending() const noexcept { return pending_; }

  // ---- Looking --------------------------------------------------------------------------------------------

  pool_ticket* first_waiter() const noexcept { return first_; }
  bool closed() const noexcept { return closed_; }
  std::size_t idle() const noexcept { return store_.count(slots_); }
  std::size_t leased() const noexcept { return live_ - idle(); }
  bool empty() const noexcept { return live_ + opening_ + checking_ + closing_ == 0; }
  std::uint64_t created() const noexcept { return counts_.created; }
  std::size_t wanted_idle() const noexcept { return wanted_idle_; }
  std::size_t most_idle() const noexcept { return std::min(o_.max_size, o_.max_idle); }
  bool rests() const noexcept { return retry_at_ != instant::min(); }
  std::size_t live() const noexcept { return live_; }
  std::size_t opening() const noexcept { return opening_; }
  std::uint64_t generation() const noexcept { return counts_.generation; }
  void validates(bool v) noexcept { validates_ = v; }

  /// When those who wait can be helped by another attempt; `instant::max()` if they cannot.
  instant retry_at() const noexcept {
    if (starved_) return instant::max();  // whoever gives way tells
    std::size_t const usable = checking_ + (first_ != nullptr ? idle() : 0);
    std::size_t const lack = wanted_ > usable ? wanted_ - usable : 0;
    return needed(lack) > opening_ ? retry_at_ : instant::max();
  }
  /// When `tick` is to be called again at the latest, whatever is returned meanwhile.
  instant next_deadline(instant now) const noexcept {
    instant next = retry_at();
    auto const sooner = [&](instant t) { next = std::min(next, t); };
    bool const ages = o_.max_idle_time.count() > 0;
    bool const checks =
        o_.health_check_interval.count() > 0 && validates_ && first_ == nullptr && checking_ == 0;
    bool const spare = live_ + checking_ > o_.min_size;
    std::size_t idle = 0;
    for (std::uint32_t i = store_.first(); i != no_slot; i = store_.after(slots_[i]), ++idle) {
      pool_slot const& s = slots_[i];
      sooner(s.expires_at);
      if (ages && spare) sooner(s.idle_since + o_.max_idle_time + std::chrono::nanoseconds(1));
      if (checks) sooner(s.proven + o_.health_check_interval);
    }
    // What idles may be lent any moment, and nobody here is told.
    if (o_.leak_after.count() > 0 && !empty()) sooner(now + o_.leak_after);
    if (live_ > idle || checking_ + opening_ != 0) {  // these may be idle at once
      if (ages) sooner(now + o_.max_idle_time);
      if (o_.health_check_interval.count() > 0 && validates_) sooner(now + o_.health_check_interval);
      if (o_.max_lifetime.count() > 0) sooner(now + o_.max_lifetime);
    }
    return next;
  }

  struct leak {
    pool_slot* slot = nullptr;
    instant since{};
  };
  /// One lease that is held for too long and was not told yet; null: none. While the gate is shut a slot that
  /// is lent stays so, but its holder may be about to give it back, and then there is no time in it any more.
  leak next_leak(instant now) noexcept {
    if (o_.leak_after.count() <= 0) return {};
    ++scans_;
    for (std::uint32_t i = store_.first(); i != no_slot; i = store_.after(slots_[i]))
      slots_[i].scanned = scans_;
    for (std::uint32_t i = 0; i < used_; ++i) {
      pool_slot& s = slots_[i];
      if (s.state != pool_slot_state::live || s.scanned == scans_) continue;
      std::int64_t const since = s.leased_since.load(std::memory_order_acquire);
      if (since == pool_slot::not_leased || s.leaked.load(std::memory_order_relaxed)) continue;
      if (now - instant{since} <= o_.leak_after) continue;
      s.leaked.store(true, std::memory_order_relaxed);
      ++counts_.leaks;
      return {&s, instant{since}};
    }
    return {};
  }
  /// Of one that comes back and was not told: whether it is a leak, which is counted then.
  bool leaks_after(std::chrono::nanoseconds held) noexcept {
    if (o_.leak_after.count() <= 0 || held <= o_.leak_after) return false;
    ++counts_.leaks;
    return true;
  }
  /// Leases from before leaks were looked for have no time.
  void forget_leases() noexcept {
    for (std::uint32_t i = 0; i < used_; ++i) {
      // That of one that was told is needed when it comes back.
      if (slots_[i].leaked.load(std::memory_order_relaxed)) continue;
      slots_[i].leased_since.store(pool_slot::not_leased, std::memory_order_relaxed);
    }
  }

  pool_stats stats() const noexcept {
    pool_stats s;
    std::uint64_t const fast = store_.takes() - counts_.put_back;
    s.idle = idle();
    s.leased = live_ - s.idle;
    s.opening = opening_;
    s.checking = checking_;
    s.closing = closing_;
    s.waiting = waiting_;
    s.started = counts_.started + fast;
    s.granted = counts_.granted + fast;
    s.timed_out = counts_.timed_out;
    s.cancelled = counts_.cancelled;
    s.closed = counts_.closed;
    s.rejected = counts_.rejected;
    s.errored = counts_.errored;
    s.created = counts_.created;
    s.destroyed = counts_.destroyed;
    s.open_failures = counts_.open_failures;
    s.check_failures = counts_.check_failures;
    s.leaks = counts_.leaks;
    s.generation = counts_.generation;
    return s;
  }

 private:
  struct counts {
    std::uint64_t started = 0, granted = 0, timed_out = 0, cancelled = 0, closed = 0, rejected = 0,
                  errored = 0;
    std::uint64_t created = 0, destroyed = 0, open_failures = 0, check_failures = 0, leaks = 0,
                  generation = 0;
    std::uint64_t put_back = 0;
  };

  void enter(pool_ticket& t, instant now, pool_effects& fx) {
    if (closed_) return refuse(t, errc::closed, counts_.closed);
    if (t.want > o_.max_size) return refuse(t, errc::invalid_argument, counts_.rejected);
    if ((first_ == nullptr || Rules::newcomers_may_pass) && try_grant(t, now, fx)) return;
    if (t.at_once != errc{}) return refuse(t, t.at_once, counts_of(t.at_once));
    if (t.deadline <= now) {
      if (first_ == nullptr) prove_one(now, fx);
      return refuse(t, errc::timed_out, counts_.timed_out);
    }
    if (waiting_ >= o_.max_waiters) return refuse(t, errc::queue_full, counts_.rejected);
    t.queued = true;
    t.previous = last_;
    t.next = nullptr;
    (last_ != nullptr ? last_->next : first_) = &t;
    last_ = &t;
    ++waiting_;
    wanted_ += t.want;
  }

  // ---- The step at the end of each event ------------------------------------------------------------------

  /// Serves those who wait, in order; then begins the checks and the openings that somebody needs.
  void settle(instant now, pool_effects& fx) {
    while (pool_ticket* const t = first_live(now, fx)) {
      if (!try_grant(*t, now, fx)) break;
      fx.wake(*t);
    }
    starved_ = false;
    if (closed_) return;
    if constexpr (budget_type::limited) make_room_for_others(fx);
    std::size_t lack = 0;
    if (first_ != nullptr) {
      std::size_t usable = checking_;
      for (std::uint32_t i = store_.first(); i != no_slot; i = store_.after(slots_[i])) {
        if (!needs_check(slots_[i], now)) ++usable;
      }
      lack = wanted_ > usable ? wanted_ - usable : 0;
      for (std::uint32_t i = store_.first(); i != no_slot && lack > 0;) {
        pool_slot& s = slots_[i];
        i = store_.after(s);
        if (!needs_check(s, now)) continue;
        begin_check(s, fx);
        --lack;
      }
    }
    if (now < retry_at_ || needed(lack) <= opening_) return;
    if (waiting_ > 1) {  // an attempt costs so much that it is worth looking who is still there
      std::size_t const before = wanted_;
      drop_expired(now, fx);
      std::size_t const gone = before - wanted_;
      lack = lack > gone ? lack - gone : 0;
    }
    for (std::size_t const n = needed(lack); opening_ < n;) {
      if constexpr (budget_type::limited) {
        starved_ = !budget_.take();
        if (starved_) return;
      }
      begin_opening(fx);
    }
  }
  void make_room_for_others(pool_effects& fx) noexcept {
    // What has just come back is most likely all that is idle anywhere; else the oldest is to be looked for.
    bool const back = std::exchange(came_back_, false);
    while (back && close_spare(fx)) {
    }
    fx.spares = first_ == nullptr && store_.first() != no_slot && budget_.all().shortage() != 0;
  }

  /// How many openings should be under way when those who wait lack so many objects. What they get counts for
  /// `min_size`, too: nothing is opened that nobody needs.
  std::size_t needed(std::size_t lack) const noexcept {
    if (closed_) return 0;
    std::size_t const there = live_ + checking_ + closing_;
    if (there >= o_.max_size) return 0;
    std::size_t target = lack;
    if (o_.min_size > there) target = std::max(target, o_.min_size - there);
    if (wanted_idle_ != 0) {
      std::size_t const have = idle() + checking_;
      if (wanted_idle_ > have) target = std::max(target, lack + (wanted_idle_ - have));
    }
    return std::min({target, o_.max_size - there, o_.max_connecting});
  }

  /// The first who waits and whose deadline has not passed; those before him are told that theirs has.
  pool_ticket* first_live(instant now, pool_effects& fx) noexcept {
    while (first_ != nullptr && first_->deadline <= now) expire(*first_, fx);
    return first_;
  }
  void drop_expired(instant now, pool_effects& fx) noexcept {
    for (pool_ticket* t = first_; t != nullptr;) {
      pool_ticket& it = *t;
      t = t->next;
      if (it.deadline <= now) expire(it, fx);
    }
  }
  void tell_first(instant now, pool_effects& fx, bool not_asked = false) noexcept {
    pool_ticket* const t = first_live(now, fx);
    if (t == nullptr) return;
    unlink(*t);
    t->not_asked = not_asked;
    refuse(*t, errc::factory_error, counts_.errored);
    fx.wake(*t);
  }
  void expire(pool_ticket& t, pool_effects& fx) noexcept {
    unlink(t);
    refuse(t, errc::timed_out, counts_.timed_out);
    fx.wake(t);
  }

  /// All that it wants, or nothing. What has reached its end is closed on the way, what has to be checked
  /// first is passed over.
  bool try_grant(pool_ticket& t, instant now, pool_effects& fx) {
    std::uint32_t usable = 0;
    for (std::uint32_t i = store_.first(); i != no_slot && usable < t.want;) {
      pool_slot& s = slots_[i];
      i = store_.after(s);
      if (now >= s.expires_at) {
        close_idle(s, pool_close_reason::lifetime, fx);
      } else if (!needs_check(s, now)) {
        ++usable;
      }
    }
    if (usable < t.want) return false;
    std::uint32_t* link = &t.slots;
    for (std::uint32_t i = store_.first(); usable != 0;) {
      pool_slot& s = slots_[i];
      i = store_.after(s);
      if (needs_check(s, now)) continue;
      store_.remove(slots_, s);
      *link = s.index;
      link = &s.job_next;
      --usable;
    }
    *link = no_slot;
    if (t.queued) unlink(t);
    t.granted = true;
    ++counts_.granted;
    return true;
  }

  void unlink(pool_ticket& t) noexcept {
    (t.previous != nullptr ? t.previous->next : first_) = t.next;
    (t.next != nullptr ? t.next->previous : last_) = t.previous;
    t.queued = false;
    --waiting_;
    wanted_ -= t.want;
  }
  std::uint64_t& counts_of(errc why) noexcept {
    return why == errc::timed_out   ? counts_.timed_out
           : why == errc::cancelled ? counts_.cancelled
                                    : counts_.errored;
  }
  static void refuse(pool_ticket& t, errc why, std::uint64_t& counted) noexcept {
    t.refused = why;
    ++counted;
  }

  // ---- Slots ----------------------------------------------------------------------------------------------

  /// What is to stay: not what is closing, which counts for new ones only.
  std::size_t total() const noexcept { return live_ + checking_ + opening_; }

  bool needs_check(pool_slot const& s, instant now) const noexcept {
    return validates_ &&
           (s.must_check || (o_.validate_after_idle.count() >= 0 && now - s.proven > o_.validate_after_idle));
  }
  bool too_idle(pool_slot const& s, instant now) const noexcept {
    return o_.max_idle_time.count() > 0 && now - s.idle_since > o_.max_idle_time;
  }
  /// A share of the lifetime between 1 - jitter and 1, so that those born together do not die together.
  std::chrono::nanoseconds life() noexcept {
    double const off = o_.lifetime_jitter * to_unit_interval(rng_());
    // Rounded is what is taken off: what is left may be as much as there are numbers for, and round to more.
    auto const less = static_cast<std::int64_t>(static_cast<double>(o_.max_lifetime.count()) * off);
    return std::chrono::nanoseconds(std::max<std::int64_t>(1, o_.max_lifetime.count() - less));
  }

  /// Why an object may not be idle, if there is a reason.
  bool must_close(pool_slot const& s, instant now, pool_close_reason& why) const noexcept {
    if (closed_) return why = pool_close_reason::pool_closed, true;
    if (s.generation != counts_.generation) return why = pool_close_reason::invalidated, true;
    if (now >= s.expires_at) return why = pool_close_reason::lifetime, true;
    if (total() > o_.max_size) return why = pool_close_reason::shrunk, true;
    return false;
  }
  /// A live object that is not idle becomes so, or goes.
  template <bool FromUse>
  void come_back(pool_slot& s, instant now, pool_effects& fx) {
    pool_close_reason why{};
    if (must_close(s, now, why)) {
      doom(s, why, fx);
    } else if (first_ == nullptr && live_ > o_.max_idle && idle() >= o_.max_idle) {
      doom(s, pool_close_reason::surplus, fx);
    } else {
      came_back_ = true;
      if constexpr (FromUse) {
        s.idle_since = now;
        store_.put(slots_, s);
      } else {
        store_.put_by_age(slots_, s);
      }
    }
    settle(now, fx);
  }
  void doom(pool_slot& s, pool_close_reason why, pool_effects& fx) noexcept {
    pool_box& box = *s.box;
    s.box = nullptr;
    box.why = why;
    --live_;
    fx.doom(box);
    if (o_.count_closing) {
      if constexpr (budget_type::limited) {
        if (!std::exchange(given_, false)) budget_.all().begin_leaving();
      }
      box.slot = s.index;
      s.state = pool_slot_state::closing;
      ++closing_;
    } else {
      box.slot = no_slot;
      ++counts_.destroyed;
      make_absent(s);
    }
  }
  void close_idle(pool_slot& s, pool_close_reason why, pool_effects& fx) noexcept {
    store_.remove(slots_, s);
    doom(s, why, fx);
  }
  void close_oldest(std::size_t n, pool_close_reason why, pool_effects& fx) noexcept {
    if (n == 0) return;
    std::size_t keep = 0;
    if constexpr (!Store::oldest_first) {
      std::size_t const there = idle();
      keep = there > n ? there - n : 0;
    }
    for (std::uint32_t i = store_.first(); i != no_slot && n > 0;) {
      pool_slot& s = slots_[i];
      i = store_.after(s);
      if (keep > 0) {
        --keep;
        continue;
      }
      close_idle(s, why, fx);
      --n;
    }
  }
  void make_absent(pool_slot& s) noexcept {
    s.state = pool_slot_state::absent;
    s.next.store(free_, std::memory_order_relaxed);
    free_ = s.index;
    if constexpr (budget_type::limited) {
      if (!std::exchange(given_, false)) budget_.give();
    }
  }
  void free_opening(pool_slot& s) noexcept {
    --opening_;
    make_absent(s);
  }
  /// What nobody has begun to open rests, too.
  void free_unbegun(instant now) noexcept {
    if (now >= retry_at_) return;
    while (pool_slot* const unbegun = claim(true, false)) free_opening(*unbegun);
  }
  void begin_opening(pool_effects& fx) noexcept {
    std::uint32_t const i = free_ != no_slot ? free_ : used_;
    pool_slot& s = slots_[i];
    if (i == free_) {
      free_ = s.next.load(std::memory_order_relaxed);
    } else {
      ++used_;
      store_.use(used_);
    }
    s.state = pool_slot_state::opening;
    s.generation = counts_.generation;
    ++opening_;
    add_job(s);
    ++fx.openings;
  }
  void begin_check(pool_slot& s, pool_effects& fx) noexcept {
    store_.remove(slots_, s);
    s.state = pool_slot_state::checking;
    --live_;
    ++checking_;
    add_job(s);
    ++fx.checks;
  }
  /// Who does not wait cannot have anything checked first, so the next one is to find it checked.
  void prove_one(instant now, pool_effects& fx) noexcept {
    if (checking_ != 0) return;
    for (std::uint32_t i = store_.first(); i != no_slot; i = store_.after(slots_[i])) {
      if (needs_check(slots_[i], now)) return begin_check(slots_[i], fx);
    }
  }
  void add_job(pool_slot& s) noexcept {
    s.job_next = no_slot;
    (last_job_ != no_slot ? slots_[last_job_].job_next : jobs_) = s.index;
    last_job_ = s.index;
    ++pending_;
  }

  Store store_;
  pool_slots slots_;
  pool_options o_;
  Backoff backoff_;
  Rng rng_;
  counts counts_;

  pool_ticket* first_ = nullptr;
  pool_ticket* last_ = nullptr;
  std::size_t waiting_ = 0;
  std::size_t wanted_ = 0;  // by all who wait

  std::size_t live_ = 0;  // idle or lent
  std::size_t opening_ = 0;
  std::size_t checking_ = 0;
  std::size_t closing_ = 0;
  std::size_t wanted_idle_ = 0;

  std::uint32_t free_ = no_slot;  // absent slots below `used_`
  std::uint32_t used_ = 0;
  std::uint32_t jobs_ = no_slot;
  std::uint32_t last_job_ = no_slot;
  std::size_t pending_ = 0;
  std::uint32_t scans_ = 0;

  [[no_unique_address]] budget_type budget_;
  instant retry_at_ = instant::min();
  unsigned failures_ = 0;   // in a row
  bool refused_ = false;    // it rests because a breaker said so
  bool starved_ = false;    // the budget was the reason not to open one
  bool came_back_ = false;  // since it was settled last, an object
  bool given_ = false;      // the place of what goes next is given back already
  bool closed_ = false;
  bool validates_ = true;
};

}  // namespace tideover::inline v0::detail
