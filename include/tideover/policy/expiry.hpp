// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/instant.hpp>
#include <tideover/policy/policy.hpp>

#include <chrono>
#include <concepts>
#include <type_traits>

/// The expiry axis: when an entry's time is up. Stock policies live in policy/expiry/.
///
/// A cache keeps in each entry a `hook` that belongs to the expiry policy. A policy says when the entry
/// expires; testing that on the read path and freeing what expired is the cache's work. `life` is the TTL of
/// this entry: of the put, else of the options, jitter included, above zero.
namespace tideover::inline v0 {

/// `on_write(hook, now, life)`: the entry was inserted or its value replaced. `on_hit(hook, now)`: it was
/// read, and had not expired. `deadline(hook)`: it is expired from this instant on; `instant::max()` is
/// never. A hit may move the deadline later, not earlier. `expires` is false if nothing ever does. Nothing
/// throws.
template <class E>
concept expiry_policy = policy<E> && std::same_as<typename E::policy_axis, axis::expiry> &&
    std::is_nothrow_default_constructible_v<typename E::hook> &&
    std::is_trivially_destructible_v<typename E::hook> &&
    requires(E const& e, typename E::hook& hook, typename E::hook const& read, instant now,
             std::chrono::nanoseconds life) {
  { e.on_write(hook, now, life) }
  noexcept;
  { e.on_hit(hook, now) }
  noexcept;
  { e.deadline(read) }
  noexcept->std::same_as<instant>;
  { E::expires } -> std::convertible_to<bool>;
};

}  // namespace tideover::inline v0
