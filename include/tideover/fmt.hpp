// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/cache_key.hpp>

#include <string>
#include <type_traits>

#include <fmt/format.h>

/// fmt and this library (CMake component `fmt`): what fmt can format can stand in a key, and keys can be
/// logged. Include it before the first use of a type that becomes a key value by it.
namespace tideover::inline v0::detail {

/// As fmt::format("{}") writes it, which asks no locale.
template <class T>
  requires(fmt::is_formattable<T>::value)
struct key_text_from_bridge<T> {
  static std::string of(T const& value) { return fmt::format("{}", value); }
};

}  // namespace tideover::inline v0::detail

/// A key in a log shows its namespace and a hash, never its data: `log_text()`. To print the key, print
/// `view()`.
template <class... Policies>
struct fmt::formatter<tideover::basic_cache_key<Policies...>> : fmt::formatter<std::string> {
  template <class Context>
  auto format(tideover::basic_cache_key<Policies...> const& key, Context& context) const {
    return fmt::formatter<std::string>::format(key.log_text(), context);
  }
};
