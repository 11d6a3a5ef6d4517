// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace tideover::inline v0::eviction_parts {

/// Numbers below 2^64 - 1 on their way from any thread to whoever comes by to take them: a ring with room
/// for 64. Nobody waits: what comes to a full ring is lost, and if somebody is taking already, others go on.
template <class Locking>
class event_ring {
 public:
  /// Whether there was room.
  bool push(std::uint64_t event) noexcept {
    std::uint32_t at = head_.load(std::memory_order_relaxed);
    do {
      // Acquire: pairs with the release in `take_all`; the slot is empty when we see it as free.
      if (at - tail_.load(std::memory_order_acquire) >= room) return false;
    } while (!head_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed, std::memory_order_relaxed));
    slots_[at % room].store(event + 1, std::memory_order_relaxed);
    return true;
  }

  /// Calls `f(event)` for each event, unless somebody else does just now.
  template <class F>
  void take(F f) noexcept {
    // Acquire and release: each who takes sees what the one before has left behind.
    if (taking_.exchange(1, std::memory_order_acquire) != 0) return;
    take_all(f);
    taking_.store(0, std::memory_order_release);
  }

  /// The same with everybody else kept out: waits for the one who takes, which is never long.
  template <class F>
  void alone(F f) {
    struct back {
      event_ring& ring;
      ~back() { ring.taking_.store(0, std::memory_order_release); }
    };
    while (taking_.exchange(1, std::memory_order_acquire) != 0) std::this_thread::yield();
    back const release{*this};
    f();
  }

 private:
  static constexpr std::uint32_t room = 64;
  template <class T>
  using cell = typename Locking::template cell<T>;

  template <class F>
  void take_all(F f) noexcept {
    for (std::uint32_t at = tail_.load(std::memory_order_relaxed);; ++at) {
      auto& slot = slots_[at % room];
      std::uint64_t const content = slot.load(std::memory_order_relaxed);
      if (content == 0) return;  // none, or one whose thread has not come to the store yet
      slot.store(0, std::memory_order_relaxed);
      tail_.store(at + 1, std::memory_order_release);
      f(content - 1);
    }
  }

  cell<std::uint32_t> head_{0};
  cell<std::uint32_t> tail_{0};
  cell<std::uint32_t> taking_{0};
  std::array<cell<std::uint64_t>, room> slots_{};  // the event plus one; 0: none
};

}  // namespace tideover::inline v0::eviction_parts
