// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/detail/key/writer.hpp>
#include <tideover/policy/hashing.hpp>
#include <tideover/policy/normalization.hpp>

#include <charconv>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

/// How a C++ value becomes the text of a key. Which types can, and as what, is told at `key_value`.
namespace tideover::inline v0::detail {

/// Where a bridge says how types that this header does not know become text: by a static `of(value)`.
template <class T>
struct key_text_from_bridge;

// What a type is to a key. In the order in which `key_kind_of` asks.
enum class key_kind { none, custom, null, boolean, number, letter, text, maybe, tuple, list, bridged };

template <class T>
concept has_to_key = requires(T const& value) {
  to_key(value);
};

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

template <class T>
inline constexpr bool is_tuple = false;
template <class... T>
inline constexpr bool is_tuple<std::tuple<T...>> = true;
template <class A, class B>
inline constexpr bool is_tuple<std::pair<A, B>> = true;

template <class T>
inline constexpr bool is_wide_letter = std::is_same_v<T, wchar_t> || std::is_same_v<T, char8_t> ||
                                       std::is_same_v<T, char16_t> || std::is_same_v<T, char32_t>;

template <class T>
inline constexpr bool is_utf8_text = std::is_convertible_v<T const&, std::u8string_view>;

/// A hash table has no order of its own: two equal ones would make two keys.
template <class T>
concept without_order = requires {
  typename T::hasher;
};

/// The text of a key within a key would be escaped twice, or, by a bridge, be what logs show.
template <class T>
concept is_a_key = requires(T const& key) {
  key.log_text();
  key.stored();
};

template <class T>
concept iterable = requires(T const& range) {
  std::begin(range) != std::end(range);
  ++std::declval<decltype(std::begin(range))&>();
  *std::begin(range);
};

template <class T>
consteval key_kind key_kind_of() {
  if constexpr (has_to_key<T>) {
    return key_kind::custom;
  } else if constexpr (std::is_same_v<T, std::nullptr_t> || std::is_same_v<T, std::nullopt_t>) {
    return key_kind::null;
  } else if constexpr (std::is_same_v<T, bool>) {
    return key_kind::boolean;
  } else if constexpr (std::is_same_v<T, char>) {
    return key_kind::letter;
  } else if constexpr ((std::integral<T> && sizeof(T) <= 8 && !is_wide_letter<T>) ||
                       std::is_same_v<T, float> || std::is_same_v<T, double>) {
    return key_kind::number;
  } else if constexpr (std::is_convertible_v<T const&, std::string_view> || is_utf8_text<T>) {
    return key_kind::text;
  } else if constexpr (is_optional<T>) {
    return key_kind::maybe;
  } else if constexpr (is_tuple<T>) {
    return key_kind::tuple;
  } else if constexpr (iterable<T> && !without_order<T>) {
    return key_kind::list;
  } else if constexpr ((std::is_class_v<T> || std::is_enum_v<T>)&&!without_order<T> && !is_a_key<T> &&
                       requires { sizeof(key_text_from_bridge<T>); }) {
    return key_kind::bridged;
  } else {
    return key_kind::none;
  }
}

template <class T>
consteval bool is_key_value();

template <class T>
inline constexpr bool are_key_values = false;
template <template <class...> class Tuple, class... T>
inline constexpr bool are_key_values<Tuple<T...>> = (is_key_value<std::remove_cvref_t<T>>() && ...);

template <class T>
consteval bool is_key_value() {
  constexpr key_kind kind = key_kind_of<T>();
  if constexpr (kind == key_kind::custom) {
    using made = std::remove_cvref_t<decltype(to_key(std::declval<T const&>()))>;
    return !std::is_same_v<made, T> && is_key_value<made>();
  } else if constexpr (kind == key_kind::maybe) {
    return is_key_value<typename T::value_type>();
  } else if constexpr (kind == key_kind::tuple) {
    return are_key_values<T>;
  } else if constexpr (kind == key_kind::list) {
    using element = std::remove_cvref_t<decltype(*std::begin(std::declval<T const&>()))>;
    if constexpr (std::is_same_v<element, T>) {
      return false;  // a path is a range of paths
    } else if constexpr (requires { typename T::value_type; }) {
      return is_key_value<typename T::value_type>();
    } else {
      return is_key_value<element>();
    }
  } else {
    return kind != key_kind::none;
  }
}

/// An array of characters ends where it ends, or at a NUL in it.
template <class T>
std::string_view text_of(T const& value) {
  if constexpr (std::is_array_v<T>) {
    std::string_view const whole(reinterpret_cast<char const*>(value), std::extent_v<T>);
    return whole.substr(0, whole.find('\0'));
  } else if constexpr (is_utf8_text<T>) {
    std::u8string_view const text = value;
    return {reinterpret_cast<char const*>(text.data()), text.size()};
  } else {
    return value;
  }
}

template <class Normalization>
void write_text(key_writer& out, Normalization const& normalize, std::string_view text) {
  auto&& normal = normalize(text);
  out.escape(std::string_view(normal));
}

template <class Normalization, class T>
void write_value(key_writer& out, Normalization const& normalize, T const& value) {
  constexpr key_kind kind = key_kind_of<T>();
  if constexpr (kind == key_kind::custom) {
    auto&& made = to_key(value);
    write_value(out, normalize, static_cast<std::remove_cvref_t<decltype(made)> const&>(made));
  } else if constexpr (kind == key_kind::null) {
    out.put('~');
  } else if constexpr (kind == key_kind::boolean) {
    out.put(value ? std::string_view("true") : std::string_view("false"));
  } else if constexpr (kind == key_kind::number) {
    out.number(value);
  } else if constexpr (kind == key_kind::letter) {
    write_text(out, normalize, std::string_view(&value, 1));
  } else if constexpr (kind == key_kind::text) {
    if constexpr (std::is_pointer_v<T>) {
      if (value == nullptr) return out.refuse("a null pointer", "text (null is std::nullopt)");
    }
    write_text(out, normalize, text_of(value));
  } else if constexpr (kind == key_kind::maybe) {
    if (!value) return out.put('~');
    write_value(out, normalize, *value);
  } else if constexpr (kind == key_kind::tuple) {
    out.put('(');
    std::apply([&](auto const&... element) { ((write_value(out, normalize, element), out.put(',')), ...); },
               value);
    out.put(')');
  } else if constexpr (kind == key_kind::list) {
    out.put('(');
    for (auto&& element : value) {
      if constexpr (requires { typename T::value_type; }) {
        typename T::value_type const& one = element;  // vector<bool> hands out proxies
        write_value(out, normalize, one);
      } else {
        write_value(out, normalize, element);
      }
      out.put(',');
    }
    out.put(')');
  } else {
    write_text(out, normalize, key_text_from_bridge<T>::of(value));
  }
}

/// Text that can be had without running code of the user's and without being searched for its end.
template <class T>
inline constexpr bool is_plain_text = hash_detail::is_text<T> && !std::is_pointer_v<T>;

/// The most bytes that `write_plain` writes.
template <class T>
constexpr std::size_t plain_room([[maybe_unused]] T const& value) noexcept {
  if constexpr (is_plain_text<T>) {
    return text_of(value).size();
  } else {
    return 32;
  }
}

/// Texts as they are, up to the first byte that does not stand for itself: then nullptr.
inline char* write_raw(std::string_view text, char* out) noexcept {
  bool raw = true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    out[i] = text[i];
    raw &= is_raw(text[i]);
  }
  return raw ? out + text.size() : nullptr;
}

/// The short way for what most keys are made of: numbers, and texts that need no escape. It never throws and
/// never asks for memory; where it does not lead, it returns nullptr.
template <class Normalization, class T>
char* write_plain(T const& value, char* out) noexcept {
  constexpr key_kind kind = key_kind_of<T>();
  if constexpr (kind == key_kind::number && std::is_integral_v<T>) {
    return std::to_chars(out, out + 32, value).ptr;
  } else if constexpr (kind == key_kind::number) {
    return std::isfinite(value) ? write_float(value, out) : nullptr;
  } else if constexpr (is_plain_text<T> && std::is_same_v<Normalization, bytes_as_they_are>) {
    return write_raw(text_of(value), out);
  } else {
    return nullptr;
  }
}

}  // namespace tideover::inline v0::detail
