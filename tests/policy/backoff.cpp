// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <tideover/policy/backoff.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using tideover::backoff_policy;
using tideover::constant_backoff;
using tideover::exponential_backoff;
using tideover::no_backoff;
using tideover::xoshiro;

static_assert(backoff_policy<no_backoff> && backoff_policy<constant_backoff> &&
              backoff_policy<exponential_backoff>);
static_assert(!backoff_policy<xoshiro> && !backoff_policy<int>);
static_assert(std::is_empty_v<no_backoff>);
static_assert(exponential_backoff{}.ceiling(0) == 100ms && exponential_backoff{}.ceiling(3) == 800ms);
static_assert(exponential_backoff{}.ceiling(8) == 25'600ms && exponential_backoff{}.ceiling(9) == 30s);

/// A generator that gives what it was told.
struct loaded {
  using policy_axis = tideover::axis::rng;
  constexpr explicit loaded(std::uint64_t draw) noexcept : draw_(draw) {}
  constexpr std::uint64_t operator()() noexcept { return draw_; }

 private:
  std::uint64_t draw_;
};
static_assert(tideover::rng_policy<loaded>);

constexpr std::uint64_t highest = std::numeric_limits<std::uint64_t>::max();

/// The doubling, step by step, in integers that cannot overflow.
nanoseconds doubled(nanoseconds first, nanoseconds limit, unsigned times) {
  __extension__ using wide = __int128;
  wide const most = std::max<wide>(limit.count(), 0);
  wide ceiling = std::clamp<wide>(first.count(), 0, most);
  for (unsigned i = 0; i < times; ++i) ceiling = std::min(ceiling * 2, most);
  return nanoseconds(static_cast<std::int64_t>(ceiling));
}

}  // namespace

TEST_CASE("no_backoff: never a wait", "[policy]") {
  xoshiro rng(1);
  for (unsigned attempt = 0; attempt < 10; ++attempt) CHECK(no_backoff().delay(attempt, rng) == 0ns);
}

TEST_CASE("constant_backoff: always the same wait, and none if it is negative", "[policy]") {
  xoshiro rng(1);
  for (unsigned const attempt : {0u, 1u, 100u, std::numeric_limits<unsigned>::max()}) {
    CHECK(constant_backoff{}.delay(attempt, rng) == 100ms);
    CHECK(constant_backoff{5s}.delay(attempt, rng) == 5s);
    CHECK(constant_backoff{0s}.delay(attempt, rng) == 0ns);
    CHECK(constant_backoff{-5s}.delay(attempt, rng) == 0ns);
    CHECK(constant_backoff{nanoseconds::min()}.delay(attempt, rng) == 0ns);
    CHECK(constant_backoff{nanoseconds::max()}.delay(attempt, rng) == nanoseconds::max());
  }
}

TEST_CASE("exponential_backoff: the ceiling doubles up to the limit and stays there", "[policy]") {
  for (nanoseconds const first : {nanoseconds::min(), -1ns, 0ns, 1ns, 3ns, nanoseconds(100ms),
                                  nanoseconds(1h), nanoseconds::max() - 1ns, nanoseconds::max()}) {
    for (nanoseconds const limit : {nanoseconds::min(), -1ns, 0ns, 1ns, 2ns, nanoseconds(30s),
                                    nanoseconds(24h * 365 * 100), nanoseconds::max()}) {
      exponential_backoff const backoff{.first = first, .limit = limit};
      for (unsigned attempt = 0; attempt <= 100; ++attempt) {
        CAPTURE(first.count(), limit.count(), attempt);
        if (backoff.ceiling(attempt) != doubled(first, limit, attempt))
          CHECK(backoff.ceiling(attempt) == doubled(first, limit, attempt));
      }
      CHECK(backoff.ceiling(std::numeric_limits<unsigned>::max()) == doubled(first, limit, 200));
    }
  }
}

TEST_CASE("exponential_backoff: the wait is drawn from zero up to, and never at, the ceiling", "[policy]") {
  loaded lowest(0), top(highest), middle(std::uint64_t{1} << 63);
  for (nanoseconds const limit : {1ns, 2ns, nanoseconds(1s), nanoseconds(30s), nanoseconds::max()}) {
    exponential_backoff const backoff{.first = 1ns, .limit = limit};
    for (unsigned attempt = 0; attempt <= 100; ++attempt) {
      CAPTURE(limit.count(), attempt);
      CHECK(backoff.delay(attempt, lowest) == 0ns);
      nanoseconds const ceiling = backoff.ceiling(attempt);
      nanoseconds const longest = backoff.delay(attempt, top);
      CHECK(longest < ceiling);
      CHECK(double(longest.count()) >= 0.999 * double(ceiling.count() - 1));
      CHECK(std::abs(double(backoff.delay(attempt, middle).count()) - double(ceiling.count()) / 2) <= 1);
    }
  }
}

TEST_CASE("exponential_backoff: waits are even over their range, about half the ceiling on average",
          "[policy]") {
  exponential_backoff const backoff;
  xoshiro rng(7);
  constexpr int draws = 20'000;
  for (unsigned const attempt : {0u, 4u, 20u}) {
    nanoseconds const ceiling = backoff.ceiling(attempt);
    double sum = 0;
    int low_quarter = 0;
    for (int i = 0; i < draws; ++i) {
      nanoseconds const wait = backoff.delay(attempt, rng);
      if (wait < 0ns || wait >= ceiling) FAIL("outside of its range: " << wait.count());
      sum += double(wait.count());
      low_quarter += int{wait < ceiling / 4};
    }
    CHECK(std::abs(sum / draws / double(ceiling.count()) - 0.5) < 0.02);
    CHECK(std::abs(double(low_quarter) / draws - 0.25) < 0.02);
  }
}

TEST_CASE("exponential_backoff: no first wait and no limit are no wait", "[policy]") {
  loaded top(highest);
  for (unsigned const attempt : {0u, 1u, 61u, 62u, 63u, 64u, 100u}) {
    CHECK(exponential_backoff{.first = 0ns}.delay(attempt, top) == 0ns);
    CHECK(exponential_backoff{.first = -1s}.delay(attempt, top) == 0ns);
    CHECK(exponential_backoff{.limit = 0ns}.delay(attempt, top) == 0ns);
    CHECK(exponential_backoff{.limit = -1s}.delay(attempt, top) == 0ns);
    CHECK(exponential_backoff{.first = 10s, .limit = 1s}.ceiling(attempt) == 1s);  // never above the limit
  }
}
