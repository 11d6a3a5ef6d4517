// SPDX-License-Identifier: BSL-1.0
// A text too long for a store is digested, and nobody reads a secret in a key.
#include <tideover/cache_key.hpp>
#include <tideover/fmt.hpp>
#include <tideover/openssl.hpp>
#include <tideover/xxhash.hpp>  // brings the digest

#include <string>

#include <fmt/core.h>

using tideover::cache_key;

int main() {
  auto const query = cache_key("search").param("q", std::string(5000, 'x')).version(2);
  fmt::print("{} bytes, digested: {}\n", query.size(), query.digested());

  // The pepper is a secret of the service, from its vault.
  tideover::openssl::hmac_sha256 const pepper("correct horse battery staple");
  auto const user = cache_key("user").secret("email", "a@b.com", pepper);
  fmt::print("{}\n", user.view());

  fmt::print("in a log: {}...\n",
             fmt::to_string(user).substr(0, 5));  // the namespace and a hash, never the data
}
// expect: 44 bytes, digested: true
// expect: user:email=~pbbab805c11a7da73f7a2f0eee71abcdc:v1
// expect: in a log: user#...
