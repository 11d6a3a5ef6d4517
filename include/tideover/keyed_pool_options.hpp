// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/connection_pool_options.hpp>
#include <tideover/deadline.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tideover::inline v0 {

/// What an operator tunes of a `keyed_pool`. Its constructor throws `error(errc::invalid_argument)`, naming
/// field, value and bounds, for anything outside of them.
struct keyed_pool_options {
  /// Of the pool of each key; `each.max_size` bounds one key. A key that reads as text is the pool's name,
  /// which events show. `each.min_size` is kept as far as there are places that nobody waits for.
  pool_options each = {};
  /// So many objects may there be of all keys together, those under way included; 1 or more.
  std::size_t max_total = 100;
  /// So many keys are known at once, 1 or more. For a new one the least recently used is forgotten that has
  /// no object and no caller; if there is none, the new one gets `errc::queue_full`.
  std::size_t max_keys = 10'000;
  /// A key without objects that nobody has asked for so long is forgotten at the next tick; 0 or more.
  std::chrono::nanoseconds forget_after = std::chrono::seconds(60);
  /// With threads of its own: so many connects at once, over all keys; 1 to 1,000.
  std::size_t max_connecting = 8;

  friend bool operator==(keyed_pool_options const&, keyed_pool_options const&) = default;
};

/// What is documented for common back-ends; copy one and change a field.
namespace presets::keyed_pool {
/// 100 connections to all hosts together, of which 20 to one host are kept alive for 30 s.
inline constexpr keyed_pool_options http{.each = presets::pool::http, .max_total = 100};
}  // namespace presets::keyed_pool

/// What a `keyed_pool` holds and has counted. Each key's part is of one instant; the keys are looked at one
/// after the other.
struct keyed_pool_stats {
  pool_stats all = {};          ///< of all keys, those included that have been forgotten
  std::size_t keys = 0;         ///< that are known
  std::size_t used = 0;         ///< places of `max_total` that are taken
  std::size_t hungry = 0;       ///< keys at which somebody waits for a place
  std::uint64_t evicted = 0;    ///< idle objects that were closed to make room for another key
  std::uint64_t forgotten = 0;  ///< keys
};

/// What makes the objects of a `keyed_pool`: as `connection_factory`, but that `connect(key, deadline)` is
/// told which key it is for. One factory serves all keys; it is called by several threads at once.
template <class F, class Key>
concept keyed_connection_factory = requires(F& f, Key const& key, deadline const& until) {
  typename F::connection;
  requires detail::makes_connection < std::remove_cvref_t<decltype(f.connect(key, until))>,
  typename F::connection > ;
}
&&std::is_object_v<typename F::connection>&& std::is_nothrow_destructible_v<typename F::connection>;

}  // namespace tideover::inline v0
