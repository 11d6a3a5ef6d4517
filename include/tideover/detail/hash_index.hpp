// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/policy/eviction.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace tideover::inline v0::detail {

/// What `hash_index::read` answers when writers came between too often: ask again with the lock.
inline constexpr entry_id unsure_entry = no_entry - 1;

// Twelve tags of one byte stand in two words: eight in `low`, four in the lower half of `high`. `of` is the
// set of those that are `tag`, and `one_of` the number of one in a set that is not empty. One set for both
// words: in which of them a tag is, is nothing that a processor could foresee.

/// For any machine.
struct tag_lanes_by_word {
  /// Bit 8 i + 7 for lane i, bit 8 i + 6 for lane 8 + i.
  static std::uint64_t of(std::uint64_t low, std::uint64_t high, std::uint8_t tag) noexcept {
    return equal_bytes(low, tag) | (equal_bytes(high, tag) & 0xFFFF'FFFFu) >> 1;
  }
  static unsigned one_of(std::uint64_t lanes) noexcept {
    auto const bit = static_cast<unsigned>(std::countr_zero(lanes));
    return bit / 8 + (~bit & 1) * 8;
  }

 private:
  /// The high bit of each byte of `word` that equals `tag`, exactly (no carry crosses a byte).
  static std::uint64_t equal_bytes(std::uint64_t word, std::uint8_t tag) noexcept {
    constexpr std::uint64_t low_seven = 0x7F7F'7F7F'7F7F'7F7Fu;
    std::uint64_t const x = word ^ (0x0101'0101'0101'0101u * tag);
    return ~(((x & low_seven) + low_seven) | x | low_seven);
  }
};

#if defined(__SSE2__)
/// All of them compared at once; bit i for lane i.
struct tag_lanes_at_once {
  static std::uint32_t of(std::uint64_t low, std::uint64_t high, std::uint8_t tag) noexcept {
    two_words const words{static_cast<long long>(low), static_cast<long long>(high)};
    auto const t = static_cast<char>(tag);
    bytes const tags{t, t, t, t, t, t, t, t, t, t, t, t, t, t, t, t};
    auto const equal = reinterpret_cast<bytes>(reinterpret_cast<bytes>(words) == tags);
    return static_cast<std::uint32_t>(__builtin_ia32_pmovmskb128(equal)) & 0xFFFu;
  }
  static unsigned one_of(std::uint32_t lanes) noexcept {
    return static_cast<unsigned>(std::countr_zero(lanes));
  }

 private:
  using bytes [[gnu::vector_size(16)]] = char;
  using two_words [[gnu::vector_size(16)]] = long long;
};
using tag_lanes = tag_lanes_at_once;
#else
using tag_lanes = tag_lanes_by_word;
#endif

/// A hash table from 64-bit hashes to entry numbers. It holds no keys: the caller compares.
///
/// A bucket is one cache line: twelve one-byte tags, twelve numbers, and a count of the entries that wanted
/// this bucket and had to go on to the next one. A lookup reads one line, compares all tags at once, and goes
/// on only while that count is not zero; erasing clears a tag and lowers the counts on the way, so there are
/// no tombstones, an entry never moves, and nothing is ever rebuilt but by growth. A bucket is found by
/// multiplication (Lemire, "Fast Random Integer Generation in an Interval", 2019, section 3), so the number
/// of buckets is exact and not the next power of two. On average nine of twelve places are used at most: 7.1
/// bytes an entry.
///
/// The lower 32 bits of the hash are used: by multiplication their upper bits choose the bucket, and the
/// lowest eight are the tag, so that an entry's place is found again by those 32. The bits above are free for
/// choosing a shard. Beyond 2^24 buckets the two begin to share bits, and tags tell apart less. An empty
/// index has allocated nothing. Expected O(1) throughout.
///
/// Threads: one at a time, but for `read`, which any number may call meanwhile if `Locking` is shared. Since
/// readers may still be in it, a table that was too small is kept until the end then: all of them together
/// are smaller than the one in use.
template <class Locking, class Allocator>
class hash_index {
  static constexpr unsigned width = 12;
  static constexpr std::uint64_t fill = 9;
  template <class T>
  using cell = typename Locking::template cell<T>;

  /// Lane i has its tag in byte i of `low`, or in byte i - 8 of `high`, whose upper half is the count of
  /// those that went on. A tag of 0: empty.
  struct alignas(cache_line) bucket {
    cell<std::uint64_t> low{0};
    cell<std::uint64_t> high{0};
    std::array<cell<entry_id>, width> ids;
  };
  static_assert(sizeof(bucket) == cache_line);
  using traits = typename std::allocator_traits<Allocator>::template rebind_traits<bucket>;
  using bucket_allocator = typename traits::allocator_type;
  static_assert(std::is_same_v<typename traits::pointer, bucket*>,
                "tideover: fancy pointers are not supported");

  /// Stands in front of its buckets.
  struct alignas(cache_line) table {
    std::size_t count;
    table* smaller;  // the one before it
    bucket* buckets() noexcept { return std::launder(reinterpret_cast<bucket*>(this + 1)); }
    bucket const* buckets() const noexcept { return std::launder(reinterpret_cast<bucket const*>(this + 1)); }
  };
  static_assert(sizeof(table) == sizeof(bucket));

 public:
  explicit hash_index(Allocator const& allocator) : allocator_(allocator) {}
  hash_index(hash_index const&) = delete;
  hash_index& operator=(hash_index const&) = delete;
  ~hash_index() { free_all(now()); }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  /// The entry of that hash for which `matches(id)`, or `no_entry`. Throws what `matches` throws.
  template <class Matches>
  entry_id find(std::uint64_t hash, Matches matches) const {
    if (size_ == 0) return no_entry;
    table const& t = *now();
    return search(t, first(t, hash), hash, [&](cell<entry_id> const& place) {
      entry_id const id = place.load(std::memory_order_relaxed);
      return matches(id) ? id : no_entry;
    });
  }

  /// Where a lookup begins.
  class spot {
    friend hash_index;
    table const* in;
    bucket const* at;
    std::uint64_t hash;
  };
  /// Has the bucket of that hash brought near, for a lookup to come. At any time, as `read`.
  [[gnu::always_inline]] spot locate(std::uint64_t hash) const noexcept {
    spot s;
    // Acquire: pairs with the store in grow; the buckets are seen as they were filled.
    s.in = table_.load(std::memory_order_acquire);
    s.at = s.in == nullptr ? nullptr : first(*s.in, hash);
    s.hash = hash;
    if (s.at != nullptr) __builtin_prefetch(s.at);
    return s;
  }

  /// As `find`, without the lock, while others write. `protect(id)` keeps the entry from being taken apart
  /// from then on, if it is still in its place afterwards; only then `matches(id)` is asked. What was there
  /// all the while is found. `unsure_entry` if writers changed what was looked at again and again.
  template <class Protect, class Matches>
  [[gnu::always_inline]] entry_id read(spot s, Protect protect, Matches matches) const {
    int patience = 8;
    while (s.in != nullptr) {
      bool moved = false;
      auto const ask = [&](cell<entry_id> const& place) {
        // Acquire: pairs with the release in put; the entry is seen as it was made.
        entry_id id = place.load(std::memory_order_acquire);
        for (; id != no_entry; --patience) {
          if (patience <= 0) return unsure_entry;
          protect(id);
          // Both after `protect` in the one order of what is sequentially consistent, see hazard.hpp.
          if (table_.load(std::memory_order_seq_cst) != s.in) {
            moved = true;
            return unsure_entry;
          }
          entry_id const still = place.load(std::memory_order_seq_cst);
          if (still == id) return matches(id) ? id : no_entry;
          id = still;
        }
        return no_entry;
      };
      entry_id const found = search_here(*s.in, s.at, s.hash, ask);
      if (!moved) return found;
      if (--patience <= 0) return unsure_entry;
      s = locate(s.hash);
    }
    return no_entry;
  }

  template <class Protect, class Matches>
  entry_id read(std::uint64_t hash, Protect protect, Matches matches) const {
    return read(locate(hash), protect, matches);
  }

  /// Makes room for `n` entries in all. `hash_of(id)` gives back the lower half of an entry's hash. May throw
  /// what the allocator throws; then nothing has changed.
  template <class HashOf>
  void reserve(std::size_t n, HashOf hash_of) {
    if (n > room_) grow(n, hash_of);
  }
  /// Makes room for one more entry, growing by doubling.
  template <class HashOf>
  void reserve_one_more(HashOf hash_of) {
    if (size_ >= room_) grow(std::max<std::size_t>(2 * room_, fill), hash_of);
  }
  bool has_room() const noexcept { return size_ < room_; }

  /// There must be room, and the entry must not be there.
  void insert(std::uint64_t hash, entry_id id) noexcept {
    put(*now(), lower(hash), id);
    ++size_;
  }

  /// The entry must be there. `hash` is the lower half of the hash it was inserted by.
  void erase(std::uint32_t hash, entry_id id) noexcept {
    table& t = *now();
    std::size_t b = home(t, hash);
    for (;; b = after(t, b)) {
      bucket& here = t.buckets()[b];
      unsigned const at = position(here, tag_of(hash), id);
      if (at != width) {
        set_tag(here, at, 0);
        here.ids[at].store(no_entry, std::memory_order_seq_cst);  // before anybody looks who reads it
        --size_;
        return;
      }
      pass(here, -one_passed);
    }
  }
  /// Lets `id` stand where `old` stood, which must be there.
  void replace(std::uint32_t hash, entry_id old, entry_id id) noexcept {
    table& t = *now();
    for (std::size_t b = home(t, hash);; b = after(t, b)) {
      bucket& here = t.buckets()[b];
      unsigned const at = position(here, tag_of(hash), old);
      if (at != width) {
        here.ids[at].store(id, std::memory_order_seq_cst);  // as in erase; and a reader sees all of `id`
        return;
      }
    }
  }
  /// Forgets all entries and calls `f(id)` for each; the memory stays. `f` may not throw.
  template <class F>
  void drain(F f) noexcept {
    table* const t = now();
    for (std::size_t b = 0; size_ != 0 && b != t->count; ++b) {
      bucket& here = t->buckets()[b];
      for (unsigned at = 0; at != width; ++at) {
        if (tag_at(here, at) == 0) continue;
        set_tag(here, at, 0);
        f(here.ids[at].exchange(no_entry, std::memory_order_seq_cst));
        --size_;
      }
    }
    // Only now: who goes on past a bucket may be looking for one that is still there.
    for (std::size_t b = 0; t != nullptr && b != t->count; ++b) {
      t->buckets()[b].high.store(0, std::memory_order_relaxed);
    }
  }

 private:
  static constexpr std::uint64_t one_passed = std::uint64_t{1} << 32;

  /// The one in use. Plain where there is one writer; readers have their own way.
  table* now() const noexcept { return table_.load(std::memory_order_relaxed); }
  static std::uint32_t lower(std::uint64_t hash) noexcept { return static_cast<std::uint32_t>(hash); }
  static std::uint8_t tag_of(std::uint64_t hash) noexcept {
    auto const tag = static_cast<std::uint8_t>(hash);
    return tag == 0 ? std::uint8_t{1} : tag;
  }
  static std::size_t home(table const& t, std::uint32_t hash) noexcept {
    return static_cast<std::size_t>((std::uint64_t{hash} * t.count) >> 32);
  }
  static std::size_t after(table const& t, std::size_t b) noexcept { return b + 1 == t.count ? 0 : b + 1; }
  static bucket const* first(table const& t, std::uint64_t hash) noexcept {
    return t.buckets() + home(t, lower(hash));
  }

  static unsigned shift_of(unsigned at) noexcept { return at % 8 * 8; }
  static std::uint8_t tag_at(bucket const& b, unsigned at) noexcept {
    return static_cast<std::uint8_t>((at < 8 ? b.low : b.high).load(std::memory_order_relaxed) >>
                                     shift_of(at));
  }
  /// Release: who finds the tag finds the number that was stored before it.
  static void set_tag(bucket& b, unsigned at, std::uint8_t tag) noexcept {
    auto& word = at < 8 ? b.low : b.high;
    std::uint64_t const others =
        word.load(std::memory_order_relaxed) & ~(std::uint64_t{0xFF} << shift_of(at));
    word.store(others | std::uint64_t{tag} << shift_of(at), std::memory_order_release);
  }
  /// Release, since tags stand in the same word: a plain store would end what the release in `set_tag` began
  /// (since C++20 only read-modify-writes go on with it).
  static void pass(bucket& b, std::uint64_t change) noexcept {
    b.high.store(b.high.load(std::memory_order_relaxed) + change, std::memory_order_release);
  }
  static auto lanes_of(bucket const& b, std::uint8_t tag) noexcept {
    return tag_lanes::of(b.low.load(std::memory_order_relaxed), b.high.load(std::memory_order_relaxed), tag);
  }
  static unsigned position(bucket const& b, std::uint8_t tag, entry_id id) noexcept {
    for (auto found = lanes_of(b, tag); found != 0; found &= found - 1) {
      unsigned const at = tag_lanes::one_of(found);
      if (b.ids[at].load(std::memory_order_relaxed) == id) return at;
    }
    return width;
  }

  /// The first that `ask(place)` does not answer by `no_entry`, of the places whose tag is that of the hash.
  template <class Ask>
  static entry_id search(table const& t, bucket const* at, std::uint64_t hash, Ask ask) {
    return search_here(t, at, hash, ask);
  }
  /// The same at the place of the call: a read without the lock counts nanoseconds, and what a compiler is
  /// willing to inline depends on what else is in the translation unit.
  template <class Ask>
  [[gnu::always_inline]] static entry_id search_here(table const& t, bucket const* at, std::uint64_t hash,
                                                     Ask& ask) {
    std::uint8_t const tag = tag_of(hash);
    // Once round at most: in a small index each bucket may have been passed by some entry.
    for (std::size_t left = t.count;;) {
      bucket const& here = *at;
      std::uint64_t const low = here.low.load(std::memory_order_acquire);
      std::uint64_t const high = here.high.load(std::memory_order_acquire);
      for (auto found = tag_lanes::of(low, high, tag); found != 0; found &= found - 1) {
        entry_id const id = ask(here.ids[tag_lanes::one_of(found)]);
        if (id != no_entry) return id;
      }
      if (high >> 32 == 0 || --left == 0) return no_entry;
      if (++at == t.buckets() + t.count) at = t.buckets();
    }
  }

  static void put(table& t, std::uint32_t hash, entry_id id) noexcept {
    for (std::size_t b = home(t, hash);; b = after(t, b)) {
      bucket& here = t.buckets()[b];
      if (auto const empty = lanes_of(here, 0); empty != 0) {
        unsigned const at = tag_lanes::one_of(empty);
        here.ids[at].store(id, std::memory_order_release);
        set_tag(here, at, tag_of(hash));
        return;
      }
      pass(here, one_passed);
    }
  }

  template <class HashOf>
  TIDEOVER_COLD void grow(std::size_t n, HashOf hash_of) {
    std::size_t const wanted = (n + fill - 1) / fill;
    if (wanted > 0xFFFF'FFFFu) fail();
    bucket* const memory = traits::allocate(allocator_, wanted + 1);
    table* const old = now();
    auto* const fresh = ::new (static_cast<void*>(memory)) table{wanted, nullptr};
    std::uninitialized_default_construct_n(memory + 1, wanted);
    for (std::size_t b = 0; old != nullptr && b != old->count; ++b) {
      bucket const& from = old->buckets()[b];
      for (unsigned at = 0; at != width; ++at) {
        entry_id const id = from.ids[at].load(std::memory_order_relaxed);
        if (tag_at(from, at) != 0) put(*fresh, hash_of(id), id);
      }
    }
    room_ = wanted * fill;
    if constexpr (Locking::is_shared) {
      fresh->smaller = old;
    } else {
      free_all(old);
    }
    table_.store(fresh, std::memory_order_seq_cst);  // before anything that readers of the old one miss
  }
  [[noreturn]] static void fail() {
#if TIDEOVER_EXCEPTIONS
    throw std::bad_alloc();
#else
    std::abort();
#endif
  }
  void free_all(table* t) noexcept {
    while (t != nullptr) {
      table* const smaller = t->smaller;
      traits::deallocate(allocator_, std::launder(reinterpret_cast<bucket*>(t)), t->count + 1);
      t = smaller;
    }
  }

  alignas(Locking::is_shared ? cache_line : alignof(table*)) cell<table*> table_{nullptr};
  // What only writers touch is on another line.
  alignas(Locking::is_shared ? cache_line : alignof(table*)) std::size_t room_ = 0;  // before the next growth
  std::size_t size_ = 0;
  [[no_unique_address]] bucket_allocator allocator_;
};

}  // namespace tideover::inline v0::detail
