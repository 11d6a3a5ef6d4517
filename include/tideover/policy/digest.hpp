// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/error.hpp>
#include <tideover/policy/policy.hpp>

#include <array>
#include <atomic>
#include <concepts>
#include <string>
#include <string_view>

/// The digest axis: what stands for a key that is too long to be a key.
namespace tideover::inline v0 {

/// 128 bits, the first byte printed first.
using digest128 = std::array<unsigned char, 16>;

/// A function of the whole text, the same on every machine. It need not be cryptographic: what is stored
/// under a digested key also carries a check of the whole key. Where an attacker chooses the text and a
/// forged pair of keys would hurt, take a keyed one.
template <class D>
concept digest_policy = policy<D> && std::same_as<typename D::policy_axis, axis::digest> &&
    std::copy_constructible<D> && requires(D const& d, std::string_view text) {
  { d(text) } -> std::same_as<digest128>;
};

/// A digest under a secret (a pepper): who does not know it cannot try values until one fits. Needs no axis:
/// a lambda will do; `openssl::hmac_sha256` in <tideover/openssl.hpp> is one.
template <class D>
concept keyed_digest = requires(D const& d, std::string_view text) {
  { d(text) } -> std::convertible_to<digest128>;
};

namespace detail {

/// Set before main by the header that brings the default digest. The release pairs with the acquire of
/// whoever calls it; both name a function, so there is nothing else to see.
inline constinit std::atomic<digest128 (*)(std::string_view)> the_registered_digest{nullptr};

}  // namespace detail

/// The default: the digest that a bridge has brought into the program, which is `xxh3_128` once any of its
/// files includes <tideover/xxhash.hpp>. Without one a long key is an `error(errc::invalid_argument)` that
/// says so.
class registered_digest {
 public:
  using policy_axis = axis::digest;

  static bool available() noexcept {
    return detail::the_registered_digest.load(std::memory_order_acquire) != nullptr;
  }
  digest128 operator()(std::string_view text) const {
    auto* const digest = detail::the_registered_digest.load(std::memory_order_acquire);
    if (digest == nullptr) {
      detail::raise({.code = errc::invalid_argument},
                    "registered_digest: there is none; include <tideover/xxhash.hpp>");
    }
    return digest(text);
  }
};

}  // namespace tideover::inline v0
