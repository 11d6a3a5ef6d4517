// SPDX-License-Identifier: BSL-1.0
#include "key/common.hpp"

#include <tideover/policy/normalization.hpp>

#include <cstdio>
#include <string>
#include <string_view>

namespace {

/// Lower case for ASCII letters: a normalization whose effect is seen at once.
struct lower_case {
  using policy_axis = tideover::axis::normalization;
  std::string operator()(std::string_view text) const {
    std::string out(text);
    for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return out;
  }
};

/// One with state, whose result is longer than what it was given.
struct prefixed {
  using policy_axis = tideover::axis::normalization;
  std::string with;
  std::string operator()(std::string_view text) const { return with + std::string(text); }
};

/// What a byte is in a key, from a table of its own: those 65 stand as they are.
std::string byte_text(int c) {
  static constexpr std::string_view raw = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  if (raw.find(static_cast<char>(c)) != raw.npos) return std::string(1, static_cast<char>(c));
  static constexpr std::string_view digits = "0123456789ABCDEF";
  return {'%', digits[static_cast<std::size_t>(c) / 16], digits[static_cast<std::size_t>(c) % 16]};
}

}  // namespace

TEST_CASE("K2: every byte, everywhere that data stands", "[K2]") {
  for (int c = 0; c < 256; ++c) {
    std::string const byte(1, static_cast<char>(c));
    std::string const text = byte_text(c);
    CHECK(cache_key("n").segment(byte).view() == "n:" + text + ":v1");
    CHECK(cache_key("n").segment(static_cast<char>(c)).view() == "n:" + text + ":v1");
    CHECK(cache_key("n").param("a", "x" + byte + "y").view() == "n:a=x" + text + "y:v1");
    CHECK(cache_key("n").param("x" + byte, 1).view() == "n:x" + text + "=1:v1");
    CHECK(cache_key("n").param(byte, byte).view() == "n:" + text + '=' + text + ":v1");
    CHECK(cache_key("n").tag(byte).view() == '{' + text + "}:n:v1");
    CHECK(cache_key("n").segment({byte, byte}).view() == "n:(" + text + ',' + text + ",):v1");
    CHECK(decode(cache_key("n").segment(byte).view()).segments == std::vector{tree::of(byte)});
  }
}

TEST_CASE("K2: all bytes in one text, at every length of the escape's end", "[K2]") {
  std::string all, expected;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c), expected += byte_text(c);
  using long_key = tideover::basic_cache_key<size_digest>;
  CHECK(long_key("n").segment(all).digested());
  for (std::size_t begin = 0; begin < 256; begin += 13) {
    for (std::size_t size = 0; size < 60 && begin + size <= 256; ++size) {
      key_model model;
      model.segments = {tree::of(std::string_view(all).substr(begin, size))};
      if (cache_key("n").segment(model.segments[0].text).view() != model.full()) FAIL_CHECK(model.full());
    }
  }
}

TEST_CASE("K2: escapes are upper case, and data that looks like one is escaped itself", "[K2]") {
  CHECK(cache_key("n").segment("\xab\xcd\xef").view() == "n:%AB%CD%EF:v1");
  CHECK(cache_key("n").segment("%41").view() == "n:%2541:v1");
  CHECK(cache_key("n").segment("A").view() == "n:A:v1");
  CHECK(cache_key("n").segment("%").segment("%%").view() == "n:%25:%25%25:v1");
}

TEST_CASE("K2: no Unicode normalization: two forms of a word are two keys", "[K2]") {
  cache_key const composed = cache_key("n").param("a", "caf\xc3\xa9");
  cache_key const decomposed = cache_key("n").param("a", "cafe\xcc\x81");
  CHECK(composed.view() == "n:a=caf%C3%A9:v1");
  CHECK(decomposed.view() == "n:a=cafe%CC%81:v1");
  CHECK(composed != decomposed);
  CHECK(cache_key("n").param("a", u8"caf\u00e9") == composed);
  CHECK(cache_key("n").segment("\xff\xfe\xc3").view() == "n:%FF%FE%C3:v1");  // no UTF-8, and no error
}

TEST_CASE("K2: a hook may add normalization", "[K2]") {
  using folded = tideover::basic_cache_key<lower_case>;
  CHECK(folded("n").segment("AbC").param("p", "X:Y").tag("T").view() == "{t}:n:abc:p=x%3Ay:v1");
  CHECK(folded("n").segment({"A", "b"}).segment(std::optional<std::string>("C")).segment('D').view() ==
        "n:(a,b,):c:d:v1");
  CHECK(folded("n").segment("ABC") == folded("n").segment("abc"));
  CHECK(folded("N").view() == "N:v1");  // the namespace is not data
  CHECK(folded("n").secret("s", "AB", size_digest()) == folded("n").secret("s", "ab", size_digest()));
  using schema = tideover::basic_key_schema<folded, "q", "a">;
  CHECK(schema{}("ABC").view() == "q:a=abc:v1");
}

TEST_CASE("K2: a normalization may have state, which goes with the key", "[K2]") {
  using key = tideover::basic_cache_key<prefixed>;
  std::string const long_prefix(40, ':');
  key one("n", {}, prefixed{long_prefix});
  key two = one;
  two.segment("x");
  CHECK(two.view() == cache_key("n").segment(long_prefix + 'x').view());
  key three("n", {}, prefixed{"other"});
  three = two;
  three.segment("y");
  key four = std::move(two);
  CHECK(three == four.segment("y"));
  one.segment(one.view());
  CHECK(one.view() == cache_key("n").segment(long_prefix + "n:v1").view());
}
