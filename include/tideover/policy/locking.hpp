// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <mutex>

/// The locking axis: how a component is shared between threads.
namespace tideover::inline v0 {

/// How a component is locked: the mutex of each shard, the most shards it may use (a power of two), and the
/// type of a counter that is changed without the mutex. `is_shared` is false when only one thread at a time
/// ever touches the component.
template <class L>
concept locking_policy = policy<L> && std::same_as<typename L::policy_axis, axis::locking> &&
    requires(typename L::mutex_type& m, typename L::template cell<unsigned>& cell) {
  m.lock();
  m.unlock();
  { cell.load(std::memory_order_relaxed) } -> std::same_as<unsigned>;
  { L::max_shards } -> std::convertible_to<std::size_t>;
  { L::is_shared } -> std::convertible_to<bool>;
} &&(L::max_shards >= 1) && ((L::max_shards & (L::max_shards - 1)) == 0);

/// Up to `N` shards, each with a mutex of its own; keys are spread by their hash. A cache uses fewer shards
/// when it is small, one for each 2048 entries of capacity, because a shard that holds a handful of entries
/// evicts badly. `N` is a power of two.
template <std::size_t N = 16, class Mutex = std::mutex>
struct sharded {
  static_assert(N >= 1 && (N & (N - 1)) == 0,
                "tideover::sharded: the number of shards must be a power of two");
  using policy_axis = axis::locking;
  using mutex_type = Mutex;
  template <class T>
  using cell = std::atomic<T>;
  static constexpr std::size_t max_shards = N;
  static constexpr bool is_shared = true;
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
