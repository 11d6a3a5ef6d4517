// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "key/build.hpp"
#include "key/model.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Inputs made to confuse a writer of keys: separators, escapes, controls, prefixes of each other, and texts
/// that look like the parts of a key.
namespace tideover_test {

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same on every machine.
class random_numbers {
 public:
  explicit random_numbers(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E37'79B9'7F4A'7C15u);
    z = (z ^ (z >> 30)) * 0xBF58'476D'1CE4'E5B9u;
    z = (z ^ (z >> 27)) * 0x94D0'49BB'1331'11EBu;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }
  bool one_in(std::size_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

class model_maker {
 public:
  /// Random texts are shorter than `longest`, the others as they are listed.
  model_maker(std::uint64_t seed, std::size_t longest) : random_(seed), longest_(longest) {}

  random_numbers& random() { return random_; }

  std::string text() {
    using namespace std::string_view_literals;
    static constexpr std::array awkward{
        ""sv,    ":"sv,   "="sv,   "%"sv,     "~"sv,     "{"sv,    "}"sv,  ","sv,    "("sv,       ")"sv,
        "@"sv,   "\0"sv,  "\n"sv,  " "sv,     "\x7f"sv,  "\xff"sv, "a"sv,  "b"sv,    "aa"sv,      "a:"sv,
        ":a"sv,  "a=1"sv, "%3A"sv, "%3a"sv,   "%253A"sv, "%"sv,    "~h"sv, "~p"sv,   "v1"sv,      ":v1"sv,
        "v1:"sv, "()"sv,  "(,)"sv, "(a,)"sv,  "{a}"sv,   "{a}:"sv, "}:"sv, "@1"sv,   "n@1"sv,     "1"sv,
        "01"sv,  "-1"sv,  "1.0"sv, "true"sv,  "null"sv,  "A"sv,    "_"sv,  "."sv,    "-"sv,       "%7E"sv,
        "%00"sv, "a%"sv,  "%2"sv,  "a=1:b"sv, "1:b=2"sv, "/"sv,    "*"sv,  "\r\n"sv, "\xc3\xa9"sv};
    static constexpr std::string_view bytes = ":=%~{},()@ab01v.-_A \n";
    switch (random_.below(8)) {
      case 0: {
        std::string out;
        for (std::size_t n = random_.below(4); n != 0; --n) out += awkward[random_.below(awkward.size())];
        return out;
      }
      case 1: {
        std::string out;
        for (std::size_t n = random_.below(longest_); n != 0; --n) out += bytes[random_.below(bytes.size())];
        return out;
      }
      case 2: {
        std::string out;
        for (std::size_t n = random_.below(4); n != 0; --n) out += static_cast<char>(random_.below(256));
        return out;
      }
      default:
        return std::string(awkward[random_.below(awkward.size())]);
    }
  }
  tree flat() { return random_.one_in(6) ? tree{} : tree::of(text()); }
  tree value(bool may_be_secret = false) {
    if (may_be_secret && random_.one_in(16)) {
      std::string digits;
      for (int i = 0; i < 32; ++i) digits += "0123456789abcdef"[random_.below(random_.one_in(2) ? 2 : 16)];
      return tree::secret(digits);
    }
    if (!random_.one_in(4)) return flat();
    std::vector<tree> items;
    bool const nested = random_.one_in(3);
    for (std::size_t n = random_.below(3); n != 0; --n) {
      std::vector<tree> inner;
      for (std::size_t m = nested ? random_.below(3) : 0; m != 0; --m) inner.push_back(flat());
      items.push_back(nested ? tree::list(std::move(inner)) : flat());
    }
    return tree::list(std::move(items));
  }
  key_model model() {
    static constexpr std::array<std::string_view, 7> names{"n", "n", "n", "q", "n.a", "v1", "-"};
    key_model made;
    std::string_view const ns = names[random_.below(names.size())];
    made.name_space = ns;
    if (random_.one_in(6)) {
      tree tag = value();
      if (!(tag.is == tree::kind::text && tag.text.empty()) && encoded(tag).size() <= 100) made.tag = tag;
    }
    if (random_.one_in(6)) made.generation = random_.one_in(2) ? random_.below(3) : random_.next();
    if (random_.one_in(4)) made.version = random_.one_in(2) ? random_.below(4) : random_.next();
    for (std::size_t n = random_.below(4); n != 0; --n) made.segments.push_back(value());
    for (std::size_t n = random_.below(4); n != 0; --n) {
      std::string name = text();  // one after the other: what a compiler does first is its own affair
      made.params.insert_or_assign(std::move(name), value(true));
    }
    return made;
  }

  /// The model's steps in any order, segments in theirs.
  std::vector<step> shuffled_steps(key_model const& model) {
    std::vector<step> steps = steps_to(model);
    for (std::size_t i = steps.size(); i > 1; --i) std::swap(steps[i - 1], steps[random_.below(i)]);
    std::size_t next_segment = 0;
    for (step& s : steps) {
      if (s.is == step::verb::segment) s.which = next_segment++;
    }
    return steps;
  }

 private:
  random_numbers random_;
  std::size_t longest_;
};

}  // namespace tideover_test
