// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/ttl_cache_options.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

/// What a thing must offer so that guards and tiers can stand on it; docs/concepts.md has the tables.
namespace tideover::inline v0 {

/// Keeps values by key for a time. `get` gives a live value or nothing; `put` says whether it is stored, for
/// `put_options::ttl` if given; `erase` forgets, and says whether there was something if it returns a bool.
/// All three may be called from many threads, and may throw.
template <class S, class Key, class Value>
concept cache_store = requires(S& s, Key const& key, Value const& value, put_options const& o) {
  { s.get(key) } -> std::same_as<std::optional<Value>>;
  { s.put(key, value, o) } -> std::convertible_to<bool>;
  { s.put(key, value) } -> std::convertible_to<bool>;
  s.erase(key);
};

/// A store that answers for many keys in one round trip, in their order. Absent: it is asked key by key.
template <class S, class Key, class Value>
concept bulk_readable_store = cache_store<S, Key, Value> && requires(S& s, std::span<Key const> keys) {
  { s.get_many(keys) } -> std::same_as<std::vector<std::optional<Value>>>;
};

/// A store that can disown everything it holds at once. Absent: `generation` counts as 0 for ever.
template <class S>
concept generational_store = requires(S& s, S const& c) {
  { c.generation() } -> std::convertible_to<std::uint64_t>;
  s.new_generation();
};

/// A store that knows how long an entry has still to live. Absent: the envelope's own expiry decides alone.
template <class S, class Key>
concept life_aware_store = requires(S const& s, Key const& key) {
  { s.remaining_life(key) } -> std::same_as<std::optional<std::chrono::nanoseconds>>;
};

}  // namespace tideover::inline v0
