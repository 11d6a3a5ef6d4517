// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>
#include <functional>
#include <type_traits>
#include <utility>

/// The ordering axis: which items must reach the sink in the order in which they were accepted; and the
/// deduplication axis: which of them are the same.
namespace tideover::inline v0 {

template <class O, class Item>
concept ordering_policy = policy<O> && std::same_as<typename O::policy_axis, axis::ordering> && requires {
  { O::has_keys } -> std::convertible_to<bool>;
};

/// Batches are begun in the order in which they were sealed; with more than one in flight, or a retry, they
/// may end in another.
struct unordered {
  using policy_axis = axis::ordering;
  static constexpr bool has_keys = false;
};

/// Each key `F(item)` has batches of its own, at most one of them in flight, the next one after it is
/// settled; keys take turns. A key has a default constructor, copies, == and a std::hash. `F` runs outside of
/// every lock.
template <class F>
class keyed {
 public:
  using policy_axis = axis::ordering;
  static constexpr bool has_keys = true;

  keyed() requires std::is_default_constructible_v<F>
  = default;
  explicit keyed(F f) : f_(std::move(f)) {}

  template <class Item>
  auto operator()(Item const& item) const {
    return std::invoke(f_, item);
  }

 private:
  [[no_unique_address]] F f_{};
};

template <class D>
concept deduplication_policy =
    policy<D> && std::same_as<typename D::policy_axis, axis::deduplication> && requires {
  { D::finds_equals } -> std::convertible_to<bool>;
};

/// Each item is itself.
struct keep_duplicates {
  using policy_axis = axis::deduplication;
  static constexpr bool finds_equals = false;
};

/// Items of one key `F(item)` in one open batch share a place: the newest is the one that is sent, and all of
/// them have its outcome. To be accepted each needs room of its own. A key has a default constructor, copies,
/// == and a std::hash. `F` runs outside of every lock.
template <class F>
class dedupe_by {
 public:
  using policy_axis = axis::deduplication;
  static constexpr bool finds_equals = true;

  dedupe_by() requires std::is_default_constructible_v<F>
  = default;
  explicit dedupe_by(F f) : f_(std::move(f)) {}

  template <class Item>
  auto operator()(Item const& item) const {
    return std::invoke(f_, item);
  }

 private:
  [[no_unique_address]] F f_{};
};

}  // namespace tideover::inline v0
