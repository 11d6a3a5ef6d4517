// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>
#include <string_view>

/// The normalization axis: which texts count as the same.
namespace tideover::inline v0 {

/// Gives a text the form that stands for all its equals: Unicode NFC, lower case. The result converts to a
/// std::string_view (return a std::string); what it throws passes through.
template <class N>
concept normalization_policy = policy<N> && std::same_as<typename N::policy_axis, axis::normalization> &&
    std::copy_constructible<N> && requires(N const& n, std::string_view text) {
  { n(text) } -> std::convertible_to<std::string_view>;
};

/// The default: texts are the same if their bytes are. Two Unicode forms of one word then make two keys: a
/// value that is stored twice, never a wrong one.
struct bytes_as_they_are {
  using policy_axis = axis::normalization;
  constexpr std::string_view operator()(std::string_view text) const noexcept { return text; }
};

}  // namespace tideover::inline v0
