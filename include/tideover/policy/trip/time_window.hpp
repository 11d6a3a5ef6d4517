// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/instant.hpp>
#include <tideover/policy/trip.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tideover::inline v0::trip_parts {

/// Two counts over the last while, in `Buckets` slices of time, one atomic word each:
/// {generation 8 | cycle 20 | marked 18 | total 18}, where the cycle says which turn of the ring of slices it
/// is. Nothing rolls them: who adds to a slice whose turn is another one starts it anew, who sums leaves it
/// out, so an idle gap costs nothing. A slice that has counted 262,143 calls halves both counts.
///
/// A clock that goes back by no more than the window stands still; one that goes further back begins anew.
/// The turn wraps: slices of exactly 2^20 windows ago would be taken for new ones.
template <class Locking, std::size_t Buckets>
class time_window {
  static_assert(Buckets >= 2 && Buckets <= 1000, "tideover: 2 to 1000 buckets");

 public:
  struct sums {
    std::uint64_t total = 0;
    std::uint64_t marked = 0;
  };

  /// The width of a slice is at least a nanosecond.
  void configure(std::chrono::nanoseconds window) noexcept {
    width_.store(std::max<std::int64_t>(window.count() / std::int64_t{Buckets}, 1),
                 std::memory_order_relaxed);
  }

  /// Forgets all that is not of generation `g`, or younger.
  void begin(std::uint32_t g) noexcept {
    for (auto& slice : slices_) {
      std::uint64_t was = slice.load(std::memory_order_relaxed);
      do {
        if (!younger<8>(g & 0xFF, generation_of(was))) break;
      } while (!slice.compare_exchange_weak(was, std::uint64_t{g & 0xFF} << 56, std::memory_order_relaxed,
                                            std::memory_order_relaxed));
    }
  }

  /// The number of the slice that an instant falls into.
  std::uint64_t slice_at(instant at) const noexcept {
    auto const width = static_cast<std::uint64_t>(width_.load(std::memory_order_relaxed));
    std::uint64_t const here = static_cast<std::uint64_t>(std::max<std::int64_t>(at.ns, 0)) / width;
    std::uint64_t const last = last_.load(std::memory_order_relaxed);
    return here < last && last - here <= Buckets ? last : here;
  }

  /// What counting a call did to its slice besides.
  enum class added { nothing_else, began_it, halved_it };
  /// Counts one call in a slice.
  added add(std::uint32_t g, std::uint64_t slice, bool marked) noexcept {
    if (last_.load(std::memory_order_relaxed) != slice) last_.store(slice, std::memory_order_relaxed);
    std::uint64_t const tag = tag_of(g, slice);
    auto& word = slices_[static_cast<std::size_t>(slice % Buckets)];
    std::uint64_t was = word.load(std::memory_order_relaxed);
    std::uint64_t now = 0;
    added what = added::nothing_else;
    do {
      bool const ours = (was & tag_mask) == tag;
      if (!ours && younger<8>(generation_of(was), g & 0xFF)) return added::nothing_else;
      std::uint64_t const base = ours ? was : tag;
      bool const full = (base & count_mask) == count_mask;
      what = !ours ? added::began_it : full ? added::halved_it : added::nothing_else;
      now = (full ? halved(base) : base) + 1 + (marked ? marked_one : 0);
    } while (!word.compare_exchange_weak(was, now, std::memory_order_relaxed, std::memory_order_relaxed));
    return what;
  }

  void halve(std::uint32_t g, std::uint64_t slice) noexcept {
    auto& word = slices_[static_cast<std::size_t>(slice % Buckets)];
    std::uint64_t was = word.load(std::memory_order_relaxed);
    while (
        (was & tag_mask) == tag_of(g, slice) &&
        !word.compare_exchange_weak(was, halved(was), std::memory_order_relaxed, std::memory_order_relaxed)) {
    }
  }
  /// Begins a slice, empty, unless it has begun.
  void begin(std::uint32_t g, std::uint64_t slice) noexcept {
    auto& word = slices_[static_cast<std::size_t>(slice % Buckets)];
    std::uint64_t was = word.load(std::memory_order_relaxed);
    while ((was & tag_mask) != tag_of(g, slice) && !younger<8>(generation_of(was), g & 0xFF) &&
           !word.compare_exchange_weak(was, tag_of(g, slice), std::memory_order_relaxed,
                                       std::memory_order_relaxed)) {
    }
  }

  /// Of the window that ends with `slice`.
  sums sum(std::uint32_t g, std::uint64_t slice) const noexcept {
    sums s;
    for (std::uint64_t back = 0; back < Buckets && back <= slice; ++back) {
      std::uint64_t const at = slice - back;
      std::uint64_t const word =
          slices_[static_cast<std::size_t>(at % Buckets)].load(std::memory_order_relaxed);
      if ((word & tag_mask) != tag_of(g, at)) continue;
      s.total += word & count_mask;
      s.marked += word >> 18 & count_mask;
    }
    return s;
  }

 private:
  // Relaxed everywhere: a slice says itself whose it is, and nothing else is read through it.
  template <class T>
  using cell = typename Locking::template cell<T>;
  static constexpr std::uint64_t count_mask = (1u << 18) - 1;
  static constexpr std::uint64_t marked_one = std::uint64_t{1} << 18;
  static constexpr std::uint64_t tag_mask = ~std::uint64_t{0} << 36;

  static std::uint32_t generation_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> 56);
  }
  static std::uint64_t tag_of(std::uint32_t g, std::uint64_t slice) noexcept {
    return std::uint64_t{g & 0xFF} << 56 | (slice / Buckets & 0xFFFFF) << 36;
  }
  static std::uint64_t halved(std::uint64_t word) noexcept {
    std::uint64_t const total = (word & count_mask) / 2;
    std::uint64_t const marked = (word >> 18 & count_mask) / 2;
    return (word & tag_mask) | marked << 18 | total;
  }

  cell<std::int64_t> width_{1};
  cell<std::uint64_t> last_{0};
  std::array<cell<std::uint64_t>, Buckets> slices_{};
};

}  // namespace tideover::inline v0::trip_parts
