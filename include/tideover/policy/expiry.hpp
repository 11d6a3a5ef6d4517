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
/// this entry: of the put, else what the policy's own `life(key, value)` gives, else of the options; jitter
/// included, above zero.
namespace tideover::inline v0 {

/// A policy that takes two lives: one since the write, and `idle`, `idle_ttl` of the options, since the last
/// use.
template <class E>
concept idle_expiry_policy = requires(E const& e, typename E::hook& hook, instant now,
                                      std::chrono::nanoseconds life, std::chrono::nanoseconds idle) {
  { e.on_write(hook, now, life, idle) }
  noexcept;
};

/// A policy that gives each entry a life of its own, from its key and value: zero or less is dead on arrival.
/// Asked outside of every lock, from many threads at once; it may throw.
template <class E, class Key, class Value>
concept life_giving_policy = requires(E const& e, Key const& key, Value const& value) {
  { e.life(key, value) } -> std::convertible_to<std::chrono::nanoseconds>;
};

/// `on_write(hook, now, life)`: the entry was inserted or its value replaced. `on_hit(hook, now)`: it was
/// read, and had not expired. `deadline(hook)`: it is expired from this instant on; `instant::max()` is
/// never. A hit may move the deadline later, not earlier. `expires` is false if nothing ever does. Nothing
/// of these throws.
///
/// Optional: `hits_need_no_lock = true`, a promise: `on_hit` does nothing. Then entries may be read without
/// the shard's lock.
template <class E>
concept expiry_policy =
    policy<E> && std::same_as<typename E::policy_axis, axis::expiry> &&
    std::is_nothrow_default_constructible_v<typename E::hook> &&
    std::is_trivially_destructible_v<typename E::hook> &&
    (idle_expiry_policy<E> ||
     requires(E const& e, typename E::hook& hook, instant now, std::chrono::nanoseconds life) {
       { e.on_write(hook, now, life) }
       noexcept;
     }) &&
    requires(E const& e, typename E::hook& hook, typename E::hook const& read, instant now) {
  { e.on_hit(hook, now) }
  noexcept;
  { e.deadline(read) }
  noexcept->std::same_as<instant>;
  { E::expires } -> std::convertible_to<bool>;
};

}  // namespace tideover::inline v0
