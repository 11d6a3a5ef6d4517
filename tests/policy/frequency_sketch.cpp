// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"

#include <tideover/policy/eviction/frequency_sketch.hpp>
#include <tideover/policy/locking.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace {

using allocator = std::allocator<std::byte>;
template <class Locking>
using sketch_of = tideover::frequency_sketch<Locking, allocator>;
using sketch = sketch_of<tideover::single_threaded>;

}  // namespace

TEMPLATE_TEST_CASE("frequency_sketch: never below the truth, and seldom far above", "[policy]",
                   tideover::single_threaded, tideover::one_mutex) {
  std::mt19937_64 random(tideover_test::run_seed());
  for (std::size_t const capacity : {std::size_t{1}, std::size_t{1'000}, std::size_t{20'000}}) {
    CAPTURE(capacity);
    sketch_of<TestType> counts(capacity, random(), {});
    std::map<std::uint32_t, unsigned> truth;
    // Two increments for each entry: far from ageing.
    std::size_t const keys = std::max<std::size_t>(capacity, 256);
    for (std::size_t i = 0; i != 2 * keys; ++i) {
      auto const hash = static_cast<std::uint32_t>(random() % keys) * 2'654'435'769u;
      counts.increment(hash);
      ++truth[hash];
    }
    std::size_t below = 0, above = 0;
    for (auto const& [hash, n] : truth) {
      unsigned const estimate = counts.frequency(hash);
      below += estimate < std::min(n, 15u);
      above += estimate > n + 1;
    }
    CHECK(below == 0);
    CHECK(above <= truth.size() / 20);
  }
}

TEST_CASE("frequency_sketch: counters stop at 15", "[policy]") {
  sketch counts(100, 1, {});
  for (int i = 0; i != 100; ++i) counts.increment(7);
  CHECK(counts.frequency(7) == 15);
}

TEST_CASE("frequency_sketch: everything is halved after ten increments an entry, in small steps",
          "[policy]") {
  constexpr std::size_t capacity = 200'000;  // 12,500 cache lines, in steps of 128
  sketch counts(capacity, 1, {});
  std::vector<std::uint32_t> watched;
  for (std::uint32_t k = 0; k != 100; ++k) watched.push_back(k * 2'654'435'769u);
  for (std::uint32_t const hash : watched)
    for (int i = 0; i != 12; ++i) counts.increment(hash);
  std::uint32_t other = 1;
  auto const halved = [&] {
    return std::count_if(watched.begin(), watched.end(), [&](auto h) { return counts.frequency(h) < 12; });
  };
  std::size_t increments = watched.size() * 12;
  // Others on three keys in a million: too few on each counter to lift it to 15.
  while (halved() == 0 && increments < 11 * capacity) {
    for (int i = 0; i != 64; ++i) counts.increment(other += 2'654'435'761u);
    increments += 64;
  }
  CHECK(increments >= 10 * capacity);
  CHECK(increments < 10 * capacity + 20'000);
  CHECK(halved() < 100);  // not all at once
  for (int i = 0; i != 200; ++i) counts.increment(other += 2'654'435'761u);
  for (std::uint32_t const hash : watched) {
    CHECK(counts.frequency(hash) >= 6);
    CHECK(counts.frequency(hash) <= 9);
  }
}

TEST_CASE("frequency_sketch: what was counted stays when the capacity changes", "[policy]") {
  std::mt19937_64 random(tideover_test::run_seed());
  sketch counts(3'000, random(), {});
  std::map<std::uint32_t, unsigned> before;
  for (int i = 0; i != 3'000; ++i) {
    auto const hash = static_cast<std::uint32_t>(random() % 1'000) * 2'654'435'769u;
    counts.increment(hash);
  }
  for (std::uint32_t k = 0; k != 1'000; ++k)
    before[k * 2'654'435'769u] = counts.frequency(k * 2'654'435'769u);
  for (std::size_t const capacity : {std::size_t{10'000}, std::size_t{2'000}, std::size_t{77'777}}) {
    CAPTURE(capacity);
    counts.set_capacity(capacity);
    std::size_t lost = 0, gained = 0;
    for (auto const& [hash, n] : before) {
      lost += counts.frequency(hash) < n;
      gained += counts.frequency(hash) > n + 1;
    }
    CHECK(lost == 0);
    CHECK(gained < 200);
  }
}

TEST_CASE("frequency_sketch: which keys share counters depends on the seed", "[policy]") {
  // A key that seems frequent because of others does so under one seed and not under the next.
  sketch one(50, 1, {}), other(50, 2, {});
  std::mt19937_64 random(5);
  std::size_t differ = 0;
  for (int i = 0; i != 1'000; ++i) {
    auto const hash = static_cast<std::uint32_t>(random());
    one.increment(hash), other.increment(hash);
  }
  for (int i = 0; i != 1'000; ++i) {
    auto const hash = static_cast<std::uint32_t>(random());
    differ += one.frequency(hash) != other.frequency(hash);
  }
  CHECK(differ > 100);
}

TEST_CASE("frequency_sketch: threads may count at once, also while it is halved", "[policy]") {
  constexpr int threads = 4;
  sketch_of<tideover::one_mutex> counts(256, 3, {});
  std::vector<std::thread> workers;
  for (std::uint32_t t = 0; t != threads; ++t) {
    workers.emplace_back([&counts, t] {
      for (std::uint32_t i = 0; i != 20'000; ++i) {
        counts.increment(i % 97 + t * 7);
        if (counts.frequency(i % 97) > 15) std::terminate();
      }
    });
  }
  for (auto& worker : workers) worker.join();
  std::size_t seen = 0;
  for (std::uint32_t k = 0; k != 97; ++k) seen += counts.frequency(k) > 0;
  CHECK(seen > 90);
}
