// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <tideover/policy/rng.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <set>
#include <vector>

namespace {

using tideover::to_unit_interval;
using tideover::xoshiro;

static_assert(tideover::rng_policy<xoshiro> && std::uniform_random_bit_generator<xoshiro>);
static_assert(!tideover::rng_policy<std::mt19937_64>, "a policy names its axis");
static_assert(sizeof(xoshiro) == 32);
static_assert(xoshiro(1)() == xoshiro(1)() && xoshiro(1)() != xoshiro(2)(),
              "seeding and drawing are constexpr");

/// splitmix64, written again from its description: a Weyl sequence through a 64-bit finaliser.
struct split_mix {
  std::uint64_t weyl;
  std::uint64_t operator()() {
    weyl += 11400714819323198485u;
    std::uint64_t a = weyl ^ weyl >> 30;
    a *= 13787848793156543929u;
    std::uint64_t b = a ^ a >> 27;
    b *= 10723151780598845931u;
    return b ^ b >> 31;
  }
};

/// xoshiro256++, written again from the paper's figure: rotations spelt out, the state named s0 to s3.
struct plus_plus {
  std::uint64_t s0, s1, s2, s3;
  static std::uint64_t turned_left(std::uint64_t x, int by) { return x << by | x >> (64 - by); }
  std::uint64_t operator()() {
    std::uint64_t const drawn = turned_left(s0 + s3, 23) + s0;
    std::uint64_t const t = s1 << 17;
    std::uint64_t const n2 = s2 ^ s0;
    std::uint64_t const n3 = s3 ^ s1;
    std::uint64_t const n1 = s1 ^ n2;
    std::uint64_t const n0 = s0 ^ n3;
    s0 = n0, s1 = n1, s2 = n2 ^ t, s3 = turned_left(n3, 45);
    return drawn;
  }
};

}  // namespace

TEST_CASE("xoshiro: the references of this test are right themselves", "[policy]") {
  split_mix seeder{1'234'567};
  for (std::uint64_t const known : {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                                    4593380528125082431u, 16408922859458223821u})
    CHECK(seeder() == known);
  plus_plus generator{1, 2, 3, 4};
  for (std::uint64_t const known :
       {std::uint64_t{41943041}, std::uint64_t{58720359}, std::uint64_t{3588806011781223},
        std::uint64_t{3591011842654386}, std::uint64_t{9228616714210784205u},
        std::uint64_t{9973669472204895162u}, std::uint64_t{14011001112246962877u},
        std::uint64_t{12406186145184390807u}, std::uint64_t{15849039046786891736u},
        std::uint64_t{10450023813501588000u}})
    CHECK(generator() == known);
}

TEST_CASE("xoshiro: it is xoshiro256++ with its state filled by splitmix64", "[policy]") {
  for (std::uint64_t const seed :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1'234'567}, ~std::uint64_t{0}}) {
    CAPTURE(seed);
    split_mix seeder{seed};
    plus_plus expected{};
    expected.s0 = seeder(), expected.s1 = seeder(), expected.s2 = seeder(), expected.s3 = seeder();
    xoshiro ours(seed);
    for (int i = 0; i < 1000; ++i) {
      if (ours() != expected()) FAIL("draw " << i << " differs");
    }
  }
  SUCCEED();
}

TEST_CASE("xoshiro: a copy goes on by itself; without a seed each is another", "[policy]") {
  xoshiro a(9);
  a();
  xoshiro b = a;
  for (int i = 0; i < 10; ++i) CHECK(a() == b());
  std::set<std::uint64_t> first;
  for (int i = 0; i < 100; ++i) first.insert(xoshiro()());
  CHECK(first.size() == 100);
  std::set<std::uint64_t> seeds;
  for (int i = 0; i < 1000; ++i) seeds.insert(tideover::random_seed());
  CHECK(seeds.size() == 1000);
}

TEST_CASE("xoshiro: the distributions of the standard library take it", "[policy]") {
  xoshiro rng(1);
  std::uniform_int_distribution<int> die(1, 6);
  std::array<int, 7> counts{};
  for (int i = 0; i < 60'000; ++i) ++counts[std::size_t(die(rng))];
  for (std::size_t face = 1; face <= 6; ++face) CHECK(std::abs(counts[face] - 10'000) < 500);
}

TEST_CASE("to_unit_interval: from zero up to, and never at, one", "[policy]") {
  static_assert(to_unit_interval(0) == 0.0);
  static_assert(to_unit_interval(~std::uint64_t{0}) < 1.0);
  CHECK(to_unit_interval(~std::uint64_t{0}) == 1.0 - 0x1.0p-53);
  CHECK(to_unit_interval(std::uint64_t{1} << 63) == 0.5);
  CHECK(to_unit_interval(2047) == 0.0);
  CHECK(to_unit_interval(2048) == 0x1.0p-53);
  xoshiro rng(2);
  double sum = 0;
  for (int i = 0; i < 100'000; ++i) {
    double const x = to_unit_interval(rng());
    if (!(x >= 0.0 && x < 1.0)) FAIL(x);
    sum += x;
  }
  CHECK(std::abs(sum / 100'000 - 0.5) < 0.01);
}
