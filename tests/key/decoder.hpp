// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "key/tree.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Reads a key back, by the grammar alone: nothing here knows how keys are written. What can be read back is
/// injective. It refuses whatever a key never is, so that a key has exactly one spelling.
namespace tideover_test {

struct decoded_key {
  std::optional<tree> tag;
  std::string name_space;
  std::optional<std::uint64_t> generation;
  std::vector<tree> segments;
  std::vector<std::pair<std::string, tree>> params;
  std::optional<std::string> digest;  // stands for segments and params
  std::uint64_t version = 0;

  friend bool operator==(decoded_key const&, decoded_key const&) = default;
};

struct decoding_failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace decoding {

[[noreturn]] inline void fail(std::string const& what, std::string_view where) {
  throw decoding_failed(what + " in '" + std::string(where) + "'");
}

inline std::uint64_t number(std::string_view text) {
  if (text.empty()) fail("no digits", text);
  if (text.size() > 1 && text[0] == '0') fail("a leading zero", text);
  std::uint64_t n = 0;
  for (char const c : text) {
    if (c < '0' || c > '9') fail("not a digit", text);
    auto const digit = static_cast<std::uint64_t>(c - '0');
    if (n > (std::numeric_limits<std::uint64_t>::max() - digit) / 10) fail("too large a number", text);
    n = n * 10 + digit;
  }
  return n;
}

inline unsigned hex_digit(char c, std::string_view where) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
  fail("not an upper-case hexadecimal digit", where);
}

/// Data: bytes as themselves if they may be, else %XX; all of `text`.
inline std::string data(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_plain(text[i])) {
      bytes += text[i];
    } else if (text[i] == '%') {
      if (text.size() - i < 3) fail("a cut escape", text);
      auto const byte = static_cast<char>(hex_digit(text[i + 1], text) * 16 + hex_digit(text[i + 2], text));
      if (is_plain(byte)) fail("an escape of what needs none", text);
      bytes += byte;
      i += 2;
    } else {
      fail("a raw byte that data never holds", text);
    }
  }
  return bytes;
}

inline std::string digest_digits(std::string_view text) {
  if (text.size() != 32) fail("not 32 digits", text);
  for (char const c : text) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) fail("not a digit of a digest", text);
  }
  return std::string(text);
}

/// A value within `text` from `at` on; `at` is behind it then.
inline tree value(std::string_view text, std::size_t& at) {
  if (at < text.size() && text[at] == '~') {
    ++at;
    return {};
  }
  if (at < text.size() && text[at] == '(') {
    ++at;
    std::vector<tree> items;
    while (true) {
      if (at == text.size()) fail("a list without an end", text);
      if (text[at] == ')') break;
      items.push_back(value(text, at));
      if (at == text.size() || text[at] != ',') fail("no comma behind an item", text);
      ++at;
    }
    ++at;
    return tree::list(std::move(items));
  }
  std::size_t const begin = at;
  while (at < text.size() && text[at] != ',' && text[at] != ')') ++at;
  return tree::of(data(text.substr(begin, at - begin)));
}

inline tree whole_value(std::string_view text) {
  std::size_t at = 0;
  tree read = value(text, at);
  if (at != text.size()) fail("something behind a value", text);
  return read;
}

inline void name_space(decoded_key& key, std::string_view text) {
  if (std::size_t const at = text.find('@'); at != text.npos) {
    key.generation = number(text.substr(at + 1));
    text = text.substr(0, at);
  }
  if (text.empty() || text.size() > 64) fail("a namespace that is not 1 to 64 bytes", text);
  for (char const c : text) {
    if (!is_plain(c)) fail("a byte that no namespace has", text);
  }
  key.name_space = text;
}

}  // namespace decoding

/// What `text` says, or `decoding_failed`.
inline decoded_key decode(std::string_view text, std::size_t max_length = 200) {
  using namespace decoding;
  decoded_key key;
  std::string_view rest = text;
  if (rest.starts_with('{')) {
    std::size_t const end = rest.find("}:");
    if (end == rest.npos) fail("a tag without an end", text);
    if (end == 1) fail("an empty tag", text);
    key.tag = whole_value(rest.substr(1, end - 1));
    rest.remove_prefix(end + 2);
  }
  std::vector<std::string_view> parts;
  while (true) {
    std::size_t const colon = rest.find(':');
    parts.push_back(rest.substr(0, colon));
    if (colon == rest.npos) break;
    rest.remove_prefix(colon + 1);
  }
  name_space(key, parts.front());
  if (parts.size() < 2 || !parts.back().starts_with('v')) fail("no version", text);
  key.version = number(parts.back().substr(1));
  for (std::size_t i = 1; i + 1 < parts.size(); ++i) {
    std::string_view const part = parts[i];
    if (part.starts_with("~h")) {
      if (parts.size() != 3) fail("a digest that does not stand alone", text);
      key.digest = digest_digits(part.substr(2));
    } else if (std::size_t const is = part.find('='); is != part.npos) {
      std::string name = data(part.substr(0, is));
      std::string_view const said = part.substr(is + 1);
      if (!key.params.empty() && !(key.params.back().first < name)) fail("names out of order", text);
      key.params.emplace_back(std::move(name), said.starts_with("~p")
                                                   ? tree::secret(digest_digits(said.substr(2)))
                                                   : whole_value(said));
    } else {
      if (!key.params.empty()) fail("a segment behind a parameter", text);
      key.segments.push_back(whole_value(part));
    }
  }
  if (text.size() > (key.digest ? 250 : max_length)) fail("too long", text);
  return key;
}

}  // namespace tideover_test
