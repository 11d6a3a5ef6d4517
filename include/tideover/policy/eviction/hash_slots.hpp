// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/eviction.hpp>
#include <tideover/policy/hashing.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace tideover::inline v0::eviction_parts {

/// Finds numbered things by 32 bits of a hash: a table of fixed size with linear probing and no tombstones.
/// `hashes(id)` is the hash of thing `id`; there are never more than `most` of them, no two with one hash.
/// 8 to 16 bytes for each.
template <class Allocator>
class hash_slots {
 public:
  hash_slots(std::size_t most, Allocator const& allocator)
      : slots_(std::bit_ceil(2 * most), no_entry, slot_allocator(allocator)) {}

  template <class Hashes>
  entry_id find(std::uint32_t hash, Hashes hashes) const noexcept {
    for (std::size_t at = home(hash);; at = next(at)) {
      if (slots_[at] == no_entry || hashes(slots_[at]) == hash) return slots_[at];
    }
  }
  void insert(std::uint32_t hash, entry_id id) noexcept {
    std::size_t at = home(hash);
    while (slots_[at] != no_entry) at = next(at);
    slots_[at] = id;
  }
  /// What follows moves up (Knuth, volume 3, section 6.4, algorithm R).
  template <class Hashes>
  void erase(std::uint32_t hash, entry_id id, Hashes hashes) noexcept {
    std::size_t hole = home(hash);
    while (slots_[hole] != id) hole = next(hole);
    for (std::size_t at = next(hole); slots_[at] != no_entry; at = next(at)) {
      std::size_t const from_home = (at - home(hashes(slots_[at]))) & mask();
      if (from_home < ((at - hole) & mask())) continue;
      slots_[hole] = slots_[at];
      hole = at;
    }
    slots_[hole] = no_entry;
  }
  void swap(hash_slots& o) noexcept { slots_.swap(o.slots_); }

 private:
  using slot_allocator = typename std::allocator_traits<Allocator>::template rebind_alloc<entry_id>;

  std::size_t mask() const noexcept { return slots_.size() - 1; }
  std::size_t next(std::size_t at) const noexcept { return (at + 1) & mask(); }
  std::size_t home(std::uint32_t hash) const noexcept {
    return static_cast<std::size_t>(hash * hash_detail::odd_3 >> 32) & mask();
  }

  std::vector<entry_id, slot_allocator> slots_;
};

}  // namespace tideover::inline v0::eviction_parts
