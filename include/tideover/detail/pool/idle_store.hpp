// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/detail/pool/slot.hpp>
#include <tideover/error.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

/// Where the idle objects of a pool are. While the gate is shut the holder of the pool's lock owns them, and
/// sees a plain list. While it is open, threads take and put objects without the lock.
///
/// Why that is sound: shutting the gate is a read-modify-write of the very word, or words, that a taker and a
/// putter change by compare-and-swap, and each of these expects the gate open. So each happened before the
/// gate was shut, and the owner of the lock sees it, or fails and goes through the lock. Opening it changes
/// the tag: a putter that has looked at the pool's settings before and puts after fails, too.
namespace tideover::inline v0::detail {

/// The slots, at addresses that stay. The first piece holds what the pool began with, so that one comparison
/// finds the slot unless the pool has grown.
class pool_slots {
 public:
  pool_slot& operator[](std::uint32_t i) const noexcept {
    if (i < first_count_) [[likely]]
      return first_[i];
    return later(i);
  }
  std::uint32_t capacity() const noexcept { return capacity_; }

  /// Throws std::bad_alloc; then there may be more than before, and fewer than wanted. Under the lock, with
  /// the gate shut.
  void grow(std::uint32_t wanted) {
    while (capacity_ < wanted) {
      std::uint32_t const more = capacity_ == 0 ? wanted : size_from(capacity_);
      auto piece = std::make_unique<pool_slot[]>(more);
      for (std::uint32_t i = 0; i < more; ++i) piece[i].index = capacity_ + i;
      if (capacity_ == 0) {
        first_ = piece.get();
        first_count_ = more;
      }
      pieces_[used_pieces_++] = std::move(piece);
      capacity_ += more;
    }
  }

 private:
  /// Each piece after the first is as long as all before it, if there are indices enough: 17 are enough.
  static std::uint32_t size_from(std::uint32_t begin) noexcept {
    return begin < no_slot - begin ? begin : no_slot - begin;
  }
  /// Reads only pieces that were there when the index became known.
  pool_slot& later(std::uint32_t i) const noexcept {
    std::uint32_t begin = first_count_;
    for (std::size_t p = 1;; ++p) {
      std::uint32_t const size = size_from(begin);
      if (i - begin < size) return pieces_[p][i - begin];
      begin += size;
    }
  }

  pool_slot* first_ = nullptr;
  std::uint32_t first_count_ = 0;
  std::uint32_t capacity_ = 0;
  std::size_t used_pieces_ = 0;
  std::array<std::unique_ptr<pool_slot[]>, 18> pieces_{};
};

/// The list that the holder of the lock works on.
template <bool OldestFirst>
class pool_idle_list {
 public:
  static constexpr bool oldest_first = OldestFirst;

  std::uint32_t first() const noexcept { return head_; }
  std::uint32_t after(pool_slot const& s) const noexcept { return s.next.load(std::memory_order_relaxed); }

  /// What has just become idle.
  void put(pool_slots const& slots, pool_slot& s) noexcept {
    ++length_;
    if constexpr (OldestFirst) {
      s.next.store(no_slot, std::memory_order_relaxed);
      if (head_ == no_slot) {
        head_ = s.index;
      } else {
        slots[tail_].next.store(s.index, std::memory_order_relaxed);
      }
      tail_ = s.index;
    } else {
      s.next.store(head_, std::memory_order_relaxed);
      head_ = s.index;
    }
  }
  /// What has been idle since `idle_since`: at its place; of those that are as old it is the newest.
  void put_by_age(pool_slots const& slots, pool_slot& s) noexcept {
    ++length_;
    std::uint32_t before = no_slot, behind = head_;
    while (behind != no_slot && (OldestFirst ? slots[behind].idle_since <= s.idle_since
                                             : slots[behind].idle_since > s.idle_since)) {
      before = behind;
      behind = after(slots[behind]);
    }
    s.next.store(behind, std::memory_order_relaxed);
    if (before == no_slot) {
      head_ = s.index;
    } else {
      slots[before].next.store(s.index, std::memory_order_relaxed);
    }
    if (behind == no_slot) tail_ = s.index;
  }
  void remove(pool_slots const& slots, pool_slot& s) noexcept {
    --length_;
    std::uint32_t const behind = after(s);
    if (head_ == s.index) {
      head_ = behind;
      return;
    }
    std::uint32_t i = head_;
    while (after(slots[i]) != s.index) i = after(slots[i]);
    slots[i].next.store(behind, std::memory_order_relaxed);
    if (behind == no_slot) tail_ = i;
  }
  std::size_t count(pool_slots const& slots) const noexcept {
    if (!counted_) {
      length_ = 0;
      for (std::uint32_t i = head_; i != no_slot; i = after(slots[i])) ++length_;
      counted_ = true;
    }
    return length_;
  }

 protected:
  std::uint32_t head_ = no_slot;
  std::uint32_t tail_ = no_slot;  // with oldest_first, while there is a head
  mutable std::size_t length_ = 0;
  mutable bool counted_ = true;  // else the length is not known, after changes without the lock
};

inline void pool_pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("isb");
#endif
}

/// Waits longer after each failure. With two threads on one word it is this that keeps the word from
/// wandering at each operation: 116 ns without it; 71 beginning with 1 pause, 56 with 16, 44 with 32 (limits
/// of 128 to 512), where it was measured.
class pool_back_off {
 public:
  void operator()() noexcept {
    for (int i = 0; i < pauses_; ++i) pool_pause();
    if (pauses_ < 256) pauses_ *= 2;
  }

 private:
  int pauses_ = 32;
};

/// Everything takes the lock.
template <bool OldestFirst>
class pool_locked_store : public pool_idle_list<OldestFirst> {
 public:
  static constexpr bool is_fast = false;
  static constexpr bool exact_order = true;

  void shut(pool_slots const&) noexcept {}
  void open(pool_slots const&) noexcept {}
  pool_slot* try_take(pool_slots const&, std::uint32_t) noexcept { return nullptr; }
  template <class May>
  bool try_put(pool_slots const&, pool_slot&, May) noexcept {
    return false;
  }
  std::uint64_t takes() const noexcept { return 0; }
  void use(std::uint32_t) noexcept {}
};

/// One word holds the top of a stack, the gate and a tag. A tag changes with each take and each opening, so
/// that a word that was seen before is never taken for the same state (R. K. Treiber, "Systems programming:
/// coping with parallelism", IBM RJ 5118, 1986, with the counted pointer of IBM's System/370 manual).
class pool_stack_store : public pool_idle_list<false> {
 public:
  static constexpr bool is_fast = true;
  static constexpr bool exact_order = true;

  void shut(pool_slots const&) noexcept {
    std::uint64_t const was = word_.fetch_or(gate, std::memory_order_acquire);
    if ((was & gate) != 0) return;
    takes_ += ((was >> tag_shift) - opened_tag_) & (~std::uint64_t{0} >> tag_shift);
    head_ = static_cast<std::uint32_t>(was & index_mask);
    counted_ = false;
  }
  void open(pool_slots const&) noexcept {
    // Nobody else changes a word whose gate is shut.
    opened_tag_ =
        ((word_.load(std::memory_order_relaxed) >> tag_shift) + 1) & (~std::uint64_t{0} >> tag_shift);
    word_.store(opened_tag_ << tag_shift | head_, std::memory_order_release);
  }
  pool_slot* try_take(pool_slots const& slots, std::uint32_t) noexcept {
    std::uint64_t w = word_.load(std::memory_order_acquire);
    for (pool_back_off back_off;; back_off(), w = word_.load(std::memory_order_acquire)) {
      auto const top = static_cast<std::uint32_t>(w & index_mask);
      if ((w & gate) != 0 || top == no_slot) return nullptr;
      pool_slot& s = slots[top];
      std::uint64_t const rest = s.next.load(std::memory_order_relaxed);
      // Acquire: pairs with the release of who put it.
      if (word_.compare_exchange_weak(w, ((w & ~index_mask) + (std::uint64_t{1} << tag_shift)) | rest,
                                      std::memory_order_acquire, std::memory_order_relaxed)) {
        return &s;
      }
    }
  }
  /// `may()` is asked after the word was read: what it sees was true while nothing has shut the gate since.
  template <class May>
  bool try_put(pool_slots const&, pool_slot& s, May may) noexcept {
    std::uint64_t w = word_.load(std::memory_order_acquire);
    for (pool_back_off back_off;; back_off(), w = word_.load(std::memory_order_acquire)) {
      if ((w & gate) != 0 || !may()) return false;
      s.next.store(static_cast<std::uint32_t>(w & index_mask), std::memory_order_relaxed);
      if (word_.compare_exchange_weak(w, (w & ~index_mask) | s.index, std::memory_order_release,
                                      std::memory_order_relaxed)) {
        return true;
      }
    }
  }
  /// How many were taken without the lock, when the gate was last shut.
  std::uint64_t takes() const noexcept { return takes_; }
  void use(std::uint32_t) noexcept {}

 private:
  static constexpr std::uint64_t index_mask = 0xFFFF;
  static constexpr std::uint64_t gate = 0x10000;
  static constexpr int tag_shift = 17;

  alignas(cache_line) std::atomic<std::uint64_t> word_{gate | no_slot};
  alignas(cache_line) std::uint64_t takes_ = 0;  // these under the lock
  std::uint64_t opened_tag_ = 0;
};

/// Each slot has a word of its own, with a gate of its own, so that threads that keep to their slots share no
/// line. Shutting and opening write to every slot.
class pool_slot_store : public pool_idle_list<false> {
 public:
  static constexpr bool is_fast = true;
  static constexpr bool exact_order = false;

  void shut(pool_slots const& slots) noexcept {
    if (shut_) return;
    shut_ = true;
    head_ = no_slot;
    length_ = 0;
    for (std::uint32_t i = used_.load(std::memory_order_relaxed); i-- != 0;) {
      pool_slot& s = slots[i];
      std::uint64_t const was = s.word.fetch_or(gate, std::memory_order_acquire);
      takes_ += ((was >> tag_shift) - s.opened_tag) & (~std::uint64_t{0} >> tag_shift);
      if ((was & busy) == 0) put_by_age(slots, s);
    }
  }
  void open(pool_slots const& slots) noexcept {
    ++openings_;
    for (std::uint32_t i = head_; i != no_slot; i = after(slots[i])) slots[i].listed = openings_;
    for (std::uint32_t i = used_.load(std::memory_order_relaxed); i-- != 0;) {
      pool_slot& s = slots[i];
      s.opened_tag =
          ((s.word.load(std::memory_order_relaxed) >> tag_shift) + 1) & (~std::uint64_t{0} >> tag_shift);
      s.word.store(s.opened_tag << tag_shift | (s.listed == openings_ ? 0 : busy), std::memory_order_release);
    }
    shut_ = false;
  }
  /// `remembered` is tried first, then the others.
  pool_slot* try_take(pool_slots const& slots, std::uint32_t remembered) noexcept {
    std::uint32_t const n = used_.load(std::memory_order_acquire);
    if (remembered < n) {
      if (pool_slot& s = slots[remembered]; try_one(s)) return &s;
    }
    for (std::uint32_t i = 0; i < n; ++i) {
      if (pool_slot& s = slots[i]; try_one(s)) return &s;
    }
    return nullptr;
  }
  template <class May>
  bool try_put(pool_slots const&, pool_slot& s, May may) noexcept {
    std::uint64_t w = s.word.load(std::memory_order_acquire);
    if ((w & gate) != 0 || !may()) return false;
    // Only shutting the gate can come between.
    return s.word.compare_exchange_strong(w, w & ~busy, std::memory_order_release, std::memory_order_relaxed);
  }
  std::uint64_t takes() const noexcept { return takes_; }
  /// Slots below `n` may be in use.
  void use(std::uint32_t n) noexcept {
    if (used_.load(std::memory_order_relaxed) < n) used_.store(n, std::memory_order_release);
  }

 private:
  static constexpr std::uint64_t busy = 1;
  static constexpr std::uint64_t gate = 2;
  static constexpr int tag_shift = 2;

  static bool try_one(pool_slot& s) noexcept {
    std::uint64_t w = s.word.load(std::memory_order_relaxed);
    return (w & (busy | gate)) == 0 &&
           s.word.compare_exchange_strong(w, (w | busy) + (std::uint64_t{1} << tag_shift),
                                          std::memory_order_acquire, std::memory_order_relaxed);
  }

  alignas(cache_line) std::atomic<std::uint32_t> used_{0};
  alignas(cache_line) std::uint64_t takes_ = 0;  // these under the lock
  std::uint64_t openings_ = 0;
  bool shut_ = true;
};

}  // namespace tideover::inline v0::detail
