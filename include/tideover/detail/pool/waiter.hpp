// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/detail/pool/idle_store.hpp>
#include <tideover/detail/pool/slot.hpp>
#include <tideover/instant.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace tideover::inline v0::detail {

/// A ticket whose thread waits for it. It looks for a short time before it sleeps: a wake-up of a thread that
/// sleeps costs tens of microseconds, a hand-over to one that looks about one.
class pool_waiter : public pool_ticket {
 public:
  enum class parked : unsigned char { done, nudged, late };

  bool is_done() const noexcept { return state_.load(std::memory_order_acquire) == settled; }

  /// A few looks: 64 with pauses, then 16 that give way to other threads. With 16 and 4, two threads that
  /// hand over to each other on a busy machine often came to sleep, and then stayed so: 20 us for two
  /// hand-overs instead of 0.4.
  bool spin() const noexcept {
    for (int i = 0; i < 64; ++i) {
      if (is_done()) return true;
      pool_pause();
    }
    for (int i = 0; i < 16; ++i) {
      if (is_done()) return true;
      std::this_thread::yield();
    }
    return is_done();
  }

  /// Sleeps until it is settled, nudged, or `until` has come.
  template <class Clock>
  parked park(Clock const& clock, instant until) {
    auto was = awake;
    if (!state_.compare_exchange_strong(was, asleep, std::memory_order_acq_rel, std::memory_order_acquire)) {
      return parked::done;
    }
    bool nudged = false;
    {
      std::unique_lock lock(mutex_);
      while (!told_ && !nudged_ && clock.precise_now() < until) clock.wait_until(changed_, lock, until);
      if (told_) return parked::done;
      nudged = nudged_;
      nudged_ = false;
    }
    was = asleep;
    if (!state_.compare_exchange_strong(was, awake, std::memory_order_acq_rel, std::memory_order_acquire)) {
      // Settled just now, and whoever did it is about to tell: he needs the mutex still.
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return told_; });
      return parked::done;
    }
    return nudged ? parked::nudged : parked::late;
  }
  /// It was settled by another thread, which is about to say so.
  void await_done() const noexcept {
    while (!is_done()) std::this_thread::yield();
  }

  /// Says that it is settled; after that it may be gone. One wake-up, and none if it does not sleep.
  void tell() noexcept {
    if (state_.exchange(settled, std::memory_order_acq_rel) != asleep) return;
    std::lock_guard lock(mutex_);
    told_ = true;
    changed_.notify_one();  // under the mutex: its owner may not leave before
  }
  /// Wakes it to look for work. By the holder of the pool's lock, while it is queued: it cannot leave.
  void nudge() noexcept {
    std::lock_guard lock(mutex_);
    nudged_ = true;
    changed_.notify_one();
  }

  std::chrono::nanoseconds checking{0};  // time that its thread has spent on checks
  bool has_left_checks = false;          // to others, having no time for them any more

 private:
  enum phase : unsigned char { awake, asleep, settled };

  std::atomic<phase> state_{awake};
  bool told_ = false;  // these under the mutex
  bool nudged_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace tideover::inline v0::detail
