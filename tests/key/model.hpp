// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "key/decoder.hpp"
#include "key/tree.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Writes keys as the contract says, slowly and obviously; nothing of the library is in it. The program must
/// be in the C locale: numbers come from printf.
namespace tideover_test {

inline std::string escaped(std::string_view bytes) {
  std::string out;
  for (char const c : bytes) {
    if (is_plain(c)) {
      out += c;
    } else {
      char hex[4];
      std::snprintf(hex, sizeof hex, "%%%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += hex;
    }
  }
  return out;
}

inline std::string encoded(tree const& value) {
  switch (value.is) {
    case tree::kind::null:
      return "~";
    case tree::kind::text:
      return escaped(value.text);
    case tree::kind::secret:
      return "~p" + value.text;
    case tree::kind::list:
      break;
  }
  std::string out = "(";
  for (tree const& item : value.items) out += encoded(item) + ',';
  return out + ')';
}

/// K3, floats: the fewest digits that read back as `x`, found by trying.
template <class Float>
std::string float_text(Float x) {
  auto const reads_back = [&](std::string const& text) {
    if constexpr (sizeof(Float) == sizeof(float)) {
      return std::strtof(text.c_str(), nullptr) == x;
    } else {
      return std::strtod(text.c_str(), nullptr) == x;
    }
  };
  if (x == 0) return "0";
  bool const negative = x < 0;
  if (negative) x = -x;

  std::string digits;
  int exponent = 0;
  for (int n = 1; n <= 17 && digits.empty(); ++n) {
    char rounded[64];
    std::snprintf(rounded, sizeof rounded, "%.*e", n - 1, static_cast<double>(x));
    std::string whole;
    for (char const* p = rounded; *p != 'e'; ++p) {
      if (*p != '.') whole += *p;
    }
    int const e = std::atoi(std::strchr(rounded, 'e') + 1) - (n - 1);
    auto const number = std::strtoull(whole.c_str(), nullptr, 10);
    // The nearest number of n digits first. Where the gaps to both sides differ (at powers of two) only the
    // one beside it may read back.
    for (unsigned long long const candidate : {number, number + 1, number - 1}) {
      std::string const candidate_digits = std::to_string(candidate);
      if (candidate == 0 || !reads_back(candidate_digits + 'e' + std::to_string(e))) continue;
      digits = candidate_digits;
      exponent = e + static_cast<int>(digits.size()) - 1;
      break;
    }
  }
  while (digits.size() > 1 && digits.back() == '0') digits.pop_back();

  auto const size = static_cast<int>(digits.size());
  std::string out = negative ? "-" : "";
  if (exponent > -7 && exponent < 21) {
    if (exponent < 0) return out + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
    if (exponent >= size - 1)
      return out + digits + std::string(static_cast<std::size_t>(exponent - size + 1), '0');
    auto const point = static_cast<std::size_t>(exponent + 1);
    return out + digits.substr(0, point) + '.' + digits.substr(point);
  }
  out += digits[0];
  if (size > 1) out += '.' + digits.substr(1);
  return out + 'e' + std::to_string(exponent);
}

/// A key as the list of what was asked for.
struct key_model {
  std::optional<tree> tag = {};
  std::string name_space = "n";
  std::optional<std::uint64_t> generation = {};
  std::vector<tree> segments = {};
  std::map<std::string, tree> params = {};  // sorted as unsigned bytes: that is how std::string compares
  std::uint64_t version = 1;

  std::string head() const {
    return (tag ? '{' + encoded(*tag) + "}:" : std::string()) + name_space +
           (generation ? '@' + std::to_string(*generation) : std::string());
  }
  std::string suffix() const { return ":v" + std::to_string(version); }
  std::string full() const {
    std::string out = head();
    for (tree const& value : segments) out += ':' + encoded(value);
    for (auto const& [name, value] : params) out += ':' + escaped(name) + '=' + encoded(value);
    return out + suffix();
  }
  /// The key; `digest` makes 32 hexadecimal digits of a text.
  template <class Digest>
  std::string text(Digest digest, std::size_t max_length = 200) const {
    std::string out = full();
    if (out.size() > max_length) out = head() + ":~h" + digest(out) + suffix();
    return out;
  }

  /// What a decoder must find in a key that is not too long.
  decoded_key meaning() const {
    return {tag, name_space, generation, segments, {params.begin(), params.end()}, {}, version};
  }
  /// One text for one input: two are equal only if the inputs are.
  std::string identity() const {
    std::string out = name_space + (generation ? '@' + std::to_string(*generation) : "-") + ' ' +
                      std::to_string(version) + ' ';
    if (tag) describe(out, *tag);
    out += '/' + std::to_string(segments.size()) + '/';
    for (tree const& value : segments) describe(out, value);
    for (auto const& [name, value] : params) {
      describe(out, tree::of(name));
      describe(out, value);
    }
    return out;
  }
};

}  // namespace tideover_test
