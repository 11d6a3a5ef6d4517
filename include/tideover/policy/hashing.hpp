// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>
#include <tideover/policy/rng.hpp>

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

/// The hashing axis: how keys are spread and compared.
namespace tideover::inline v0 {

/// Hashes and compares keys. All 64 bits of the hash must be well mixed: components take shard, bucket and
/// tag from different ends of it. `accepts<Key, K>` says whether a K can be looked up as it is, without a Key
/// being made of it. Called with locks held: it must not call the component.
template <class H, class Key>
concept hashing_policy = policy<H> && std::same_as<typename H::policy_axis, axis::hashing> &&
    requires(H const& h, Key const& key) {
  { h(key) } -> std::same_as<std::uint64_t>;
  { h.equal(key, key) } -> std::convertible_to<bool>;
  { H::template accepts<Key, Key> } -> std::convertible_to<bool>;
};

namespace hash_detail {

inline constexpr std::uint64_t odd_1 = 0x9E3779B97F4A7C15u;
inline constexpr std::uint64_t odd_2 = 0xD1B54A32D192ED03u;
inline constexpr std::uint64_t odd_3 = 0x8CB92BA72F3D8DD7u;

/// The two halves of a 64 x 64 bit product, folded: each bit of the result depends on all bits of both.
constexpr std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using wide = unsigned __int128;
  wide const product = static_cast<wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

/// One word, mixed twice: after one fold a row of numbers is still not as even as chance would make it.
constexpr std::uint64_t word(std::uint64_t x, std::uint64_t k0, std::uint64_t k1) noexcept {
  return fold(fold(x ^ k0, odd_1) ^ k1, odd_2);
}

/// Eight bytes, the first one lowest: the same word on every machine.
inline std::uint64_t read(char const* p, std::size_t n) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, p, n);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  return word;
}

/// A string hash by folded multiplication, the construction of wyhash (Wang Yi, 2019): 16 bytes a step, both
/// operands keyed, the last step overlapping the one before it, the length in the final fold.
inline std::uint64_t bytes(std::string_view s, std::uint64_t k0, std::uint64_t k1) noexcept {
  char const* p = s.data();
  std::size_t const n = s.size();
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  std::uint64_t state = k0;
  if (n > 16) {
    std::size_t left = n;
    if (left > 32) {
      std::uint64_t other = k0 ^ odd_3;
      do {
        state = fold(read(p, 8) ^ k1, read(p + 8, 8) ^ state);
        other = fold(read(p + 16, 8) ^ k1 ^ odd_2, read(p + 24, 8) ^ other);
        p += 32;
        left -= 32;
      } while (left > 32);
      state ^= other;
    }
    if (left > 16) {
      state = fold(read(p, 8) ^ k1, read(p + 8, 8) ^ state);
      p += 16;
      left -= 16;
    }
    a = read(p + left - 16, 8);
    b = read(p + left - 8, 8);
  } else if (n >= 8) {
    a = read(p, 8);
    b = read(p + n - 8, 8);
  } else if (n >= 4) {
    a = read(p, 4);
    b = read(p + n - 4, 4);
  } else if (n > 0) {
    a = static_cast<std::uint64_t>(static_cast<unsigned char>(p[0])) << 16 |
        static_cast<std::uint64_t>(static_cast<unsigned char>(p[n / 2])) << 8 |
        static_cast<std::uint64_t>(static_cast<unsigned char>(p[n - 1]));
  }
  return fold(k1 ^ n, fold(a ^ k1 ^ odd_1, b ^ state));
}

/// What is text: the standard's strings, views and C strings. A type of the user's that converts to a view is
/// not: it has a hash and an equality of its own.
template <class T>
inline constexpr bool is_text = std::is_same_v<T, char const*> || std::is_same_v<T, char*>;
template <>
inline constexpr bool is_text<std::string_view> = true;
template <class Allocator>
inline constexpr bool is_text<std::basic_string<char, std::char_traits<char>, Allocator>> = true;
template <std::size_t N>
inline constexpr bool is_text<char[N]> = true;
template <std::size_t N>
inline constexpr bool is_text<char const[N]> = true;

/// Whether the standard can hash it: std::hash of a type without one is there, and cannot be made.
template <class T>
inline constexpr bool has_std_hash =
    std::is_default_constructible_v<std::hash<T>>&& std::is_invocable_v<std::hash<T> const&, T const&>;
template <class>
inline constexpr bool never = false;

}  // namespace hash_detail

/// The default. Every object draws its own random key from the system, so that nobody outside can choose keys
/// that collide. Strings of every kind (std::string, std::string_view, char const*) are hashed and compared
/// as text, so a lookup by std::string_view makes no std::string. Integers, enumerations and pointers are
/// mixed with the key; any other type is asked for its std::hash, whose own collisions no key can mend.
/// `seeded_hash(seed)` gives the same spread in every run. About 1 ns for an integer, 4 ns for 20 characters.
class seeded_hash {
 public:
  using policy_axis = axis::hashing;

  seeded_hash() : seeded_hash(random_seed()) {}
  explicit constexpr seeded_hash(std::uint64_t seed) noexcept
      : k0_(hash_detail::fold(seed ^ hash_detail::odd_1, hash_detail::odd_2)),
        k1_(hash_detail::fold(seed ^ hash_detail::odd_2, hash_detail::odd_3) | 1) {}

  template <class Key, class K>
  static constexpr bool accepts = std::is_same_v<Key, K> ||
                                  (hash_detail::is_text<Key> && hash_detail::is_text<K>);

  template <class K>
  std::uint64_t operator()(K const& key) const noexcept(hash_detail::is_text<K> || std::is_scalar_v<K>) {
    if constexpr (hash_detail::is_text<K>) {
      return hash_detail::bytes(std::string_view(key), k0_, k1_);
    } else if constexpr ((std::is_integral_v<K> || std::is_enum_v<K>)&&sizeof(K) <= 8) {
      return word(static_cast<std::uint64_t>(key));
    } else if constexpr (std::is_pointer_v<K>) {
      return word(static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(key)));
    } else if constexpr (hash_detail::has_std_hash<K>) {
      return word(static_cast<std::uint64_t>(std::hash<K>{}(key)));
    } else {
      static_assert(hash_detail::has_std_hash<K>,
                    "tideover::seeded_hash: this key has no std::hash; specialise it, or name the policy "
                    "tideover::hash_by<YourHash>");
      return 0;
    }
  }

  template <class A, class B>
  static bool equal(A const& a, B const& b) {
    if constexpr (hash_detail::is_text<A> && hash_detail::is_text<B>) {
      return std::string_view(a) == std::string_view(b);
    } else if constexpr (requires { static_cast<bool>(a == b); }) {
      return static_cast<bool>(a == b);
    } else {
      static_assert(hash_detail::never<A>,
                    "tideover::seeded_hash: this key has no operator==; give it one, or name "
                    "the policy tideover::hash_by<YourHash, YourEqual>");
      return false;
    }
  }

 private:
  constexpr std::uint64_t word(std::uint64_t x) const noexcept { return hash_detail::word(x, k0_, k1_); }

  std::uint64_t k0_;
  std::uint64_t k1_;
};

/// A hash and an equality of your own, of the standard kind. The result is mixed once more, so std::hash of
/// an integer, which is often the integer, is good enough. If both name `is_transparent`, a lookup takes any
/// type that they take.
template <class Hash, class Equal = std::equal_to<>>
class hash_by {
 public:
  using policy_axis = axis::hashing;

  hash_by() requires(std::is_default_constructible_v<Hash>&& std::is_default_constructible_v<Equal>) =
      default;
  explicit hash_by(Hash hash, Equal equal = Equal()) : hash_(std::move(hash)), equal_(std::move(equal)) {}

  template <class Key, class K>
  static constexpr bool accepts = std::is_same_v<Key, K> || requires {
    typename Hash::is_transparent;
    typename Equal::is_transparent;
  };

  template <class K>
  requires std::is_invocable_v<Hash const&, K const&> std::uint64_t operator()(K const& key) const {
    return hash_detail::word(static_cast<std::uint64_t>(hash_(key)), hash_detail::odd_3, hash_detail::odd_1);
  }
  template <class A, class B>
  bool equal(A const& a, B const& b) const {
    return static_cast<bool>(equal_(a, b));
  }

 private:
  [[no_unique_address]] Hash hash_{};
  [[no_unique_address]] Equal equal_{};
};

}  // namespace tideover::inline v0
