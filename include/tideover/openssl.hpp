// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/error.hpp>
#include <tideover/policy/digest.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

/// Keyed digests by OpenSSL (CMake component `openssl`, which links libcrypto 1.1.1 or newer).
namespace tideover::inline v0::openssl {

/// HMAC-SHA256 (RFC 2104) cut to its first 128 bits, as section 5 there allows: for `cache_key::secret`.
///
///     tideover::openssl::hmac_sha256 const pepper(secret_from_the_vault);
///     cache_key("user").secret("email", "a@b.com", pepper)
///
/// The pepper must not be empty; 32 random bytes are right. It is wiped from memory at the end. Whoever has
/// it can test guesses, and a new one makes new keys. Throws `error`: invalid_argument for an empty pepper,
/// computation_failed if OpenSSL refuses. Threads: one object may be used by many at once.
class hmac_sha256 {
 public:
  explicit hmac_sha256(std::string_view pepper) : pepper_(pepper) {
    if (pepper.empty() || pepper.size() > std::size_t{std::numeric_limits<int>::max()}) {
      detail::raise_out_of_bounds("hmac_sha256 pepper", std::to_string(pepper.size()) + " bytes long",
                                  "1 to 2147483647 bytes long");
    }
  }
  hmac_sha256(hmac_sha256 const&) = default;
  hmac_sha256& operator=(hmac_sha256 const&) = delete;
  ~hmac_sha256() { OPENSSL_cleanse(pepper_.data(), pepper_.size()); }

  digest128 operator()(std::string_view text) const {
    std::array<unsigned char, EVP_MAX_MD_SIZE> mac;
    unsigned int size = 0;
    if (::HMAC(EVP_sha256(), pepper_.data(), static_cast<int>(pepper_.size()),
               reinterpret_cast<unsigned char const*>(text.data()), text.size(), mac.data(),
               &size) == nullptr) {
      detail::raise({.code = errc::computation_failed}, "openssl::hmac_sha256");
    }
    digest128 digest;
    std::copy_n(mac.begin(), digest.size(), digest.begin());
    return digest;
  }

 private:
  std::string pepper_;
};

}  // namespace tideover::inline v0::openssl
