// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/result.hpp>

#include <optional>
#include <type_traits>

/// What a call gives back that computes what it misses, by what its function returns.
namespace tideover::inline v0::detail {

template <class F, class Key>
struct computation {
  using type = void;  // neither form: said in words where it is called
};
template <class F, class Key>
  requires std::is_invocable_v<F&, Key const&>
struct computation<F, Key> {
  using type = std::remove_cvref_t<std::invoke_result_t<F&, Key const&>>;
};
template <class F, class Key>
  requires(!std::is_invocable_v<F&, Key const&> && std::is_invocable_v<F&>)
struct computation<F, Key> {
  using type = std::remove_cvref_t<std::invoke_result_t<F&>>;
};

template <class Computed, class Value>
inline constexpr bool is_maybe =
    !std::is_same_v<Computed, Value> && (std::is_same_v<Computed, std::optional<Value>> ||
                                         std::is_same_v<Computed, result<std::optional<Value>>>);

/// Whether the function may say that there is nothing: it returns an optional of the value.
template <class F, class Key, class Value>
inline constexpr bool may_find_nothing =
    is_maybe<typename computation<std::remove_reference_t<F>, Key>::type, Value>;

/// What stands for `R` where there may be nothing.
template <class R>
struct or_nothing {
  using type = std::optional<std::remove_cvref_t<R>>;
};
template <>
struct or_nothing<void> {
  using type = bool;  // whether there was something
};

template <class F, class Key, class Value, class R>
using computed_answer = std::conditional_t<may_find_nothing<F, Key, Value>, typename or_nothing<R>::type, R>;

}  // namespace tideover::inline v0::detail
