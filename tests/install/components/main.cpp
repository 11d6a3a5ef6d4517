// SPDX-License-Identifier: BSL-1.0
// A program that uses every bridge.
#include <tideover/cache_key.hpp>
#include <tideover/fmt.hpp>
#include <tideover/openssl.hpp>
#include <tideover/xxhash.hpp>

#include <string>

int main() {
  tideover::openssl::hmac_sha256 const pepper("pepper");
  auto const key =
      tideover::cache_key("user").secret("email", "a@b.com", pepper).segment(std::string(300, 'x'));
  return key.digested() && fmt::format("{}", key) == key.log_text() ? 0 : 1;
}
