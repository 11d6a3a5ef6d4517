// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/error.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace tideover::inline v0::detail {

/// As std::memmove to a place at or before `from`, or apart from it. Keys are short: a call would cost more
/// than the copy.
inline void copy_short(char* to, char const* from, std::size_t n) noexcept {
  auto const step = [&]<class Word>(Word word) {
    std::memcpy(&word, from, sizeof word);
    std::memcpy(to, &word, sizeof word);
    to += sizeof word;
    from += sizeof word;
  };
  for (; n >= 8; n -= 8) step(std::uint64_t{});
  if (n & 4) step(std::uint32_t{});
  if (n & 2) step(std::uint16_t{});
  if (n & 1) *to = *from;
}

/// The bytes of a key: 120 within, more on the heap. Bytes behind `size()` may be written before they are
/// taken in, so that a piece that fails half-way leaves nothing behind.
class key_buffer {
 public:
  static constexpr std::size_t inline_capacity = 120;
  static constexpr std::size_t max_size = 0x7FFF'FFFF;

  key_buffer() noexcept {}
  explicit key_buffer(std::string_view text) { append(text); }
  key_buffer(key_buffer const& other) : key_buffer(other.view()) {}
  key_buffer(key_buffer&& other) noexcept { take(other); }
  key_buffer& operator=(key_buffer const& other) {
    if (this != &other) *this = key_buffer(other);
    return *this;
  }
  key_buffer& operator=(key_buffer&& other) noexcept {
    if (this == &other) return *this;
    if (on_heap()) delete[] heap_;
    take(other);
    return *this;
  }
  ~key_buffer() {
    if (on_heap()) delete[] heap_;
  }

  char* data() noexcept { return on_heap() ? heap_ : inline_; }
  char const* data() const noexcept { return on_heap() ? heap_ : inline_; }
  std::size_t size() const noexcept { return size_; }
  std::size_t capacity() const noexcept { return capacity_; }
  std::string_view view() const noexcept { return {data(), size_}; }

  /// At least `more` bytes after the first `used`, which stay as they are even beyond `size()`. Strong.
  void reserve(std::size_t used, std::size_t more) {
    if (more > capacity_ - used) grow(used, more);
  }
  /// `n` bytes, all written, are the text now.
  void resize(std::size_t n) noexcept { size_ = static_cast<std::uint32_t>(n); }
  void append(std::string_view text) {
    reserve(size_, text.size());
    copy_short(data() + size_, text.data(), text.size());
    resize(size_ + text.size());
  }

  /// Puts `piece` at `position`. Strong. It may stand behind the text, in this buffer's room, but not within
  /// it.
  void insert(std::size_t position, std::string_view piece) {
    if (piece.data() != data() + size_) {
      reserve(size_, piece.size());
      copy_short(data() + size_, piece.data(), piece.size());
    }
    char* const to = data() + position;
    char* const from = data() + size_;
    std::size_t const tail = size_ - position;
    std::array<char, 32> saved;
    if (tail <= saved.size()) {
      copy_short(saved.data(), to, tail);
      copy_short(to, from, piece.size());
      copy_short(to + piece.size(), saved.data(), tail);
    } else {
      std::rotate(to, from, from + piece.size());
    }
    resize(size_ + piece.size());
  }
  /// `piece`, which stands behind the text or elsewhere, becomes a part of it.
  void take_in(std::string_view piece) { insert(size_, piece); }

 private:
  bool on_heap() const noexcept { return capacity_ != inline_capacity; }

  /// For an object whose own text is gone. What it takes from is empty then, if that was on the heap.
  void take(key_buffer& other) noexcept {
    size_ = other.size_;
    capacity_ = other.capacity_;
    if (other.on_heap()) {
      heap_ = other.heap_;
      other.capacity_ = inline_capacity;
      other.size_ = 0;
    } else {
      std::memcpy(inline_, other.inline_, inline_capacity);  // so many bytes cost less than to count them
    }
  }

  TIDEOVER_COLD void grow(std::size_t used, std::size_t more) {
    if (more > max_size - used) {
      raise_out_of_bounds("cache_key (bytes)", std::to_string(used) + " + " + std::to_string(more),
                          "at most " + std::to_string(max_size));
    }
    std::size_t const capacity = std::min(std::max(std::size_t{capacity_} * 2, used + more), max_size);
    char* const bigger = new char[capacity];
    std::memcpy(bigger, data(), used);
    if (on_heap()) delete[] heap_;
    heap_ = bigger;
    capacity_ = static_cast<std::uint32_t>(capacity);
  }

  union {
    char inline_[inline_capacity];
    char* heap_;
  };
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = inline_capacity;
};

}  // namespace tideover::inline v0::detail
