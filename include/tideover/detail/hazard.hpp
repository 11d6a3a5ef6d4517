// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <new>

/// Hazard pointers: what a thread reads without a lock is not taken apart meanwhile.
///
/// A reader writes into a slot of its own what it is about to read, and then looks again whether that is
/// still where it found it; whoever takes a thing out looks afterwards whether some slot names it. One of the
/// two sees the other: all four steps are sequentially consistent, so they have one order (Michael, "Hazard
/// Pointers: Safe Memory Reclamation for Lock-Free Objects", IEEE TPDS 15(6), 2004, section 3). Nobody waits,
/// and a reader that stands still keeps back nothing but the one thing it reads.
namespace tideover::inline v0::detail {

/// A thread's slots, on a cache line of their own. Reading inside of reading takes the next slot.
struct alignas(cache_line) hazard_record {
  static constexpr unsigned nesting = 4;
  std::array<std::atomic<void const*>, nesting> reads{};
  std::atomic<std::uint32_t> owned{0};
  std::uint32_t number = 0;  // records are numbered from 0; a number is given out again when its thread ends
  unsigned depth = 0;        // slots in use; the owner's
};

/// The records of all threads of the program, also when its shared libraries hide their symbols. Constant
/// initialised and never destroyed, so that it is there for whatever runs before and after main.
class [[gnu::visibility("default")]] hazard_registry {
 public:
  constexpr hazard_registry() noexcept = default;

  /// A record for the calling thread; null if there is no memory for more. O(threads).
  hazard_record* acquire() noexcept {
    std::uint32_t number = 0;
    for (block* b = &first_; b != nullptr; b = following(*b)) {
      for (hazard_record& r : b->records) {
        std::uint32_t nobody = 0;
        // Acquire: pairs with the release below; who takes a number over sees all that was done under it.
        if (r.owned.load(std::memory_order_relaxed) == 0 &&
            r.owned.compare_exchange_strong(nobody, 1, std::memory_order_acquire,
                                            std::memory_order_relaxed)) {
          r.number = number;
          live_.fetch_add(1, std::memory_order_relaxed);
          return &r;
        }
        ++number;
      }
    }
    return nullptr;
  }
  void release(hazard_record & r) noexcept {
    live_.fetch_sub(1, std::memory_order_relaxed);
    r.owned.store(0, std::memory_order_release);
  }

  /// How many threads have a record; to estimate what `for_each_read` costs.
  std::uint32_t threads() const noexcept { return live_.load(std::memory_order_relaxed); }

  /// Calls `f(address)` for all that is read. What was taken out before, and is not among it, is read by
  /// nobody.
  template <class F>
  void for_each_read(F f) const noexcept {
    // The blocks belong to the one order too: whose record stands in one that we do not see yet looks again
    // after us.
    for (block const* b = &first_; b != nullptr; b = b->next.load(std::memory_order_seq_cst)) {
      for (hazard_record const& r : b->records) {
        for (auto const& slot : r.reads) {
          void const* const p = slot.load(std::memory_order_seq_cst);
          if (p != nullptr) f(p);
        }
      }
    }
  }

 private:
  struct block {
    std::array<hazard_record, 16> records{};
    std::atomic<block*> next{nullptr};
  };

  static block* following(block & b) noexcept {
    block* next = b.next.load(std::memory_order_seq_cst);
    if (next != nullptr) return next;
    block* const fresh = new (std::nothrow) block;
    if (fresh == nullptr) return nullptr;
    if (b.next.compare_exchange_strong(next, fresh, std::memory_order_seq_cst)) return fresh;
    delete fresh;  // another thread was faster
    return next;
  }

  block first_{};
  std::atomic<std::uint32_t> live_{0};
};

[[gnu::visibility("default")]] inline constinit hazard_registry hazards{};
/// Stands for a record where none can be had: all its slots are in use.
[[gnu::visibility("default")]] inline constinit hazard_record no_hazard_record{
    .reads = {}, .owned = 1, .number = ~std::uint32_t{0}, .depth = hazard_record::nesting};
[[gnu::visibility("default")]] inline constinit thread_local hazard_record* this_hazard_record = nullptr;

/// Gives the record back when its thread ends, but one that still says what is read: who calls `exit` in the
/// middle of a visit. What runs after that finds no slots any more.
struct hazard_owner {
  hazard_owner() = default;
  hazard_owner(hazard_owner const&) = delete;
  hazard_owner& operator=(hazard_owner const&) = delete;
  ~hazard_owner() {
    hazard_record* const record = this_hazard_record;
    if (record != nullptr && record->depth == 0) hazards.release(*record);
    this_hazard_record = &no_hazard_record;
  }
};
[[gnu::visibility("default")]] TIDEOVER_COLD inline hazard_record& enrol_this_thread() noexcept {
  static thread_local hazard_owner owner;
  static_cast<void>(&owner);
  hazard_record* const record = hazards.acquire();
  if (record == nullptr) return no_hazard_record;
  this_hazard_record = record;
  return *record;
}
inline hazard_record& hazard_record_of_this_thread() noexcept {
  hazard_record* const record = this_hazard_record;
  return record != nullptr ? *record : enrol_this_thread();
}

/// One slot in use, to the end of the scope; none if all are in use already.
class hazard_slot {
 public:
  explicit hazard_slot(hazard_record& record) noexcept
      : record_(record.depth == hazard_record::nesting ? nullptr : &record) {
    if (record_ != nullptr) slot_ = &record.reads[record.depth++];
  }
  hazard_slot(hazard_slot const&) = delete;
  hazard_slot& operator=(hazard_slot const&) = delete;
  ~hazard_slot() {
    if (record_ == nullptr) return;
    --record_->depth;
    // Release: who finds the slot empty has all our reading behind it.
    slot_->store(nullptr, std::memory_order_release);
  }

  explicit operator bool() const noexcept { return record_ != nullptr; }
  /// From now on `p` is protected, if it is still where it was found: look again.
  void protect(void const* p) noexcept { slot_->store(p, std::memory_order_seq_cst); }
  /// Protects nothing any more; whoever looks after what we look at next sees that.
  void end_in_order() noexcept {
    if (slot_ != nullptr) slot_->store(nullptr, std::memory_order_seq_cst);
  }

 private:
  hazard_record* record_;
  std::atomic<void const*>* slot_ = nullptr;
};

}  // namespace tideover::inline v0::detail
