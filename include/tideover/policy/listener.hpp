// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>
#include <functional>
#include <type_traits>
#include <utility>

/// The listener axis: who is told what leaves a component, or what happens to it.
namespace tideover::inline v0 {

/// Why an entry left: its time was up, room was needed, a put gave the key a new value, it was erased by name
/// or predicate, or everything was cleared.
enum class removal_cause : unsigned char { expired, evicted, replaced, erased, cleared };

constexpr char const* to_string(removal_cause cause) noexcept {
  switch (cause) {
    case removal_cause::expired:
      return "expired";
    case removal_cause::evicted:
      return "evicted";
    case removal_cause::replaced:
      return "replaced";
    case removal_cause::erased:
      return "erased";
    case removal_cause::cleared:
      return "cleared";
  }
  return "unknown";
}

/// A listener: told each removal exactly once, after it is visible, with no lock held, by the thread whose
/// call removed the entry; so calls may come from many threads at once, and may call the cache. What it
/// throws is swallowed and counted (`listener_failures`).
template <class L, class Key, class Value>
concept cache_listener = policy<L> && std::same_as<typename L::policy_axis, axis::listener> &&
    requires(L& l, Key const& key, Value const& value, removal_cause cause) {
  l.on_removal(key, value, cause);
};

/// Nobody is told; costs nothing.
struct silent {
  using policy_axis = axis::listener;
  template <class Key, class Value>
  constexpr void on_removal(Key const&, Value const&, removal_cause) const noexcept {}
  template <class Event>
  constexpr void on_event(Event const&) const noexcept {}
};

/// `F(key, value, cause)` is told of removals, `F(event)` by components that speak of other things.
template <class F>
class listen_by {
 public:
  using policy_axis = axis::listener;

  listen_by() requires std::is_default_constructible_v<F>
  = default;
  explicit listen_by(F f) : f_(std::move(f)) {}

  template <class Key, class Value>
    requires std::is_invocable_v<F&, Key const&, Value const&, removal_cause>
  void on_removal(Key const& key, Value const& value, removal_cause cause) {
    std::invoke(f_, key, value, cause);
  }
  template <class Event>
    requires std::is_invocable_v<F&, Event const&>
  void on_event(Event const& event) { std::invoke(f_, event); }

 private:
  [[no_unique_address]] F f_{};
};

}  // namespace tideover::inline v0
