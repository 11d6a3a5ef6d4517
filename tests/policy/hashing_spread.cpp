// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <tideover/policy/hashing.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Seeds are fixed here: these tests give the same answer in every run.

namespace {

using tideover::hash_by;
using tideover::seeded_hash;

constexpr std::size_t keys = 1 << 15;

/// By how many standard deviations the cells are more uneven than chance makes them: Pearson's chi-square,
/// made normal by Wilson and Hilferty's cube root, so that three cells and a thousand are judged alike.
template <class Cell>
double unevenness(std::vector<std::uint64_t> const& hashes, std::size_t cells, Cell cell) {
  std::vector<double> counts(cells, 0.0);
  for (std::uint64_t const hash : hashes) counts[cell(hash)] += 1;
  double const expected = double(hashes.size()) / double(cells);
  double chi_square = 0;
  for (double const count : counts) chi_square += (count - expected) * (count - expected) / expected;
  double const spread = 2.0 / 9.0 / double(cells - 1);
  return (std::cbrt(chi_square / double(cells - 1)) - (1 - spread)) / std::sqrt(spread);
}

/// Every part of a hash that a component takes by itself, and how uneven the worst of them is.
double worst_part(std::vector<std::uint64_t> const& hashes) {
  double worst = 0;
  auto const look = [&](std::size_t cells, auto cell) {
    worst = std::max(worst, unevenness(hashes, cells, cell));
  };
  for (std::uint64_t const buckets :
       {3u, 7u, 64u, 227u, 1000u, 1024u, 3000u})  // the index takes the lower half
    look(buckets, [=](std::uint64_t h) { return std::size_t((h & 0xFFFF'FFFFu) * buckets >> 32); });
  look(256, [](std::uint64_t h) { return std::size_t(h >> 32 & 255); });  // its tags
  look(16, [](std::uint64_t h) { return std::size_t(h >> 40 & 15); });    // shards
  look(64, [](std::uint64_t h) { return std::size_t(h >> 40 & 63); });
  look(1024, [](std::uint64_t h) { return std::size_t(h & 1023); });  // whoever takes either end
  look(1024, [](std::uint64_t h) { return std::size_t(h >> 54); });
  // Within one shard, buckets must be as even as in all of them; within one bucket, tags.
  look(16 * 64,
       [](std::uint64_t h) { return std::size_t((h >> 40 & 15) * 64 + ((h & 0xFFFF'FFFFu) * 64 >> 32)); });
  look(64 * 32,
       [](std::uint64_t h) { return std::size_t((h >> 32 & 31) * 64 + ((h & 0xFFFF'FFFFu) * 64 >> 32)); });
  return worst;
}

template <class Hash, class MakeKey>
std::vector<std::uint64_t> hashes_of(Hash const& hash, MakeKey make_key, std::size_t n = keys) {
  std::vector<std::uint64_t> all;
  all.reserve(n);
  for (std::size_t i = 0; i < n; ++i) all.push_back(hash(make_key(i)));
  return all;
}

bool all_differ(std::vector<std::uint64_t> hashes) {
  std::sort(hashes.begin(), hashes.end());
  return std::adjacent_find(hashes.begin(), hashes.end()) == hashes.end();
}

constexpr double too_uneven = 6;  // a chance of 1 in 10^9 for each part

struct identity {
  std::size_t operator()(std::uint64_t x) const { return x; }
};

std::array<unsigned, 12> const strides = {0, 1, 2, 3, 4, 6, 12, 16, 20, 32, 40, 48};

}  // namespace

TEST_CASE("seeded_hash: integers in a row and in strides spread as chance would", "[policy]") {
  for (std::uint64_t const seed : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u}) {
    seeded_hash const hash(seed);
    for (unsigned const shift : strides) {
      CAPTURE(seed, shift);
      auto const hashes = hashes_of(hash, [=](std::size_t i) { return std::uint64_t{i} << shift; });
      CHECK(all_differ(hashes));
      CHECK(worst_part(hashes) < too_uneven);
    }
    CAPTURE(seed);
    CHECK(worst_part(hashes_of(hash, [](std::size_t i) { return -std::int64_t(i); })) < too_uneven);
    CHECK(worst_part(hashes_of(hash, [](std::size_t i) { return std::uint64_t{i} * 1000; })) < too_uneven);
    CHECK(worst_part(hashes_of(hash, [](std::size_t i) { return double(i); })) < too_uneven);
    CHECK(worst_part(hashes_of(hash, [](std::size_t i) {  // two coordinates in one word
            return std::uint64_t{i % 256} << 32 | std::uint64_t{i / 256};
          })) < too_uneven);
  }
}

TEST_CASE("seeded_hash: strings that differ little spread as chance would", "[policy]") {
  for (std::uint64_t const seed : {0u, 1u, 2u, 3u}) {
    seeded_hash const hash(seed);
    CAPTURE(seed);
    auto const padded = [](std::size_t i) {
      std::string digits = std::to_string(i);
      return std::string(8 - digits.size(), '0') + digits;
    };
    auto const check = [&](char const* what, auto make) {
      CAPTURE(what);
      auto const hashes = hashes_of(hash, make);
      CHECK(all_differ(hashes));
      CHECK(worst_part(hashes) < too_uneven);
    };
    check("number", [](std::size_t i) { return std::to_string(i); });
    check("user:number", [](std::size_t i) { return "user:" + std::to_string(i); });
    check("long prefix",
          [&](std::size_t i) { return "https://example.org/articles/of/the/day/" + padded(i); });
    check("long suffix", [&](std::size_t i) { return padded(i) + "/articles/of/the/day/at/example.org"; });
    check("in the middle",
          [&](std::size_t i) { return std::string(20, 'a') + padded(i) + std::string(20, 'b'); });
    check("two letters", [](std::size_t i) {
      std::string bits;
      for (std::size_t b = 0; b < 15; ++b) bits += (i >> b & 1) != 0 ? 'b' : 'a';
      return bits;
    });
    check("three bytes", [](std::size_t i) {
      return std::string{static_cast<char>(i), static_cast<char>(i >> 8), 'x'};
    });
  }
}

TEST_CASE("seeded_hash: lengths 0 to 100 are all told apart, even of zeros", "[policy]") {
  for (std::uint64_t seed = 0; seed < 32; ++seed) {
    seeded_hash const hash(seed);
    for (char const letter : {'\0', 'a', '\xFF'}) {
      CHECK(all_differ(hashes_of(
          hash, [=](std::size_t n) { return std::string(n, letter); }, 101)));
    }
  }
}

TEST_CASE("seeded_hash: each byte of a text counts, at each place, for each length", "[policy]") {
  seeded_hash const hash(11);
  for (std::size_t length = 1; length <= 100; ++length) {
    std::set<std::uint64_t> seen{hash(std::string(length, 'a'))};
    for (std::size_t at = 0; at < length; ++at) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        std::string text(length, 'a');
        text[at] = static_cast<char>(static_cast<unsigned char>(text[at]) ^ 1u << bit);
        seen.insert(hash(text));
      }
    }
    CAPTURE(length);
    CHECK(seen.size() == 1 + 8 * length);
  }
}

namespace {

/// The share of cases in which flipping one bit of the input flips one bit of the hash, furthest from a half.
template <class Input, class Flip, class Hash>
double worst_avalanche(std::size_t bits, Input input, Flip flip, Hash const& hash) {
  constexpr int samples = 4000;
  double worst = 0;
  for (std::size_t bit = 0; bit < bits; ++bit) {
    std::array<int, 64> flips{};
    std::mt19937_64 random(bit + 1);
    for (int s = 0; s < samples; ++s) {
      auto const before = input(random);
      std::uint64_t const changed = hash(before) ^ hash(flip(before, bit));
      for (std::size_t b = 0; b < 64; ++b) flips[b] += int(changed >> b & 1);
    }
    for (int const n : flips) worst = std::max(worst, std::abs(double(n) / samples - 0.5));
  }
  return worst;
}

}  // namespace

TEST_CASE("seeded_hash: one bit of the key changes each bit of the hash in about half of all cases",
          "[policy]") {
  seeded_hash const hash(5);
  CHECK(worst_avalanche(
            64, [](auto& random) { return random(); },
            [](std::uint64_t x, std::size_t bit) { return x ^ std::uint64_t{1} << bit; }, hash) < 0.25);
  for (std::size_t const length :
       {std::size_t{3}, std::size_t{7}, std::size_t{12}, std::size_t{25}, std::size_t{40}}) {
    CAPTURE(length);
    CHECK(worst_avalanche(
              8 * length,
              [=](auto& random) {
                std::string text(length, ' ');
                for (char& c : text) c = static_cast<char>(random());
                return text;
              },
              [](std::string text, std::size_t bit) {
                text[bit / 8] = static_cast<char>(static_cast<unsigned char>(text[bit / 8]) ^ 1u << bit % 8);
                return text;
              },
              hash) < 0.25);
  }
}

TEST_CASE("hash_by: identity hashes are mixed well enough for every part", "[policy]") {
  hash_by<identity> const hash;
  for (unsigned const shift : strides) {
    CAPTURE(shift);
    auto const hashes = hashes_of(hash, [=](std::size_t i) { return std::uint64_t{i} << shift; });
    CHECK(all_differ(hashes));
    CHECK(worst_part(hashes) < too_uneven);
  }
  CHECK(worst_part(hashes_of(hash, [](std::size_t i) { return std::uint64_t{i} * 1000; })) < too_uneven);
}
