// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/detail/key/buffer.hpp>

#include <array>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace tideover::inline v0::detail {

/// What was wrong with an input: what it was for, what it was, what it must be.
struct key_fault {
  std::string field;
  std::string value;
  std::string bounds;
};
using key_verdict = std::optional<key_fault>;

/// The bytes that stand for themselves. All others, the separators `: = % ~ { } , ( ) @` among them, become
/// %XX; that is why no data can look like structure.
inline constexpr std::array<bool, 256> stands_raw = [] {
  std::array<bool, 256> raw{};
  for (char const c : std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")) {
    raw[static_cast<unsigned char>(c)] = true;
  }
  return raw;
}();

constexpr bool is_raw(char c) noexcept { return stands_raw[static_cast<unsigned char>(c)]; }
constexpr char hex_digit(unsigned nibble) noexcept { return "0123456789ABCDEF"[nibble]; }

/// Writes one byte and returns where the next one goes; needs room for three.
constexpr char* escape_byte(char c, char* out) noexcept {
  if (is_raw(c)) {
    *out = c;
    return out + 1;
  }
  unsigned const byte = static_cast<unsigned char>(c);
  out[0] = '%';
  out[1] = hex_digit(byte >> 4);
  out[2] = hex_digit(byte & 15);
  return out + 3;
}

/// The beginning of a text, for a message: no byte of it can break a line or end the message.
inline std::string shown(std::string_view text) {
  std::string out;
  std::array<char, 3> bytes;
  for (char const c : text.substr(0, 100)) out.append(bytes.data(), escape_byte(c, bytes.data()));
  if (text.size() > 100) out += "...";
  return out;
}

/// The byte that stands at `*p` of an escaped text; moves `p` behind it.
constexpr char unescape_byte(char const*& p) noexcept {
  if (*p != '%') return *p++;
  constexpr auto nibble = [](char c) { return c <= '9' ? c - '0' : c - 'A' + 10; };
  int const byte = nibble(p[1]) * 16 + nibble(p[2]);
  p += 3;
  return static_cast<char>(byte);
}

/// A finite number as JavaScript lays it out (ECMA-262, Number::toString): the fewest digits that read back
/// as the same number, plain where the decimal exponent is above -7 and below 21, else as d.ddde-N. -0 is 0.
/// No locale has a say. Needs room for 32 characters.
template <std::floating_point F>
char* write_float(F number, char* out) noexcept {
  if (number == F{0}) {
    *out = '0';
    return out + 1;
  }
  std::array<char, 32> shortest;  // d.ddde+XX
  char const* const end =
      std::to_chars(shortest.data(), shortest.data() + shortest.size(), number, std::chars_format::scientific)
          .ptr;
  char const* p = shortest.data();
  if (*p == '-') *out++ = *p++;

  std::array<char, 24> digits;
  int count = 0;
  for (; *p != 'e'; ++p) {
    if (*p != '.') digits[static_cast<std::size_t>(count++)] = *p;
  }
  int exponent = 0;
  std::from_chars(p + (p[1] == '+' ? 2 : 1), end, exponent);

  auto const copy = [&](int from, int to) {
    std::memcpy(out, digits.data() + from, static_cast<std::size_t>(to - from));
    out += to - from;
  };
  auto const zeros = [&](int n) {
    std::memset(out, '0', static_cast<std::size_t>(n));
    out += n;
  };
  if (exponent <= -7 || exponent >= 21) {
    copy(0, 1);
    if (count > 1) {
      *out++ = '.';
      copy(1, count);
    }
    *out++ = 'e';
    return std::to_chars(out, out + 5, exponent).ptr;
  }
  if (exponent < 0) {
    *out++ = '0';
    *out++ = '.';
    zeros(-exponent - 1);
    copy(0, count);
  } else if (count <= exponent + 1) {
    copy(0, count);
    zeros(exponent + 1 - count);
  } else {
    copy(0, exponent + 1);
    *out++ = '.';
    copy(exponent + 1, count);
  }
  return out;
}

/// Writes a piece of a key into the room it is given and, when that is too small, into a buffer of its own:
/// what it reads may be a part of the very key, which must not move meanwhile. Bad input is kept as a fault:
/// the writer goes on, and who asked for the piece drops it.
class key_writer {
 public:
  key_writer(char* first, char* last) noexcept : first_(first), at_(first), end_(last) {}
  /// Into the room behind a text.
  explicit key_writer(key_buffer& behind) noexcept
      : key_writer(behind.data() + behind.size(), behind.data() + behind.capacity()) {}
  key_writer(key_writer const&) = delete;
  key_writer& operator=(key_writer const&) = delete;

  std::size_t size() const noexcept { return static_cast<std::size_t>(at_ - first_); }
  std::string_view written() const noexcept { return {first_, size()}; }

  void put(char c) {
    room(1);
    *at_++ = c;
  }
  void put(std::string_view text) {
    room(text.size());
    copy_short(at_, text.data(), text.size());
    at_ += text.size();
  }
  void escape(std::string_view text) {
    room(text.size());
    bool raw = true;
    for (std::size_t i = 0; i < text.size(); ++i) {  // all at once: most texts need no escape
      at_[i] = text[i];
      raw &= is_raw(text[i]);
    }
    if (!raw) return escape_bytes(text);
    at_ += text.size();
  }
  template <std::integral I>
  void number(I value) {
    room(std::numeric_limits<I>::digits10 + 2);
    at_ = std::to_chars(at_, end_, value).ptr;
  }
  template <std::floating_point F>
  void number(F value) {
    if (!std::isfinite(value))
      return refuse(std::isnan(value) ? "nan" : value < 0 ? "-inf" : "inf", "finite");
    room(32);
    at_ = write_float(value, at_);
  }
  TIDEOVER_COLD void refuse(std::string value, std::string bounds) {
    if (!fault) fault.emplace(key_fault{{}, std::move(value), std::move(bounds)});
  }

  key_verdict fault;

 private:
  void room(std::size_t n) {
    if (n > static_cast<std::size_t>(end_ - at_)) grow(n);
  }
  TIDEOVER_COLD void grow(std::size_t n) {
    std::size_t const so_far = size();
    if (first_ == own_.data()) {
      own_.reserve(so_far, n);
    } else {
      own_.reserve(0, so_far + n);
      std::memcpy(own_.data(), first_, so_far);
    }
    first_ = own_.data();
    at_ = first_ + so_far;
    end_ = first_ + own_.capacity();
  }
  TIDEOVER_COLD void escape_bytes(std::string_view text) {
    std::size_t size = 0;
    for (char const c : text) size += is_raw(c) ? 1u : 3u;
    room(size);
    for (char const c : text) at_ = escape_byte(c, at_);
  }

  char* first_;
  char* at_;
  char* end_;
  key_buffer own_;
};

}  // namespace tideover::inline v0::detail
