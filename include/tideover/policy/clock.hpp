// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/instant.hpp>
#include <tideover/policy/policy.hpp>

#include <time.h>

#include <atomic>
#include <chrono>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>

/// The clock axis: where a component's time comes from. A component asks its clock once per operation.
namespace tideover::inline v0 {

/// A clock. `now()` is the cheap answer that hot paths ask (expiry tests), `precise_now()` the exact one that
/// measures durations and ends waits; both on one epoch, both monotonic, neither may throw.
/// `wait_until(cv, lock, t)` waits like `cv.wait(lock)` but returns at the latest when `precise_now() >= t`;
/// it may return early, so callers test their condition again. All members may be called from any thread.
template <class C>
concept clock_policy = policy<C> && std::same_as<typename C::policy_axis, axis::clock> &&
    std::copy_constructible<C> &&
    requires(C const& c, std::condition_variable& cv, std::unique_lock<std::mutex>& lock, instant t) {
  { c.now() }
  noexcept->std::same_as<instant>;
  { c.precise_now() }
  noexcept->std::same_as<instant>;
  c.wait_until(cv, lock, t);
};

/// std::chrono::steady_clock for everything. About 30 ns a reading.
class steady {
 public:
  using policy_axis = axis::clock;

  static instant now() noexcept { return precise_now(); }
  static instant precise_now() noexcept {
    return instant::at(std::chrono::steady_clock::now().time_since_epoch());
  }
  template <class ConditionVariable, class Lock>
  static void wait_until(ConditionVariable& cv, Lock& lock, instant t) {
    if (t == instant::max()) return cv.wait(lock);
    cv.wait_until(lock, std::chrono::steady_clock::time_point(t.since_epoch()));
  }
};

/// The kernel's last tick for `now()` (CLOCK_MONOTONIC_COARSE: about 6 ns a reading, up to one tick of 1 to
/// 10 ms late), steady_clock on the same epoch for the rest. An expiry may be seen one tick late, never
/// early. Where the platform has no such clock it is `steady`.
class coarse {
 public:
  using policy_axis = axis::clock;

  [[gnu::always_inline]] static instant now() noexcept {
#if defined(CLOCK_MONOTONIC_COARSE)
    timespec ts{};
    if (::clock_gettime(CLOCK_MONOTONIC_COARSE, &ts) == 0) {
      return {std::int64_t{ts.tv_sec} * 1'000'000'000 + std::int64_t{ts.tv_nsec}};
    }
#endif
    return precise_now();
  }
  static instant precise_now() noexcept { return steady::precise_now(); }
  template <class ConditionVariable, class Lock>
  static void wait_until(ConditionVariable& cv, Lock& lock, instant t) {
    steady::wait_until(cv, lock, t);
  }
};

/// A clock that stands still until it is told otherwise: tests, simulations and replays own the time.
///
///     tideover::manual_clock clock;
///     tideover::ttl_cache<int, int, tideover::manual_clock> cache({.ttl = 60s}, clock);
///     cache.put(1, 2);
///     clock.advance(60s);
///     assert(!cache.get(1));
///
/// Copies share one time. `advance` and `set` wake every thread that waits in `wait_until` for an instant
/// that has come, so a test of blocking code never sleeps: `await_sleepers(n)` returns once n threads wait.
/// It starts at one hour, so that a test may speak of the past. Threads: everything may be called at once.
class manual_clock {
 public:
  using policy_axis = axis::clock;

  manual_clock() : manual_clock(instant::at(std::chrono::hours(1))) {}
  explicit manual_clock(instant start) : shared_(std::make_shared<shared_time>(start)) {}

  instant now() const noexcept { return {shared_->now_ns.load(std::memory_order_acquire)}; }
  instant precise_now() const noexcept { return now(); }

  /// Moves the time by `d`; a negative `d` is ignored, for the scale is monotonic. Takes the mutex of each
  /// sleeper that it wakes: the caller may not hold one of them.
  void advance(std::chrono::nanoseconds d) const {
    std::unique_lock lock(shared_->mutex);
    move_to(lock, now() + d);
  }
  /// Moves the time to `t`; an earlier `t` is ignored.
  void set(instant t) const {
    std::unique_lock lock(shared_->mutex);
    move_to(lock, t);
  }

  /// How many threads wait in `wait_until` at this moment.
  std::size_t sleepers() const {
    std::lock_guard lock(shared_->mutex);
    return shared_->count;
  }
  /// Blocks until at least `n` threads wait in `wait_until`.
  void await_sleepers(std::size_t n) const {
    std::unique_lock lock(shared_->mutex);
    shared_->changed.wait(lock, [&] { return shared_->count >= n; });
  }
  /// The earliest instant that a thread waits for; `instant::max()` if there is none.
  instant next_wake() const {
    std::lock_guard lock(shared_->mutex);
    instant earliest = instant::max();
    for (sleeper const* s = shared_->first; s != nullptr; s = s->next) {
      if (s->until < earliest) earliest = s->until;
    }
    return earliest;
  }

  template <class ConditionVariable, class Lock>
  void wait_until(ConditionVariable& cv, Lock& lock, instant t) const {
    named_sleeper<ConditionVariable, typename Lock::mutex_type> self(t, cv, *lock.mutex());
    {
      std::lock_guard guard(shared_->mutex);
      if (now() >= t) return;
      enlist(self);
    }
    // However the wait ends, a thread that is cancelled among the ways, the record may not be left behind.
    struct getting_up {
      manual_clock const& clock;
      sleeper& self;
      Lock& lock;
      ~getting_up() {
        // The waker may be between marking us and notifying us: it still needs our mutex, and we our own
        // record.
        lock.unlock();
        {
          std::unique_lock guard(clock.shared_->mutex);
          clock.shared_->changed.wait(guard, [&] { return !self.being_woken; });
          if (self.listed) clock.delist(self);
        }
        lock.lock();
      }
    } const up{*this, self, lock};
    cv.wait(lock);
  }

 private:
  struct sleeper {
    instant until;
    sleeper* previous = nullptr;
    sleeper* next = nullptr;
    bool being_woken = false;
    bool listed = false;
    void (*wake)(sleeper&) = nullptr;
  };
  template <class ConditionVariable, class Mutex>
  struct named_sleeper : sleeper {
    named_sleeper(instant t, ConditionVariable& c, Mutex& m) : sleeper{.until = t}, cv(c), mutex(m) {
      this->wake = [](sleeper& s) {
        auto& self = static_cast<named_sleeper&>(s);
        // The sleeper holds its mutex from before it was enlisted until it waits: taking it here means that
        // the notification cannot come too early.
        { std::lock_guard<Mutex> guard(self.mutex); }
        self.cv.notify_all();
      };
    }
    ConditionVariable& cv;
    Mutex& mutex;
  };
  struct shared_time {
    explicit shared_time(instant start) : now_ns(start.ns) {}
    std::atomic<std::int64_t>
        now_ns;  // written under `mutex`; readers acquire what was done before the advance
    std::mutex mutex;
    std::condition_variable changed;
    sleeper* first = nullptr;
    std::size_t count = 0;
  };

  void enlist(sleeper& s) const {
    s.next = shared_->first;
    if (s.next != nullptr) s.next->previous = &s;
    shared_->first = &s;
    s.listed = true;
    ++shared_->count;
    shared_->changed.notify_all();
  }
  void delist(sleeper& s) const {
    (s.previous != nullptr ? s.previous->next : shared_->first) = s.next;
    if (s.next != nullptr) s.next->previous = s.previous;
    s.listed = false;
    --shared_->count;
  }
  /// Sets the time and wakes who became due. No sleeper's mutex is taken while ours is held, since sleepers
  /// take them in the other order; a record stays alive because its owner waits for `being_woken` to end.
  void move_to(std::unique_lock<std::mutex>& lock, instant t) const {
    if (t <= now()) return;
    shared_->now_ns.store(t.ns, std::memory_order_release);
    for (sleeper* s = next_due(); s != nullptr; s = next_due()) {
      s->being_woken = true;
      lock.unlock();
      s->wake(*s);
      lock.lock();
      s->being_woken = false;
      delist(*s);  // it sleeps no more, however long it takes to get up
      shared_->changed.notify_all();
    }
  }
  sleeper* next_due() const noexcept {
    sleeper* due = nullptr;
    for (sleeper* s = shared_->first; s != nullptr; s = s->next) {
      if (!s->being_woken && s->until <= now() && (due == nullptr || s->until < due->until)) due = s;
    }
    return due;
  }

  std::shared_ptr<shared_time> shared_;
};

}  // namespace tideover::inline v0
