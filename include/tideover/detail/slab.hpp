// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/policy/eviction.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace tideover::inline v0::detail {

/// Numbered slots that never move, recycled through a free list.
///
/// Numbers instead of pointers halve the links of everything that is built on them. The slots live in chunks
/// of 16, 16, 32, 64 ... so that growing moves nothing, pauses for nothing but one allocation, and the way
/// from a number to its slot is a bit scan and one load from a table that stays in the cache.
///
/// T is default-constructed when its slot is first used and destroyed with the slab; in between it is
/// recycled as it is. It offers `entry_id& link()`, which is the slab's while the slot is free.
template <class T, class Allocator>
class slab {
  using traits = typename std::allocator_traits<Allocator>::template rebind_traits<T>;
  using slot_allocator = typename traits::allocator_type;
  static_assert(std::is_same_v<typename traits::pointer, T*>, "tideover: fancy pointers are not supported");

 public:
  /// The most slots; numbers above it are free for others to mean something else by.
  static constexpr entry_id max_size = 0xFFFF'0000u;

  explicit slab(Allocator const& allocator) : allocator_(allocator) {}
  slab(slab const&) = delete;
  slab& operator=(slab const&) = delete;
  ~slab() {
    for (entry_id id = 0; id != used_; ++id) std::destroy_at(at(id));
    for (unsigned c = 0; c != chunks_.size() && chunks_[c] != nullptr; ++c) {
      traits::deallocate(allocator_, chunks_[c], size_of_chunk(c));
    }
  }

  T& operator[](entry_id id) noexcept { return *at(id); }
  T const& operator[](entry_id id) const noexcept { return *at(id); }

  /// Whether `p` is the address of a slot. With the same care as changes.
  bool contains(void const* p) const noexcept {
    auto const address = reinterpret_cast<std::uintptr_t>(p);
    for (unsigned c = 0; c != chunks_.size() && chunks_[c] != nullptr; ++c) {
      auto const begin = reinterpret_cast<std::uintptr_t>(chunks_[c]);
      if (address >= begin && address - begin < size_of_chunk(c) * sizeof(T)) return true;
    }
    return false;
  }

  /// How many slots have ever been used: ids are below it.
  entry_id used() const noexcept { return used_; }

  /// A free slot. O(1), one allocation when all chunks are full. Throws what the allocator throws, or
  /// std::bad_alloc beyond `max_size`; then nothing has changed.
  entry_id acquire() {
    if (free_ != no_entry) {
      entry_id const id = free_;
      free_ = (*this)[id].link();
      return id;
    }
    return acquire_new();
  }
  void release(entry_id id) noexcept {
    (*this)[id].link() = free_;
    free_ = id;
  }
  bool has_free() const noexcept { return free_ != no_entry; }
  /// Takes a whole chain of slots, linked by `link()`, as free ones; the free list must be empty.
  void adopt_free(entry_id chain) noexcept { free_ = chain; }

 private:
  static constexpr unsigned first_bits = 4;
  static constexpr std::uint32_t first_size = 1u << first_bits;

  /// Chunk 0 holds 0..15, chunk c holds 16 << (c - 1) slots from number 16 << (c - 1) on.
  static unsigned chunk_of(entry_id id) noexcept {
    return static_cast<unsigned>(std::bit_width(id | (first_size - 1))) - first_bits;
  }
  static std::size_t size_of_chunk(unsigned chunk) noexcept {
    return std::size_t{first_size} << (chunk == 0 ? 0 : chunk - 1);
  }
  /// How far behind the place of number 0 it begins, if all slots lay in a row.
  static std::uintptr_t bias_of_chunk(unsigned chunk) noexcept {
    return chunk == 0 ? 0 : size_of_chunk(chunk) * sizeof(T);
  }
  /// Of 0: that of 1.
  static unsigned highest_bit(entry_id id) noexcept {
    return static_cast<unsigned>(std::bit_width(id | 1)) - 1;
  }
  T* at(entry_id id) const noexcept {
    return std::launder(reinterpret_cast<T*>(origins_[highest_bit(id)] + std::uintptr_t{id} * sizeof(T)));
  }

  TIDEOVER_COLD void grow() {
    if (used_ >= max_size) {
#if TIDEOVER_EXCEPTIONS
      throw std::bad_alloc();
#else
      std::abort();
#endif
    }
    unsigned const chunk = chunk_of(used_);
    if (chunks_[chunk] != nullptr) return;
    chunks_[chunk] = traits::allocate(allocator_, size_of_chunk(chunk));
    std::uintptr_t const origin = reinterpret_cast<std::uintptr_t>(chunks_[chunk]) - bias_of_chunk(chunk);
    if (chunk == 0) {
      std::fill_n(origins_.begin(), first_bits, origin);
    } else {
      origins_[first_bits + chunk - 1] = origin;
    }
  }
  entry_id acquire_new() {
    if (used_ >= max_size || chunks_[chunk_of(used_)] == nullptr) grow();
    ::new (reinterpret_cast<void*>(origins_[highest_bit(used_)] + std::uintptr_t{used_} * sizeof(T))) T;
    return used_++;
  }

  /// By the highest bit of a number, where number 0 would be if all slots lay in a row with those of its
  /// chunk: nothing is to be subtracted, and chunk 0 needs no test.
  std::array<std::uintptr_t, 32> origins_{};
  std::array<T*, 32 - first_bits + 1> chunks_{};
  entry_id used_ = 0;
  entry_id free_ = no_entry;
  [[no_unique_address]] slot_allocator allocator_;
};

}  // namespace tideover::inline v0::detail
