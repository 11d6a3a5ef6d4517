// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

namespace tideover::inline v0 {

/// What holds for all keys of a kind. Out of bounds: `error(errc::invalid_argument)` with field, value and
/// bounds.
struct cache_key_options {
  /// A text of more bytes, 96 to 250, is replaced by its head and a digest of the whole. 250 is what
  /// memcached takes. Part of the key's meaning: all who share a store must agree on it.
  std::size_t max_length = 200;
  /// Writes `ns:name:value:...:vN` with values as they are, for stores that were filled by code that joined
  /// keys by hand. Different inputs then give different keys only if no name, segment or value holds a ':',
  /// and a key holds whatever they hold, spaces and control characters too, which memcached refuses.
  bool seed_compatible = false;
};

}  // namespace tideover::inline v0
