// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>

/// The weigher axis: what an entry counts for against a component's bound.
namespace tideover::inline v0 {

/// A weigher answers for a key and a value; see `count` and `weigh_by`. `weighs` is false when every entry
/// counts for one: then the bound is `capacity`, else `max_weight`.
template <class W, class Key, class Value>
concept weigher_policy = policy<W> && std::same_as<typename W::policy_axis, axis::weigher> &&
    requires(W const& w, Key const& key, Value const& value) {
  { w(key, value) } -> std::convertible_to<std::size_t>;
  { W::weighs } -> std::convertible_to<bool>;
};

/// Every entry counts for one.
struct count {
  using policy_axis = axis::weigher;
  static constexpr bool weighs = false;
  template <class Key, class Value>
  constexpr std::size_t operator()(Key const&, Value const&) const noexcept {
    return 1;
  }
};

/// An entry weighs `F(key, value)`, in any unit: bytes, rows, cents. It is asked once for each put, outside
/// of every lock, from many threads at once; what it throws passes through and nothing is stored. A weight of
/// zero is never a reason to evict.
///
///     tideover::weigh_by bytes([](std::string const& k, std::string const& v) { return k.size() + v.size();
///     }); tideover::ttl_cache<std::string, std::string, decltype(bytes)> cache({.max_weight = 64 << 20},
///     bytes);
template <class F>
class weigh_by {
 public:
  using policy_axis = axis::weigher;
  static constexpr bool weighs = true;

  weigh_by() requires std::is_default_constructible_v<F>
  = default;
  explicit weigh_by(F f) : f_(std::move(f)) {}

  template <class Key, class Value>
  requires std::is_invocable_v<F const&, Key const&, Value const&> std::size_t operator()(
      Key const& key, Value const& value) const {
    return static_cast<std::size_t>(std::invoke(f_, key, value));
  }
  /// What a key weighs under which nothing is (see `negative_results`), if `F` can say it.
  template <class Key>
  requires std::is_invocable_v<F const&, Key const&> std::size_t operator()(Key const& key) const {
    return static_cast<std::size_t>(std::invoke(f_, key));
  }

 private:
  [[no_unique_address]] F f_{};
};

}  // namespace tideover::inline v0
