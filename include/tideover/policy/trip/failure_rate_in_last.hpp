// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/trip.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

namespace tideover::inline v0 {

/// A share of the last `N` calls: `failure_rate` of them failed, or `slow_rate` of them were slow, once there
/// were `min_calls`. Exact, and without allocation: a ring of two bits a call.
///
/// A call takes a ticket, one atomic exchange that succeeds for the breaker's present generation alone; that
/// is all that a success costs where the slot of its ticket says success already. Each word of the ring
/// carries 16 bits of the generation and is written by compare-and-exchange, so a thread that was held up
/// between its ticket and its slot cannot write into the statistics of a later generation (but for one held
/// up over exactly a multiple of 65,536 of them). At rest there are as many failures as ones in the ring, and
/// min(N, calls of the generation) calls. The rate is counted out on a failure or slow call alone, in
/// O(N/24).
template <std::size_t N>
struct failure_rate_in_last {
  static_assert(N >= 1 && N <= 100'000, "tideover::failure_rate_in_last: the last 1 to 100,000 calls");
  using policy_axis = axis::trip;
  static constexpr bool in_word = false;
  static constexpr bool reads_clock = false;
  static constexpr bool sees_slow = true;
  static constexpr bool throttles = false;

  static void check(trip_limits const& l) {
    if (l.min_calls > N) {
      std::string bounds = "between 1 and ";
      bounds += std::to_string(N);
      detail::raise_out_of_bounds("breaker_options.min_calls", std::to_string(l.min_calls), bounds);
    }
  }

  template <class Locking>
  class statistics {
   public:
    void configure(trip_limits const& l) noexcept { limits_.configure(l); }

    void begin(std::uint32_t g) noexcept {
      std::uint64_t seen = ticket_.load(std::memory_order_relaxed);
      do {
        if (!trip_parts::younger<24>(g, generation_of(seen))) break;
      } while (!ticket_.compare_exchange_weak(seen, std::uint64_t{g} << ticket_bits,
                                              std::memory_order_relaxed, std::memory_order_relaxed));
      for (auto& word : ring_) {
        std::uint64_t was = word.load(std::memory_order_relaxed);
        do {
          if (!trip_parts::younger<16>(g & tag_mask, tag_of(was))) break;
        } while (
            !word.compare_exchange_weak(was, empty(g), std::memory_order_relaxed, std::memory_order_relaxed));
      }
    }

    bool record(std::uint32_t g, trip_sample const& sample) noexcept {
      // Relaxed throughout: a word says itself to which generation it belongs, and nothing else is read
      // through it.
      std::uint64_t seen = ticket_.load(std::memory_order_relaxed);
      do {
        if (generation_of(seen) != g) return false;
      } while (!ticket_.compare_exchange_weak(seen, next(seen), std::memory_order_relaxed,
                                              std::memory_order_relaxed));
      auto const slot = static_cast<std::size_t>((seen & ticket_mask) % N);
      put(g, slot, (sample.failed ? 1u : 0u) | (sample.slow ? 2u : 0u));
      if (!sample.failed && !sample.slow) return false;
      return limits_.reached_by(counts(g, sample.at));
    }

    trip_counts counts(std::uint32_t g, instant) const noexcept {
      trip_counts c;
      std::uint64_t const seen = ticket_.load(std::memory_order_relaxed);
      if (generation_of(seen) != g) return c;
      c.total = std::min<std::uint64_t>(seen & ticket_mask, N);
      for (auto const& word : ring_) {
        std::uint64_t const w = word.load(std::memory_order_relaxed);
        if (tag_of(w) != (g & tag_mask)) continue;
        c.failures += static_cast<unsigned>(std::popcount(w & every_failure));
        c.slow += static_cast<unsigned>(std::popcount(w & every_failure << 1));
      }
      return c;
    }

   private:
    static constexpr unsigned ticket_bits = 40;
    static constexpr std::uint64_t ticket_mask = (std::uint64_t{1} << ticket_bits) - 1;
    static constexpr std::uint32_t tag_mask = 0xFFFF;
    static constexpr std::size_t calls_per_word = 24;  // and 16 bits of tag above them
    static constexpr std::uint64_t every_failure = 0x0000'5555'5555'5555u;
    template <class T>
    using cell = typename Locking::template cell<T>;

    static std::uint32_t generation_of(std::uint64_t ticket) noexcept {
      return static_cast<std::uint32_t>(ticket >> ticket_bits);
    }
    static std::uint32_t tag_of(std::uint64_t word) noexcept {
      return static_cast<std::uint32_t>(word >> 48);
    }
    static std::uint64_t empty(std::uint32_t g) noexcept { return std::uint64_t{g & tag_mask} << 48; }
    /// After the last ticket comes N again: the same slot as 0, and still N calls or more.
    static std::uint64_t next(std::uint64_t ticket) noexcept {
      constexpr std::uint64_t last = ticket_mask / N * N - 1;
      return (ticket & ticket_mask) != last ? ticket + 1 : (ticket & ~ticket_mask) | N;
    }

    void put(std::uint32_t g, std::size_t slot, unsigned bits) noexcept {
      auto& word = ring_[slot / calls_per_word];
      auto const shift = static_cast<unsigned>(slot % calls_per_word * 2);
      std::uint64_t was = word.load(std::memory_order_relaxed);
      for (;;) {
        bool const ours = tag_of(was) == (g & tag_mask);
        if (!ours && !trip_parts::younger<16>(g & tag_mask, tag_of(was))) return;
        std::uint64_t const base = ours ? was : empty(g);
        std::uint64_t const wanted = (base & ~(std::uint64_t{3} << shift)) | (std::uint64_t{bits} << shift);
        if (wanted == was) return;
        if (word.compare_exchange_weak(was, wanted, std::memory_order_relaxed, std::memory_order_relaxed)) {
          return;
        }
      }
    }

    cell<std::uint64_t> ticket_{0};
    trip_parts::rate_limits<Locking> limits_;
    std::array<cell<std::uint64_t>, (N + calls_per_word - 1) / calls_per_word> ring_{};
  };
};

}  // namespace tideover::inline v0
