// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/eviction.hpp>
#include <tideover/policy/eviction/frequency_sketch.hpp>
#include <tideover/policy/eviction/segments.hpp>
#include <tideover/policy/hashing.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tideover::inline v0::eviction_parts {

/// Whether `candidate` is worth more than `victim`: more frequent; or it came back after it had been evicted,
/// where `welcome_back`; or by chance. The chance is for one who knows the hash function after all and has
/// made the victims look popular for ever: one in 128 of those that are not rare gets in all the same. Ties
/// are for the victim: letting them in is the end of loops.
template <class Sketch>
struct admission {
  Sketch const& sketch;
  std::uint64_t& random;
  bool welcome_back = false;

  template <class Hooks>
  bool operator()(Hooks hooks, entry_id candidate, entry_id victim) const noexcept {
    if (welcome_back && segments::returned(hooks, candidate)) return true;
    unsigned const often = sketch.frequency(hooks.hash(candidate));
    if (often > sketch.frequency(hooks.hash(victim))) return true;
    return often >= not_rare && draw() % 128 == 0;
  }

 private:
  static constexpr unsigned not_rare = 6;

  /// splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
  std::uint64_t draw() const noexcept {
    random += hash_detail::odd_1;
    return hash_detail::fold(random, hash_detail::odd_2) >> 32;
  }
};

/// What the W-TinyLFU policies share. A hit sets the entry's bit, if it is not set; a key of the sample is
/// recorded besides, at most once in a tick of `hooks.shared()`.
class lazy_tinylfu {
 public:
  using policy_axis = axis::eviction;
  using hook = segments::hook;
  static constexpr bool hits_need_no_lock = true;

  void set_capacity(std::size_t n) noexcept { segments_.set_bound(n); }
  /// The window's share of the entries, as it is now.
  double window_share() const noexcept { return segments_.window_share(); }

  template <class Hooks>
  [[gnu::always_inline]] void on_hit(Hooks hooks, entry_id id) const noexcept {
    auto const mark = hooks.relaxed(hooks[id].mark);
    std::uint8_t const m = mark.load();
    if constexpr (requires { hooks.shared().tick(); }) {
      if ((m & sampled) != 0) return used_again(hooks, id, m);
    }
    if ((m & segments::used) == 0) mark.store(static_cast<std::uint8_t>(m | segments::used));
  }
  template <class Hooks>
  void on_remove(Hooks hooks, entry_id id) noexcept {
    segments_.remove(hooks, id);
  }
  template <class Hooks>
  void on_replace(Hooks hooks, entry_id old, entry_id id) noexcept {
    segments_.replace(hooks, old, id);
    on_hit(hooks, id);
  }

  static constexpr std::size_t queues = segments::queues;
  static constexpr unsigned turns = segments::turns;
  eviction_queue queue(std::size_t i) const noexcept { return segments_.queue_at(i); }
  template <class Hooks>
  static std::size_t queue_of(Hooks hooks, entry_id id) noexcept {
    return segments::place_of(hooks, id);
  }
  template <class Hooks>
  static unsigned turn(Hooks hooks, entry_id id) noexcept {
    return segments::turn(hooks, id);
  }
  /// What the sketch knows, up to 15; a use that it has not been told of yet counts as one.
  template <class Hooks>
  static unsigned frequency(Hooks hooks, entry_id id) noexcept {
    bool const untold = (hooks.relaxed(hooks[id].mark).load() & segments::used) != 0;
    return hooks.shared().sketch().frequency(hooks.hash(id)) + (untold ? 1u : 0u);
  }

 protected:
  static constexpr std::uint8_t sampled = 0x40;
  static constexpr std::uint8_t tick_bits = 0x3F;

  template <class Hooks>
  static auto note_in_sketch(Hooks hooks) noexcept {
    return [hooks](std::uint32_t hash) noexcept { hooks.shared().sketch().increment(hash); };
  }
  /// The mark of a new entry: its key is recorded as it comes in, if it is in the sample.
  template <class Hooks>
  static std::uint8_t first_mark(Hooks hooks, std::uint32_t hash) noexcept {
    return hooks.shared().samples(hash)
               ? static_cast<std::uint8_t>(sampled | (hooks.shared().tick() & tick_bits))
               : std::uint8_t{0};
  }
  template <class Hooks>
  auto admit_by(Hooks hooks, bool welcome_back = false) noexcept {
    if (random_ == 0) random_ = hooks.shared().seed() + hooks.shard();
    using sketch = std::remove_cvref_t<decltype(hooks.shared().sketch())>;
    admission<sketch> const by{hooks.shared().sketch(), random_, welcome_back};
    return [hooks, by](entry_id candidate, entry_id victim) noexcept { return by(hooks, candidate, victim); };
  }

  segments segments_;

 private:
  template <class Hooks>
  TIDEOVER_COLD static void used_again(Hooks hooks, entry_id id, std::uint8_t mark) noexcept {
    auto const now =
        static_cast<std::uint8_t>(segments::used | sampled | (hooks.shared().tick() & tick_bits));
    if (mark == now) return;
    hooks.relaxed(hooks[id].mark).store(now);
    if (((mark ^ now) & tick_bits) != 0) hooks.shared().record_hit(hooks.hash(id));
  }

  std::uint64_t random_ = 0;
};

/// Which keys are in the sample: one in `size()`, as the hash and a secret decide.
class key_sample {
 public:
  /// The largest power of two up to `most` that leaves at least 64 entries of `capacity` for a miniature.
  key_sample(std::size_t capacity, std::size_t most, std::uint64_t seed) noexcept
      : seed_(seed), one_in_(std::clamp<std::size_t>(std::bit_floor(capacity / least_entries), 1, most)) {}

  std::size_t one_in() const noexcept { return one_in_; }
  bool contains(std::uint32_t hash) const noexcept {
    return (hash_detail::fold(hash ^ seed_, hash_detail::odd_2) & (one_in_ - 1)) == 0;
  }

 private:
  static constexpr std::size_t least_entries = 64;
  std::uint64_t seed_;
  std::size_t one_in_;
};

}  // namespace tideover::inline v0::eviction_parts
