// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/hashing.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace tideover::inline v0::eviction_parts {

/// Which keys were evicted lately? Remembers the last `life` keys that were added, give or take: sets of four
/// slots, each with 16 bits of the key's hash and the time when it was added, counted in additions; a key
/// that comes to a full set takes the place of the oldest. 4 bytes for each slot. A key that was never added
/// is found with a probability of about 2^-14. For one thread at a time.
template <class Allocator>
class ghost_table {
 public:
  ghost_table(std::size_t slots, std::size_t life, Allocator const& allocator)
      : sets_(std::max<std::size_t>(1, (slots + ways - 1) / ways), set_allocator(allocator)),
        additions_per_tick_(static_cast<std::uint32_t>(life / ticks_in_life + 1)),
        life_(static_cast<std::uint32_t>(life / additions_per_tick_)) {}

  void add(std::uint32_t hash) noexcept {
    place const at = place_of(hash);
    set& here = sets_[at.set];
    *place_in(here, at.print) = {at.print, now_};
    if (++additions_ == additions_per_tick_) {
      additions_ = 0;
      ++now_;
    }
  }

  /// Whether the key was added lately; it is forgotten then.
  bool take(std::uint32_t hash) noexcept {
    place const at = place_of(hash);
    for (slot& s : sets_[at.set]) {
      if (s.print != at.print) continue;
      s.print = 0;
      return age_of(s) <= life_;
    }
    return false;
  }

  void swap(ghost_table& o) noexcept {
    sets_.swap(o.sets_);
    std::swap(additions_per_tick_, o.additions_per_tick_);
    std::swap(life_, o.life_);
    std::swap(additions_, o.additions_);
    std::swap(now_, o.now_);
  }

 private:
  static constexpr std::uint32_t ways = 4;
  static constexpr std::size_t ticks_in_life = 16'384;  // a quarter of what a tick can count
  struct slot {
    std::uint16_t print = 0;  // 0: empty
    std::uint16_t born = 0;
  };
  using set = std::array<slot, ways>;
  using set_allocator = typename std::allocator_traits<Allocator>::template rebind_alloc<set>;
  struct place {
    std::size_t set;
    std::uint16_t print;
  };

  place place_of(std::uint32_t hash) const noexcept {
    std::uint64_t const mixed = hash_detail::fold(hash ^ hash_detail::odd_2, hash_detail::odd_3);
    return {static_cast<std::size_t>((mixed >> 32) * sets_.size() >> 32),
            static_cast<std::uint16_t>(mixed | 1)};
  }
  /// Its own or an empty place, else that of the oldest, and of the first of these.
  slot* place_in(set& here, std::uint16_t print) const noexcept {
    for (slot& s : here) {
      if (s.print == 0 || s.print == print) return &s;
    }
    // As numbers that are compared without a branch: which of them is the oldest, no processor can foresee.
    std::uint32_t oldest = 0;
    for (std::uint32_t i = 0; i != ways; ++i) {
      oldest = std::max(oldest, std::uint32_t{age_of(here[i])} << 2 | (ways - 1 - i));
    }
    return &here[ways - 1 - oldest % ways];
  }
  std::uint16_t age_of(slot const& s) const noexcept { return static_cast<std::uint16_t>(now_ - s.born); }

  std::vector<set, set_allocator> sets_;
  std::uint32_t additions_per_tick_;
  std::uint32_t life_;
  std::uint32_t additions_ = 0;
  std::uint16_t now_ = 0;
};

}  // namespace tideover::inline v0::eviction_parts
