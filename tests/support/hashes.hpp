// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

namespace tideover_test {

/// Sends all keys to very few hash values (one by default): lookups must then rest on equality alone.
template <std::size_t Values = 1>
struct colliding_hash {
  template <class Key>
  std::size_t operator()(Key const& key) const noexcept {
    return std::hash<Key>()(key) % Values;
  }
};

/// Hashes anything that reads as a string, with no string made of it. Use with `std::equal_to<>`.
struct transparent_hash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>()(text); }
};

}  // namespace tideover_test
