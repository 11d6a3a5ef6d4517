// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/policy/policy.hpp>

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <mutex>
#include <thread>

/// The locking axis: how a component is shared between threads.
namespace tideover::inline v0 {

/// How a component is locked: the mutex of each shard, the most shards it may use (a power of two), and the
/// type of a counter that is changed without the mutex. `is_shared` is false when only one thread at a time
/// ever touches the component. Optional: `reads_need_no_lock = true` lets a component read without the mutex.
template <class L>
concept locking_policy = policy<L> && std::same_as<typename L::policy_axis, axis::locking> &&
    requires(typename L::mutex_type& m, typename L::template cell<unsigned>& cell) {
  m.lock();
  m.unlock();
  { cell.load(std::memory_order_relaxed) } -> std::same_as<unsigned>;
  { L::max_shards } -> std::convertible_to<std::size_t>;
  { L::is_shared } -> std::convertible_to<bool>;
} &&(L::max_shards >= 1) && ((L::max_shards & (L::max_shards - 1)) == 0);

/// A mutex of one byte for critical sections of some ten nanoseconds: 3 ns to take and give back where
/// std::mutex takes 8. Who has to wait looks again for a microsecond, then gives way to other threads, then
/// sleeps between looks, so that a thread of low priority that holds it can go on. Not fair, not recursive.
class spin_mutex {
 public:
  void lock() noexcept {
    if (!try_lock()) wait();
  }
  bool try_lock() noexcept { return !locked_.exchange(true, std::memory_order_acquire); }
  void unlock() noexcept { locked_.store(false, std::memory_order_release); }

  /// What a thread does between two looks at a variable that another one is about to write.
  static void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb");
#endif
  }

 private:
  static constexpr int looks = 64;
  static constexpr int turns = 64;

  TIDEOVER_COLD void wait() noexcept {
    for (int i = 0;; i += i < looks + turns ? 1 : 0) {
      // Only looked at until it is free: so the line stays with the one who holds it.
      if (!locked_.load(std::memory_order_relaxed) && try_lock()) return;
      if (i < looks) {
        pause();
      } else if (i < looks + turns) {
        std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
    }
  }

  std::atomic<bool> locked_{false};
};

/// Up to `N` shards, each with a mutex of its own; keys are spread by their hash. A cache uses fewer shards
/// when it is small, one for each 2048 entries of capacity, because a shard that holds a handful of entries
/// evicts badly. `N` is a power of two.
///
/// A cache takes the mutex to change something. Its reads take none and write nothing that another reader
/// writes, where the policies allow that: an eviction and an expiry policy whose `hits_need_no_lock`.
template <std::size_t N = 16, class Mutex = spin_mutex>
struct sharded {
  static_assert(N >= 1 && (N & (N - 1)) == 0,
                "tideover::sharded: the number of shards must be a power of two");
  using policy_axis = axis::locking;
  using mutex_type = Mutex;
  template <class T>
  using cell = std::atomic<T>;
  static constexpr std::size_t max_shards = N;
  static constexpr bool is_shared = true;
  static constexpr bool reads_need_no_lock = true;
};

/// One mutex for the whole component: exact bounds and order, least memory.
struct one_mutex {
  using policy_axis = axis::locking;
  using mutex_type = std::mutex;
  template <class T>
  using cell = std::atomic<T>;
  static constexpr std::size_t max_shards = 1;
  static constexpr bool is_shared = true;
};

/// No lock and no atomic: the component belongs to one thread, or the caller locks.
struct single_threaded {
  using policy_axis = axis::locking;

  struct mutex_type {
    void lock() noexcept {}
    bool try_lock() noexcept { return true; }
    void unlock() noexcept {}
  };

  /// A plain variable with the face of std::atomic, so that the code above it is written once.
  template <class T>
  class cell {
   public:
    constexpr cell() noexcept = default;
    constexpr cell(T value) noexcept : value_(value) {}
    T load(std::memory_order) const noexcept { return value_; }
    void store(T value, std::memory_order) noexcept { value_ = value; }
    T exchange(T value, std::memory_order) noexcept {
      T const before = value_;
      value_ = value;
      return before;
    }
    T fetch_add(T n, std::memory_order) noexcept { return exchange(static_cast<T>(value_ + n), {}); }
    T fetch_sub(T n, std::memory_order) noexcept { return exchange(static_cast<T>(value_ - n), {}); }
    bool compare_exchange_weak(T& expected, T desired, std::memory_order, std::memory_order) noexcept {
      if (value_ != expected) {
        expected = value_;
        return false;
      }
      value_ = desired;
      return true;
    }

   private:
    T value_{};
  };
  static constexpr std::size_t max_shards = 1;
  static constexpr bool is_shared = false;
};

}  // namespace tideover::inline v0
