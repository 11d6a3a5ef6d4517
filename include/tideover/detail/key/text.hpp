// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/cache_key_options.hpp>
#include <tideover/detail/key/buffer.hpp>
#include <tideover/detail/key/writer.hpp>
#include <tideover/policy/digest.hpp>
#include <tideover/policy/hashing.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace tideover::inline v0::detail {

inline constexpr std::size_t max_namespace = 64;
inline constexpr std::size_t max_tag = 100;  // escaped
// {tag}: ns @generation; with a digest (35) and the longest version (22) it fits into memcached's 250 bytes.
inline constexpr std::size_t max_head = max_tag + 3 + max_namespace + 21;
static_assert(max_head + 35 + 22 <= 250);

constexpr bool is_namespace(std::string_view text) noexcept {
  if (text.empty() || text.size() > max_namespace) return false;
  for (char const c : text) {
    if (!is_raw(c)) return false;
  }
  return true;
}

/// Less, equal or greater than 0 as the name of a parameter, as it stands in a key, is to a name as it was
/// given.
inline int compare_name(std::string_view escaped, std::string_view name) noexcept {
  char const* p = escaped.data();
  char const* const end = p + escaped.size();
  for (char const c : name) {
    if (p == end) return -1;
    int const difference = static_cast<unsigned char>(unescape_byte(p)) - static_cast<unsigned char>(c);
    if (difference != 0) return difference;
  }
  return p == end ? 0 : 1;
}

/// The text of a key and where its parts begin:
///
///     {tag}:ns@generation  :segment:segment  :name=value:name=value  :vN
///     0                    head              params                  body   full
///
/// It is whole after every change, so a key can be read at any time, by several threads. When another text
/// stands for it (a digest of a long one; the form of old stores), that one follows in the same buffer.
struct key_parts {
  std::uint64_t check = 0;   // of the full text, when a digest stands for it
  std::uint32_t params = 0;  // where they begin, and so on
  std::uint32_t body = 0;
  std::uint32_t full = 0;  // 0: only the text that stands for it was kept
  std::uint8_t head = 0;   // at most `max_head`
  std::uint8_t max_length = 0;
  bool seed_compatible = false;
  std::uint8_t last_param = 0;  // where the last parameter begins, if that is known; 0: it is not
};

struct key_text : key_parts {
  key_buffer bytes;

  key_text() = default;
  key_text(key_text const&) = default;
  key_text& operator=(key_text const&) = default;
  key_text(key_text&& other) noexcept : key_parts(other), bytes(std::move(other.bytes)) { other.is_gone(); }
  key_text& operator=(key_text&& other) noexcept {
    key_parts::operator=(other);
    bytes = std::move(other.bytes);
    if (this != &other) other.is_gone();
    return *this;
  }
  ~key_text() = default;

  bool replaced() const noexcept { return full != bytes.size(); }
  bool kept_whole() const noexcept { return full != 0; }
  std::string_view view() const noexcept {
    std::size_t const begin = replaced() ? full : 0;
    return {bytes.data() + begin, bytes.size() - begin};
  }
  std::string_view full_text() const noexcept { return {bytes.data(), full}; }
  std::string_view version_suffix() const noexcept { return full_text().substr(body); }

  void set_parts(std::size_t new_head, std::size_t new_params, std::size_t new_body,
                 std::size_t new_full) noexcept {
    head = static_cast<std::uint8_t>(new_head);
    params = static_cast<std::uint32_t>(new_params);
    body = static_cast<std::uint32_t>(new_body);
    full = static_cast<std::uint32_t>(new_full);
  }

  /// Where the parameter `name` belongs: its place, and whether it is there already.
  std::pair<std::size_t, bool> find_param(std::string_view name) const noexcept {
    char const* const text = bytes.data();
    std::size_t at = params;
    while (at != body) {
      std::string_view const rest(text + at + 1, body - at - 1);
      std::size_t const size = std::min(rest.find(':'), rest.size());
      int const order = compare_name(rest.substr(0, std::min(rest.find('='), size)), name);
      if (order >= 0) return {at, order == 0};
      at += 1 + size;
    }
    return {at, false};
  }

  /// Whether a parameter `name` would be the last one, as far as that is known without a search.
  bool belongs_last(std::string_view name) const noexcept {
    if (params == body) return true;
    if (last_param == 0) return false;
    std::string_view const last(bytes.data() + last_param + 1, body - last_param - 1u);
    return compare_name(last.substr(0, last.find('=')), name) < 0;
  }
  /// Lets `fill(char* out)` write a part before the version, in its place and not behind it: it returns where
  /// it has ended, at most `room` bytes on, or nullptr, and then nothing has changed. False if it does not go
  /// that way. What it reads must not stand in this text.
  template <class Fill>
  bool append_in_place(std::size_t room, Fill fill) noexcept {
    std::size_t const suffix = full - body;
    if (replaced() || seed_compatible || suffix > 8 || body + room + 8 > bytes.capacity()) return false;
    char* const at = bytes.data() + body;
    std::uint64_t version;
    std::memcpy(&version, at, 8);
    char* const end = fill(at);
    std::size_t const new_body = static_cast<std::size_t>((end == nullptr ? at : end) - bytes.data());
    if (end == nullptr || new_body + suffix > max_length) {
      std::memcpy(at, &version, 8);
      return false;
    }
    std::memcpy(end, &version, 8);
    body = static_cast<std::uint32_t>(new_body);
    full = static_cast<std::uint32_t>(new_body + suffix);
    bytes.resize(full);
    return true;
  }
  template <class Write>
  bool set_version_in_place(Write write) noexcept {
    if (replaced() || seed_compatible || body + 22u > std::min<std::size_t>(bytes.capacity(), max_length))
      return false;
    full = static_cast<std::uint32_t>(write(bytes.data() + body) - bytes.data());
    bytes.resize(full);
    return true;
  }
  bool holds(char const* p) const noexcept {
    return !std::less<>()(p, bytes.data()) && std::less<>()(p, bytes.data() + bytes.capacity());
  }

  /// After a move: if its bytes went, it has no parts either, and nothing can be added to it.
  void is_gone() noexcept {
    if (bytes.size() == 0) static_cast<key_parts&>(*this) = {};
  }
  std::string_view namespace_text() const noexcept {
    std::string_view ns(bytes.data(), head);
    if (std::size_t const tag = ns.find("}:"); tag != ns.npos) ns.remove_prefix(tag + 2);
    return ns.substr(0, ns.find('@'));
  }
};

/// What is put between two places of a text, and what that moves.
struct key_edit {
  std::size_t begin = 0;
  std::size_t end = 0;  // from begin to here it is replaced
  std::size_t head = 0;
  std::size_t params = 0;
  std::size_t body = 0;
};

inline void append_digest(key_buffer& out, digest128 const& digest) {
  std::array<char, 32> hex;
  for (std::size_t i = 0; i < 16; ++i) {
    hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
    hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
  }
  out.append({hex.data(), hex.size()});
}

/// The form of old stores: as the full text, but behind its head ':' for '=' and every byte as itself.
inline void append_seed_form(key_buffer& out, std::string_view full, std::size_t head) {
  std::string seed(full.substr(0, head));
  seed.reserve(full.size());
  char const* const end = full.data() + full.size();
  for (char const* p = full.data() + head; p != end;) {
    bool const separates = *p == '=';  // in data it would be escaped
    char const c = unescape_byte(p);
    seed += separates ? ':' : c;
  }
  out.append(seed);
}

/// 64 bits of the whole text, the same on every machine.
inline std::uint64_t check_of(std::string_view full) noexcept {
  return hash_detail::bytes(full, 0x7469'6465'6F76'6572u, 0x6361'6368'655F'6B65u);
}

/// The seed of all keys' hashes in this process: nobody outside can choose keys that collide.
inline std::uint64_t key_seed() {
  static std::uint64_t const seed = random_seed();
  return seed;
}

}  // namespace tideover::inline v0::detail
