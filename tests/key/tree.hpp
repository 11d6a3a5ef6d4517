// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What a key is made of, as the tests see it, and nothing of the library.
namespace tideover_test {

/// A value: null, a text (of a number too), a list of values, or the digits of a secret's digest.
struct tree {
  enum class kind { null, text, list, secret };

  kind is = kind::null;
  std::string text;
  std::vector<tree> items;

  static tree of(std::string_view text) { return {kind::text, std::string(text), {}}; }
  static tree list(std::vector<tree> items) { return {kind::list, {}, std::move(items)}; }
  static tree secret(std::string_view digits) { return {kind::secret, std::string(digits), {}}; }

  friend bool operator==(tree const&, tree const&) = default;
};

/// One text for one tree, whatever is in it: sizes stand before what they measure, and nothing is escaped.
inline void describe(std::string& out, tree const& value) {
  out += "0tls"[static_cast<std::size_t>(value.is)];
  out += std::to_string(value.text.size()) + ',' + value.text + std::to_string(value.items.size()) + ',';
  for (tree const& item : value.items) describe(out, item);
}

inline bool is_plain(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == '-';
}

}  // namespace tideover_test
