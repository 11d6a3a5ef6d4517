// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>

#if __has_include(<sys/random.h>)
#include <sys/random.h>
#define TIDEOVER_DETAIL_HAS_GETRANDOM 1
#else
#include <random>
#define TIDEOVER_DETAIL_HAS_GETRANDOM 0
#endif

/// The rng axis: where a component's randomness comes from.
namespace tideover::inline v0 {

/// A generator of 64 random bits that can be seeded: a component draws one seed for each of its parts.
template <class R>
concept rng_policy = policy<R> && std::same_as<typename R::policy_axis, axis::rng> &&
    std::constructible_from<R, std::uint64_t> && requires(R& r) {
  { r() }
  noexcept->std::same_as<std::uint64_t>;
};

/// 64 unpredictable bits from the operating system. Costs a system call.
inline std::uint64_t random_seed() {
  std::uint64_t seed = 0;
#if TIDEOVER_DETAIL_HAS_GETRANDOM
  if (::getentropy(&seed, sizeof seed) == 0) return seed;
  // No entropy source (a bare chroot): an address and a count are the best that is left.
  thread_local std::uint64_t fallback = 0;
  return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&seed)) ^
         (fallback += 0x9E3779B97F4A7C15u);
#else
  std::random_device device;
  seed = device();
  return seed << 32 | device();
#endif
}

/// A double in [0, 1) made of the upper 53 bits of one draw.
constexpr double to_unit_interval(std::uint64_t bits) noexcept {
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

/// xoshiro256++ 1.0 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 2021,
/// section 5), its state filled by splitmix64 as its authors advise. Seeded from the system unless told
/// otherwise. Not for secrets. Models std::uniform_random_bit_generator. Threads: like a plain value.
class xoshiro {
 public:
  using policy_axis = axis::rng;
  using result_type = std::uint64_t;

  xoshiro() : xoshiro(random_seed()) {}
  explicit constexpr xoshiro(std::uint64_t seed) noexcept {
    for (auto& word : state_) {
      seed += 0x9E3779B97F4A7C15u;
      std::uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
      word = z ^ (z >> 31);
    }
  }

  static constexpr result_type min() noexcept { return 0; }
  static constexpr result_type max() noexcept { return std::numeric_limits<result_type>::max(); }

  constexpr result_type operator()() noexcept {
    result_type const drawn = std::rotl(state_[0] + state_[3], 23) + state_[0];
    result_type const shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return drawn;
  }

 private:
  std::uint64_t state_[4];
};

}  // namespace tideover::inline v0
