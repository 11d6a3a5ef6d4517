// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/streams.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

/// What the caches hold: a kind of key and value, made of the rank of the key.
namespace bench {

struct numbers {
  using key = std::uint64_t;
  using value = std::array<std::uint64_t, 8>;
  static constexpr char const* name = "numbers";
  static constexpr char const* what = "8-byte keys, 64-byte values";

  static key key_of(std::uint64_t rank) { return scrambled(rank); }
  static value value_of(key k) { return {k, k + 1, k + 2, k + 3, k, k, k, k}; }
  /// Something that depends on the value having been read.
  static std::uint64_t look(value const& v) { return v[1]; }
};

struct texts {
  using key = std::string;
  using value = std::string;
  static constexpr char const* name = "texts";
  static constexpr char const* what = "std::string keys of 16 to 21 characters, std::string values of 100";

  /// "user:" and the rank, with as many zeros before it as make 11 to 16 digits.
  static key key_of(std::uint64_t rank) { return fmt::format("user:{:0{}}", rank, 11 + rank % 6); }
  static value value_of(key const& k) {
    value made(100, '.');
    std::ranges::copy(k, made.begin());
    return made;
  }
  static std::uint64_t look(value const& v) { return static_cast<unsigned char>(v[v.size() / 2]); }
};

}  // namespace bench
