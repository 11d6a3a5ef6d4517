// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/instant.hpp>
#include <tideover/policy/eviction.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace tideover::inline v0::detail {

/// Which entries are due, at O(1) for each of them and whatever their lives: a hierarchical timing wheel
/// (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987, scheme 7).
///
/// Eight levels of 64 slots; a slot of level 0 is one tick of 2^20 ns (1.05 ms), one of the next level 64 of
/// those, so that the whole range of `instant` fits. An entry stands at the level of the highest base-64
/// digit in which its tick differs from the current one; when time reaches its slot it moves down or is due.
/// So what is due next always stands in the first used slot of the lowest used level, and time passes over
/// empty slots at no cost. Slots are lists through the entries' links; a list's first entry names its slot.
///
/// The wheel is lazy: a deadline that moves later needs no call, the entry is placed anew when its old slot
/// comes up. One that moves earlier needs `remove` and `insert`. An entry is due at its deadline, and found
/// so at most one tick after it.
///
/// `Links`: links(id) is an `entry_links&`. `Deadlines`: deadlines(id) is an `instant`.
class timing_wheel {
 public:
  explicit timing_wheel(instant now) noexcept : tick_(tick_of(now)) { slots_.fill(no_entry); }

  template <class Links>
  void insert(Links links, entry_id id, instant deadline) noexcept {
    place(links, id, std::max(due_tick(deadline), tick_ + 1));
  }

  template <class Links>
  void remove(Links links, entry_id id) noexcept {
    remove(links, links(id));
  }
  /// The same for who has the entry's own links in hand.
  template <class Links>
  void remove(Links links, entry_links around) noexcept {
    if (around.next != no_entry) links(around.next).previous = around.previous;
    if (around.previous < first_slot_name) {
      links(around.previous).next = around.next;
      return;
    }
    std::uint32_t const slot = around.previous - first_slot_name;
    slots_[slot] = around.next;
    if (around.next == no_entry && slot != opened) used_[slot / width] &= ~(std::uint64_t{1} << slot % width);
  }

  /// Takes out and returns one entry that is expired at `now`, or `no_entry` if none is left or `steps` are
  /// spent; each entry that is looked at takes a step.
  template <class Links, class Deadlines>
  entry_id take_due(instant now, std::size_t& steps, Links links, Deadlines deadlines) noexcept {
    while (steps != 0) {
      entry_id const id = slots_[opened];
      if (id == no_entry) {
        std::uint64_t const target = tick_of(now);
        if (target == quiet_at_) return no_entry;
        if (open_next(links, target)) continue;
        quiet_at_ = target;
        return no_entry;
      }
      --steps;
      remove(links, id);
      instant const deadline = deadlines(id);
      if (deadline <= now) return id;
      place(links, id, std::max(due_tick(deadline), tick_));
    }
    return no_entry;
  }

 private:
  static constexpr unsigned tick_bits = 20;
  static constexpr unsigned digit_bits = 6;
  static constexpr unsigned width = 1u << digit_bits;
  static constexpr unsigned levels = 8;
  static constexpr entry_id first_slot_name = 0xFFFF'0000u;  // above every number a slab hands out
  static constexpr std::uint32_t opened = levels * width;    // the slot that time has reached, being emptied

  /// Monotonic scales may start below zero: shifted so that ticks are not negative.
  static std::uint64_t tick_of(instant t) noexcept {
    return (static_cast<std::uint64_t>(t.ns) ^ (std::uint64_t{1} << 63)) >> tick_bits;
  }
  /// The tick by which the deadline has passed: rounded up, so that no slot comes up before its entries are
  /// due.
  static std::uint64_t due_tick(instant deadline) noexcept {
    return tick_of(deadline - std::chrono::nanoseconds(1)) + 1;
  }
  /// Moves time to the next used slot, at most to `target`, and opens it. Its entries are emptied one by one,
  /// so that a caller with few steps can go on later, while others are inserted.
  template <class Links>
  bool open_next(Links links, std::uint64_t target) noexcept {
    unsigned level = 0;
    while (level != levels && used_[level] == 0) ++level;
    if (level != levels) {
      unsigned const slot = static_cast<unsigned>(std::countr_zero(used_[level]));
      std::uint64_t const begins = begin_of(level, slot);
      if (begins <= target) {
        tick_ = std::max(tick_, begins);
        used_[level] &= ~(std::uint64_t{1} << slot);
        std::swap(slots_[opened], slots_[level * width + slot]);
        links(slots_[opened]).previous = first_slot_name + opened;
        return true;
      }
    }
    tick_ = std::max(tick_, target);
    return false;
  }
  /// The first tick of the slot, given that all higher digits are those of the current tick.
  std::uint64_t begin_of(unsigned level, unsigned slot) const noexcept {
    unsigned const low = level * digit_bits;
    std::uint64_t const higher = tick_ >> (low + digit_bits) << (low + digit_bits);
    return higher | std::uint64_t{slot} << low;
  }
  template <class Links>
  void place(Links links, entry_id id, std::uint64_t due) noexcept {
    unsigned const differing = static_cast<unsigned>(std::bit_width((due ^ tick_) | 1)) - 1;
    unsigned const level = differing / digit_bits;
    unsigned const digit = static_cast<unsigned>(due >> (level * digit_bits)) % width;
    entry_id& head = slots_[level * width + digit];
    links(id) = {first_slot_name + level * width + digit, head};
    if (head != no_entry) links(head).previous = id;
    head = id;
    used_[level] |= std::uint64_t{1} << digit;
  }

  std::uint64_t tick_;
  /// A tick up to which nothing is due any more: what is inserted is due at a later one. No tick at first:
  /// they are shifted to the right.
  std::uint64_t quiet_at_ = ~std::uint64_t{0};
  std::array<std::uint64_t, levels> used_{};
  std::array<entry_id, levels * width + 1> slots_;
};

}  // namespace tideover::inline v0::detail
