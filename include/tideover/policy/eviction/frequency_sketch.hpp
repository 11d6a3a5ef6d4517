// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/policy/hashing.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace tideover::inline v0 {

/// How often was a key asked for lately? A count-min sketch of four-bit counters (Cormode and Muthukrishnan,
/// "An improved data stream summary", 2005; with halving as in Einziger, Friedman and Manes, "TinyLFU", ACM
/// TOS 2017). A key has four counters, all in one cache line of 128; its estimate is the least of them, from
/// 0 to 15, and never below the truth while that is what the sketch has room for. After ten increments for
/// each entry of capacity all counters are halved, some cache lines at each increment, so that there is no
/// pause.
///
/// 4 bytes an entry, at least 2 KiB. Where threads share it they may call both functions at once: two
/// increments that meet may count as one. The place of a key depends on `seed`, so that nobody outside can
/// choose keys that share their counters with others.
template <class Locking, class Allocator>
class frequency_sketch {
 public:
  static constexpr unsigned most = 15;

  frequency_sketch(std::size_t capacity, std::uint64_t seed, Allocator const& allocator)
      : seed_(seed),
        blocks_(blocks_for(capacity), block_allocator(allocator)),
        first_(blocks_.data()),
        count_(blocks_.size()),
        ageing_(blocks_.size()) {
    set_period(capacity);
  }
  frequency_sketch(frequency_sketch const&) = delete;
  frequency_sketch& operator=(frequency_sketch const&) = delete;

  unsigned frequency(std::uint32_t hash) const noexcept {
    place const at = place_of(hash);
    block const& b = first_[at.block];
    unsigned least = most;
    at.for_each_counter([&](counter c) noexcept {
      std::uint64_t const word = b.words[c.word].load(std::memory_order_relaxed);
      least = std::min(least, static_cast<unsigned>(word >> c.shift) & most);
    });
    return least;
  }

  void increment(std::uint32_t hash) noexcept {
    place const at = place_of(hash);
    block& b = first_[at.block];
    bool added = false;
    at.for_each_counter([&](counter c) noexcept {
      // A load and a store, no read-modify-write: cheaper than exact.
      std::uint64_t const word = b.words[c.word].load(std::memory_order_relaxed);
      bool const room = (word >> c.shift & most) != most;
      b.words[c.word].store(word + (std::uint64_t{room} << c.shift), std::memory_order_relaxed);
      added |= room;
    });
    if (added) age();
  }

  /// What was counted stays. Alone; if it throws nothing has changed.
  void set_capacity(std::size_t capacity) {
    table other(blocks_for(capacity), blocks_.get_allocator());
    // Where a key goes is the fraction of the table that its hash says, so each new block takes over from the
    // old ones that it overlaps.
    std::size_t const is = other.size();
    std::size_t const was = blocks_.size();
    for (std::size_t to = 0; to != is; ++to) {
      std::size_t const last = ((to + 1) * was - 1) / is;
      for (std::size_t from = to * was / is; from <= last; ++from) take_over(other[to], blocks_[from]);
    }
    blocks_.swap(other);
    first_ = blocks_.data();
    count_ = is;
    ageing_.store(is, std::memory_order_relaxed);
    set_period(capacity);
  }

 private:
  static constexpr std::size_t rows = 4;
  static constexpr std::size_t bytes_per_entry = 4;
  static constexpr std::size_t least_blocks = 2048 / 64;
  /// So many are halved with one increment: half a microsecond.
  static constexpr std::size_t blocks_at_once = 128;

  struct alignas(cache_line) block {
    std::array<typename Locking::template cell<std::uint64_t>, 8> words{};
  };
  static_assert(sizeof(block) == 64);
  using block_allocator = typename std::allocator_traits<Allocator>::template rebind_alloc<block>;
  using table = std::vector<block, block_allocator>;

  struct counter {
    std::size_t word;
    unsigned shift;
  };
  struct place {
    std::size_t block;
    std::uint32_t bits;
    /// Each row has 32 counters, two words, of its own; five bits say which.
    template <class F>
    void for_each_counter(F f) const noexcept {
      [&]<std::size_t... Row>(std::index_sequence<Row...>) {
        (f(counter{2 * Row + (bits >> 5 * Row & 1), (bits >> 5 * Row & 30) * 2}), ...);
      }
      (std::make_index_sequence<rows>());
    }
  };

  static std::size_t blocks_for(std::size_t capacity) noexcept {
    return std::max(least_blocks, (capacity * bytes_per_entry + sizeof(block) - 1) / sizeof(block));
  }
  void set_period(std::size_t capacity) noexcept {
    period_ = 10 * std::uint64_t{std::max<std::size_t>(capacity, 256)};
    increments_.store(0, std::memory_order_relaxed);
  }
  place place_of(std::uint32_t hash) const noexcept {
    std::uint64_t const mixed = hash_detail::fold(hash ^ seed_, hash_detail::odd_1);
    return {static_cast<std::size_t>((mixed >> 32) * count_ >> 32), static_cast<std::uint32_t>(mixed)};
  }

  void age() noexcept {
    std::uint64_t const period = period_;
    // As above: what is lost where threads meet makes a period a little longer.
    std::uint64_t const n = increments_.load(std::memory_order_relaxed) + 1;
    increments_.store(n, std::memory_order_relaxed);
    if (n >= period && increments_.exchange(0, std::memory_order_relaxed) >= period) {  // one thread sees it
      ageing_.store(0, std::memory_order_relaxed);
    }
    if (ageing_.load(std::memory_order_relaxed) < count_) halve_some();
  }
  TIDEOVER_COLD void halve_some() noexcept {
    std::size_t const begin = ageing_.fetch_add(blocks_at_once, std::memory_order_relaxed);
    std::size_t const end = std::min(begin + blocks_at_once, blocks_.size());
    for (std::size_t i = begin; i < end; ++i) {
      for (auto& word : blocks_[i].words) {
        word.store(word.load(std::memory_order_relaxed) >> 1 & 0x7777'7777'7777'7777u,
                   std::memory_order_relaxed);
      }
    }
  }
  /// Counter by counter the greater of the two.
  static void take_over(block& to, block const& from) noexcept {
    for (std::size_t w = 0; w != to.words.size(); ++w) {
      std::uint64_t const a = to.words[w].load(std::memory_order_relaxed);
      std::uint64_t const b = from.words[w].load(std::memory_order_relaxed);
      std::uint64_t both = 0;
      for (unsigned shift = 0; shift != 64; shift += 4) {
        both |= std::max(a >> shift & most, b >> shift & most) << shift;
      }
      to.words[w].store(both, std::memory_order_relaxed);
    }
  }

  std::uint64_t seed_;
  table blocks_;
  block* first_;  // of these, and how many: for a step less
  std::size_t count_;
  std::uint64_t period_ = 0;
  typename Locking::template cell<std::uint64_t> increments_{0};
  typename Locking::template cell<std::size_t> ageing_;  // the next block to halve; beyond the last: none
};

}  // namespace tideover::inline v0
