// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/circuit_breaker_options.hpp>
#include <tideover/detail/breaker/machine.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tideover::inline v0::detail {

/// Brings changes to a listener in the order of their generations, one at a time, with no lock that anybody
/// waits for: who has made a change puts it into its slot, and whoever finds nobody telling tells what is
/// there. A change whose maker has not come to putting it yet holds up the later ones; its maker tells them.
///
/// Putting and looking for a teller are sequentially consistent, and so are leaving off and looking for more:
/// either the one who puts sees that nobody tells any more, or the teller sees what was put.
template <class Locking>
class breaker_events {
 public:
  static constexpr std::uint32_t slots = 64;

  void put(breaker_change const& change) noexcept {
    if (change.cause == breaker_cause::would_open) {
      would_open_.store(change.after.generation(), std::memory_order_seq_cst);
      return;
    }
    bool const told = change.before.state() == breaker_state::observing &&
                      (change.before.payload() & breaker_word::told) != 0;
    std::uint64_t const event = present | (told ? after_would_open : 0) |
                                std::uint64_t{change.after.generation()} << 16 |
                                static_cast<std::uint64_t>(change.cause) << 8 |
                                static_cast<std::uint64_t>(change.before.state()) << 4 |
                                static_cast<std::uint64_t>(change.after.state());
    auto& slot = ring_[change.after.generation() % slots];
    std::uint64_t was = slot.load(std::memory_order_relaxed);
    do {
      if ((was & present) != 0 && younger(generation_of(was), change.after.generation())) {
        count_lost();  // so late that its place is taken
        return;
      }
    } while (!slot.compare_exchange_weak(was, event, std::memory_order_seq_cst, std::memory_order_relaxed));
    if ((was & present) != 0) count_lost();
  }

  /// Tells what there is, unless somebody does: `tell(breaker_event const&)`, which may not throw.
  template <class Tell>
  void drain(Tell tell) noexcept {
    while (!telling_.exchange(true, std::memory_order_seq_cst)) {
      while (tell_next(tell)) {
      }
      telling_.store(false, std::memory_order_seq_cst);
      if (!more()) return;
    }
  }

  std::uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }

 private:
  template <class T>
  using cell = typename Locking::template cell<T>;
  static constexpr std::uint64_t present = std::uint64_t{1} << 63;
  static constexpr std::uint64_t after_would_open = std::uint64_t{1} << 62;

  static std::uint32_t generation_of(std::uint64_t event) noexcept {
    return static_cast<std::uint32_t>(event >> 16) & breaker_word::generation_mask;
  }
  static bool younger(std::uint32_t a, std::uint32_t b) noexcept {
    std::uint32_t const ahead = (a - b) & breaker_word::generation_mask;
    return ahead != 0 && ahead < 1u << (breaker_word::generation_bits - 1);
  }
  void count_lost() noexcept { lost_.fetch_add(1, std::memory_order_relaxed); }
  std::uint32_t told_generation() const noexcept {
    return static_cast<std::uint32_t>(told_.load(std::memory_order_relaxed)) & breaker_word::generation_mask;
  }

  bool observed_here() const noexcept {
    return would_open_.load(std::memory_order_seq_cst) == told_generation() &&
           !observed_.load(std::memory_order_relaxed);
  }
  bool more() const noexcept {
    if (observed_here()) return true;
    return (ring_[(told_generation() + 1) % slots].load(std::memory_order_seq_cst) & present) != 0;
  }

  /// By the teller alone. What is told last is written before `telling_` is let go, and read after it is
  /// taken.
  template <class Tell>
  bool tell_next(Tell& tell) noexcept {
    if (observed_here()) return tell_would_open(tell);
    std::uint64_t const next = told_.load(std::memory_order_relaxed) + 1;
    auto const wanted = static_cast<std::uint32_t>(next) & breaker_word::generation_mask;
    auto& slot = ring_[wanted % slots];
    std::uint64_t event = slot.load(std::memory_order_seq_cst);
    if ((event & present) == 0) return false;
    if (generation_of(event) != wanted) {
      // Overwritten by a younger one, or put so late that it has been passed over: counted as lost already,
      // or now.
      if (younger(generation_of(event), wanted)) {
        pass(next);
      } else if (slot.compare_exchange_weak(event, 0, std::memory_order_relaxed, std::memory_order_relaxed)) {
        count_lost();
      }
      return true;
    }
    if ((event & after_would_open) != 0 && !observed_.load(std::memory_order_relaxed)) {
      return tell_would_open(tell);
    }
    if (!slot.compare_exchange_weak(event, 0, std::memory_order_acquire, std::memory_order_relaxed)) {
      return true;
    }
    pass(next);
    tell(breaker_event{.generation = next,
                       .from = static_cast<breaker_state>(event >> 4 & 15),
                       .to = static_cast<breaker_state>(event & 15),
                       .cause = static_cast<breaker_cause>(event >> 8 & 255)});
    return true;
  }
  template <class Tell>
  bool tell_would_open(Tell& tell) noexcept {
    observed_.store(true, std::memory_order_relaxed);
    tell(breaker_event{.generation = told_.load(std::memory_order_relaxed),
                       .from = breaker_state::observing,
                       .to = breaker_state::observing,
                       .cause = breaker_cause::would_open});
    return true;
  }
  void pass(std::uint64_t generation) noexcept {
    told_.store(generation, std::memory_order_relaxed);
    observed_.store(false, std::memory_order_relaxed);
  }

  std::array<cell<std::uint64_t>, slots> ring_{};
  cell<std::uint32_t> would_open_{~0u};  // the generation in which it was last seen that it would open
  cell<std::uint64_t> told_{1};          // the last generation that was told, counted in full
  cell<bool> observed_{false};           // of that one, that it would open
  cell<bool> telling_{false};
  cell<std::uint64_t> lost_{0};
};

}  // namespace tideover::inline v0::detail
