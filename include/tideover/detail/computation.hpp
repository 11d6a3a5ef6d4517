// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <stop_token>
#include <type_traits>
#include <utility>

/// The forms that a user's function may have that computes what is under a key: `f(key, stop_token)`,
/// `f(key)` or `f()`; the first of them that it can be called by.
namespace tideover::inline v0::detail {

template <class F, class Key>
inline constexpr bool takes_stop_token = std::is_invocable_v<F&, Key const&, std::stop_token>;
template <class F, class Key>
inline constexpr bool takes_key = std::is_invocable_v<F&, Key const&>;
template <class F, class Key>
inline constexpr bool is_computation =
    takes_stop_token<F, Key> || takes_key<F, Key> || std::is_invocable_v<F&>;

/// `stop` is a stop_source, or stands for one.
template <class F, class Key, class Stop>
decltype(auto) call_computation(F& f, Key const& key, [[maybe_unused]] Stop const& stop) {
  if constexpr (takes_stop_token<F, Key>) {
    return std::invoke(f, key, stop.get_token());
  } else if constexpr (takes_key<F, Key>) {
    return std::invoke(f, key);
  } else {
    return std::invoke(f);
  }
}

/// What it returns, without reference and const.
template <class F, class Key>
using computed_by = std::remove_cvref_t<decltype(call_computation(
    std::declval<F&>(), std::declval<Key const&>(), std::declval<std::stop_source const&>()))>;

}  // namespace tideover::inline v0::detail
