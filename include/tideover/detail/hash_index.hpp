// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/policy/eviction.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

namespace tideover::inline v0::detail {

/// A hash table from 64-bit hashes to entry numbers. It holds no keys: the caller compares.
///
/// A bucket is one cache line: twelve one-byte tags, twelve numbers, and a count of the entries that wanted
/// this bucket and had to go on to the next one. A lookup reads one line, compares all tags at once, and goes
/// on only while that count is not zero; erasing clears a tag and lowers the counts on the way, so there are
/// no tombstones and nothing is ever rebuilt but by growth. A bucket is found by multiplication (Lemire,
/// "Fast Random Integer Generation in an Interval", 2019, section 3), so the number of buckets is exact and
/// not the next power of two. On average nine of twelve places are used at most: 7.1 bytes an entry.
///
/// The lower 32 bits of the hash choose the bucket, bits 32 to 39 are the tag; the bits above are free for
/// choosing a shard. An empty index has allocated nothing. Expected O(1) throughout.
template <class Allocator>
class hash_index {
  static constexpr unsigned width = 12;
  static constexpr std::uint64_t fill = 9;
  struct alignas(cache_line) bucket {
    std::array<std::uint8_t, width> tags{};  // 0: empty
    std::uint32_t passed = 0;
    std::array<entry_id, width> ids;
  };
  static_assert(sizeof(bucket) == cache_line);
  using traits = typename std::allocator_traits<Allocator>::template rebind_traits<bucket>;
  using bucket_allocator = typename traits::allocator_type;
  static_assert(std::is_same_v<typename traits::pointer, bucket*>,
                "tideover: fancy pointers are not supported");

 public:
  explicit hash_index(Allocator const& allocator) : allocator_(allocator) {}
  hash_index(hash_index const&) = delete;
  hash_index& operator=(hash_index const&) = delete;
  ~hash_index() { free(buckets_, bucket_count_); }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  /// The entry of that hash for which `matches(id)`, or `no_entry`. Throws what `matches` throws.
  template <class Matches>
  entry_id find(std::uint64_t hash, Matches matches) const {
    if (size_ == 0) return no_entry;
    std::uint8_t const tag = tag_of(hash);
    // Once round at most: in a small index each bucket may have been passed by some entry.
    std::size_t left = bucket_count_;
    for (std::size_t b = home(lower(hash));; b = after(b)) {
      bucket const& here = buckets_[b];
      for (std::uint64_t found = low_matches(here, tag); found != 0; found &= found - 1) {
        entry_id const id = here.ids[lane(found)];
        if (matches(id)) return id;
      }
      for (std::uint64_t found = high_matches(here, tag); found != 0; found &= found - 1) {
        entry_id const id = here.ids[8 + lane(found)];
        if (matches(id)) return id;
      }
      if (here.passed == 0 || --left == 0) return no_entry;
    }
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
  void insert(std::uint64_t hash, entry_id id) noexcept { put(lower(hash), tag_of(hash), id), ++size_; }

  /// The entry must be there. `hash` is the lower half of the hash it was inserted by.
  void erase(std::uint32_t hash, entry_id id) noexcept {
    std::size_t b = home(hash);
    for (;; b = after(b)) {
      bucket& here = buckets_[b];
      unsigned const at = position(here, id);
      if (at != width) {
        here.tags[at] = 0;
        --size_;
        return;
      }
      --here.passed;
    }
  }
  /// Lets `id` stand where `old` stood, which must be there.
  void replace(std::uint32_t hash, entry_id old, entry_id id) noexcept {
    for (std::size_t b = home(hash);; b = after(b)) {
      bucket& here = buckets_[b];
      unsigned const at = position(here, old);
      if (at != width) {
        here.ids[at] = id;
        return;
      }
    }
  }
  /// Calls `f(id)` for each entry and forgets them all; the memory stays. `f` may not throw.
  template <class F>
  void drain(F f) noexcept {
    for (std::size_t b = 0; size_ != 0 && b != bucket_count_; ++b) {
      for (unsigned i = 0; i != width; ++i) {
        if (buckets_[b].tags[i] != 0) f(buckets_[b].ids[i]);
      }
      buckets_[b].tags = {};
      buckets_[b].passed = 0;
    }
    size_ = 0;
  }

 private:
  static std::uint32_t lower(std::uint64_t hash) noexcept { return static_cast<std::uint32_t>(hash); }
  static std::uint8_t tag_of(std::uint64_t hash) noexcept {
    auto const tag = static_cast<std::uint8_t>(hash >> 32);
    return tag == 0 ? std::uint8_t{1} : tag;
  }
  std::size_t home(std::uint32_t hash) const noexcept {
    return static_cast<std::size_t>((std::uint64_t{hash} * bucket_count_) >> 32);
  }
  std::size_t after(std::size_t b) const noexcept { return b + 1 == bucket_count_ ? 0 : b + 1; }

  /// The high bit of each byte of `word` that equals `tag`, exactly (no carry crosses a byte).
  static std::uint64_t equal_bytes(std::uint64_t word, std::uint8_t tag) noexcept {
    constexpr std::uint64_t low_seven = 0x7F7F'7F7F'7F7F'7F7Fu;
    std::uint64_t const x = word ^ (0x0101'0101'0101'0101u * tag);
    return ~(((x & low_seven) + low_seven) | x | low_seven);
  }
  template <class Word>
  static std::uint64_t load(std::uint8_t const* from) noexcept {
    Word word;
    std::memcpy(&word, from, sizeof word);
    if constexpr (std::endian::native == std::endian::big) {
      word = sizeof word == 8 ? static_cast<Word>(__builtin_bswap64(word))
                              : static_cast<Word>(__builtin_bswap32(static_cast<std::uint32_t>(word)));
    }
    return word;
  }
  static std::uint64_t low_matches(bucket const& b, std::uint8_t tag) noexcept {
    return equal_bytes(load<std::uint64_t>(b.tags.data()), tag);
  }
  static std::uint64_t high_matches(bucket const& b, std::uint8_t tag) noexcept {
    return equal_bytes(load<std::uint32_t>(b.tags.data() + 8), tag) & 0x8080'8080u;
  }
  static unsigned lane(std::uint64_t matches) noexcept {
    return static_cast<unsigned>(std::countr_zero(matches)) / 8;
  }
  static unsigned position(bucket const& b, entry_id id) noexcept {
    unsigned at = 0;
    while (at != width && (b.tags[at] == 0 || b.ids[at] != id)) ++at;
    return at;
  }

  void put(std::uint32_t hash, std::uint8_t tag, entry_id id) noexcept {
    for (std::size_t b = home(hash);; b = after(b)) {
      bucket& here = buckets_[b];
      std::uint64_t const low = low_matches(here, 0);
      std::uint64_t const high = low != 0 ? 0 : high_matches(here, 0);
      if ((low | high) != 0) {
        unsigned const at = low != 0 ? lane(low) : 8 + lane(high);
        here.tags[at] = tag;
        here.ids[at] = id;
        return;
      }
      ++here.passed;
    }
  }

  template <class HashOf>
  TIDEOVER_COLD void grow(std::size_t n, HashOf hash_of) {
    std::size_t const wanted = (n + fill - 1) / fill;
    if (wanted > 0xFFFF'FFFFu) fail();
    bucket* const fresh = traits::allocate(allocator_, wanted);
    std::uninitialized_default_construct_n(fresh, wanted);
    bucket* const old = buckets_;
    std::size_t const old_count = bucket_count_;
    buckets_ = fresh;
    bucket_count_ = wanted;
    room_ = wanted * fill;
    for (std::size_t b = 0; b != old_count; ++b) {
      for (unsigned i = 0; i != width; ++i) {
        if (old[b].tags[i] != 0) put(hash_of(old[b].ids[i]), old[b].tags[i], old[b].ids[i]);
      }
    }
    free(old, old_count);
  }
  [[noreturn]] static void fail() {
#if TIDEOVER_EXCEPTIONS
    throw std::bad_alloc();
#else
    std::abort();
#endif
  }
  void free(bucket* buckets, std::size_t n) noexcept {
    if (buckets != nullptr) traits::deallocate(allocator_, buckets, n);
  }

  bucket* buckets_ = nullptr;
  std::size_t bucket_count_ = 0;
  std::size_t room_ = 0;  // entries that fit before the next growth
  std::size_t size_ = 0;
  [[no_unique_address]] bucket_allocator allocator_;
};

}  // namespace tideover::inline v0::detail
