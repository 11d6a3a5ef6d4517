// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace tideover_test {

/// The number in an environment variable, or `otherwise`.
inline std::uint64_t number_from(char const* variable, std::uint64_t otherwise) {
  char const* const text = std::getenv(variable);
  return text == nullptr || *text == 0 ? otherwise : std::strtoull(text, nullptr, 0);
}

/// The seed of this run: TIDEOVER_SEED, else a new one each time. Printed once, so that a failure can be
/// repeated.
inline std::uint64_t run_seed() {
  static std::uint64_t const seed = [] {
    std::random_device entropy;
    std::uint64_t const fresh = (std::uint64_t(entropy()) << 32) | entropy();
    std::uint64_t const chosen = number_from("TIDEOVER_SEED", fresh);
    std::printf("seed: TIDEOVER_SEED=%llu\n", static_cast<unsigned long long>(chosen));
    std::fflush(stdout);
    return chosen;
  }();
  return seed;
}

}  // namespace tideover_test
