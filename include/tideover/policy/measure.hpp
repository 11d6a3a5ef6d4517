// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>

/// The measure axis: how many bytes an item counts for.
namespace tideover::inline v0 {

/// `m(item)`: its bytes. Asked once for each item, outside of every lock, from many threads at once; what it
/// throws passes through and nothing has changed. `M::always<Item>`: all items count for the same.
template <class M, class Item>
concept measure_policy = policy<M> && std::same_as<typename M::policy_axis, axis::measure> &&
    requires(M const& m, Item const& item) {
  { m(item) } -> std::convertible_to<std::size_t>;
  { M::template always<Item> } -> std::convertible_to<bool>;
};

/// `sizeof` the item, and of a string, vector or their like that it is, the elements.
struct own_bytes {
  using policy_axis = axis::measure;

  template <class Item>
  static constexpr bool has_elements = requires(Item const& i) {
    { i.size() } -> std::convertible_to<std::size_t>;
    *i.data();
  };
  template <class Item>
  static constexpr bool always = !has_elements<Item>;

  template <class Item>
  constexpr std::size_t operator()(Item const& item) const noexcept {
    if constexpr (has_elements<Item>) {
      return sizeof(Item) + item.size() * sizeof(*item.data());
    } else {
      return sizeof(Item);
    }
  }
};

/// `F(item)` says.
template <class F>
class measure_by {
 public:
  using policy_axis = axis::measure;
  template <class>
  static constexpr bool always = false;

  measure_by() requires std::is_default_constructible_v<F>
  = default;
  explicit measure_by(F f) : f_(std::move(f)) {}

  template <class Item>
  requires std::is_invocable_v<F const&, Item const&> std::size_t operator()(Item const& item) const {
    return static_cast<std::size_t>(std::invoke(f_, item));
  }

 private:
  [[no_unique_address]] F f_{};
};

}  // namespace tideover::inline v0
