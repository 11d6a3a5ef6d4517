// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "key/decoder.hpp"
#include "key/model.hpp"
#include "support/catch.hpp"

#include <tideover/cache_key.hpp>
#include <tideover/error.hpp>
#include <tideover/xxhash.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include <xxhash.h>

namespace tideover_test {

using namespace std::string_literals;
using namespace std::string_view_literals;
using tideover::cache_key;

/// XXH3 of 128 bits as `xxhsum -H2` prints it: the high half first.
inline std::string xxh3_digits(std::string_view text) {
  XXH128_hash_t const hash = XXH3_128bits(text.data(), text.size());
  char digits[33];
  std::snprintf(digits, sizeof digits, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return digits;
}

/// What the message of the error says; empty if `action` does not throw one.
template <class Action>
std::string refusal(Action action) {
  try {
    action();
  } catch (tideover::error const& e) {
    CHECK(e.code() == tideover::errc::invalid_argument);
    return e.what();
  }
  return {};
}

inline bool says(std::string const& text, std::string_view what) {
  return text.find(what) != std::string::npos;
}

/// A digest that is easy to foretell: the size of the text, in hexadecimal digits.
struct size_digest {
  using policy_axis = tideover::axis::digest;
  tideover::digest128 operator()(std::string_view text) const noexcept {
    tideover::digest128 made{};
    for (std::size_t i = 0; i < 8; ++i) made[15 - i] = static_cast<unsigned char>(text.size() >> (8 * i));
    return made;
  }
};

/// All that one sees of a key.
struct observed {
  std::string text;
  bool digested;
  std::uint64_t check;
  std::uint64_t hash;
  std::string name_space;

  template <class Key>
  explicit observed(Key const& key)
      : text(key.str()),
        digested(key.digested()),
        check(key.check()),
        hash(key.hash()),
        name_space(key.name_space()) {}
  friend bool operator==(observed const&, observed const&) = default;
};

}  // namespace tideover_test

using namespace tideover_test;
