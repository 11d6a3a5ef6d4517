// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <tideover/instant.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using tideover::instant;

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();

constexpr instant at(std::int64_t ns) { return {ns}; }

static_assert(std::is_aggregate_v<instant> && std::is_trivially_copyable_v<instant> && sizeof(instant) == 8);
static_assert(std::is_nothrow_default_constructible_v<instant>);
static_assert(instant{} == at(0));
static_assert(instant::min() == at(least) && instant::max() == at(most));
static_assert(instant::at(1ms) == at(1'000'000) && instant::at(-1ns) == at(-1));
static_assert(at(7).since_epoch() == 7ns);

static_assert(at(1) < at(2) && at(2) > at(1) && at(1) <= at(1) && at(1) >= at(1) && at(1) != at(2));
static_assert((at(-1) <=> at(1)) < 0);
static_assert(instant::min() < at(0) && at(0) < instant::max());

static_assert(at(5) + 3ns == at(8) && at(5) - 3ns == at(2) && at(5) + -7ns == at(-2) &&
              at(5) - at(9) == -4ns);
static_assert(noexcept(instant{} + nanoseconds{}) && noexcept(instant{} - nanoseconds{}) && noexcept(
    instant{} - instant{}));

constexpr instant moved(instant t, nanoseconds d) {
  t += d;
  return t;
}
static_assert(moved(at(5), 3ns) == at(8));
static_assert(moved(instant::max(), 1ns) == instant::max());

/// The integers as wide as the sums need: what arithmetic would give if it did not saturate.
__extension__ using wide = __int128;

std::int64_t clamped(wide exact) {
  return static_cast<std::int64_t>(std::clamp<wide>(exact, wide{least}, wide{most}));
}

}  // namespace

TEST_CASE("instant: adding a duration saturates at both ends", "[core]") {
  CHECK(instant::max() + 1ns == instant::max());
  CHECK(instant::max() + nanoseconds::max() == instant::max());
  CHECK(at(most - 1) + 1ns == instant::max());
  CHECK(at(most - 1) + 2ns == instant::max());
  CHECK(at(1) + nanoseconds::max() == instant::max());
  CHECK(at(0) + nanoseconds::max() == instant::max());
  CHECK(instant::min() + -1ns == instant::min());
  CHECK(instant::min() + nanoseconds::min() == instant::min());
  CHECK(at(-1) + nanoseconds::min() == instant::min());
  CHECK(at(0) + nanoseconds::min() == instant::min());
  CHECK(at(most) + nanoseconds::min() == at(-1));
}

TEST_CASE("instant: subtracting a duration saturates at both ends", "[core]") {
  CHECK(instant::min() - 1ns == instant::min());
  CHECK(instant::min() - nanoseconds::max() == instant::min());
  CHECK(at(-1) - nanoseconds::max() == instant::min());
  CHECK(instant::max() - -1ns == instant::max());
  CHECK(instant::max() - nanoseconds::min() == instant::max());
  CHECK(at(0) - nanoseconds::min() == instant::max());  // what negating the duration first gets wrong
  CHECK(at(-1) - nanoseconds::min() == instant::max());
  CHECK(instant::min() - nanoseconds::min() == at(0));
}

TEST_CASE("instant: the time between two instants saturates", "[core]") {
  CHECK(instant::max() - instant::min() == nanoseconds::max());
  CHECK(instant::min() - instant::max() == nanoseconds::min());
  CHECK(instant::max() - at(-1) == nanoseconds::max());
  CHECK(at(-2) - instant::max() == nanoseconds::min());
  CHECK(at(0) - instant::min() == nanoseconds::max());
  CHECK(instant::min() - at(0) == nanoseconds::min());
  CHECK(instant::max() - instant::max() == 0ns);
  CHECK(instant::min() - instant::min() == 0ns);
}

TEST_CASE("instant: all arithmetic is the exact one, clamped", "[core]") {
  std::array<std::int64_t, 15> const edges = {
      least, least + 1, least + 2, least / 2 - 1, least / 2, -1'000'000, -1,  0,
      1,     1'000'000, most / 2,  most / 2 + 1,  most - 2,  most - 1,   most};
  for (std::int64_t const a : edges) {
    for (std::int64_t const b : edges) {
      CAPTURE(a, b);
      CHECK((at(a) + nanoseconds(b)).ns == clamped(wide{a} + b));
      CHECK((at(a) - nanoseconds(b)).ns == clamped(wide{a} - b));
      CHECK((at(a) - at(b)).count() == clamped(wide{a} - b));
      CHECK(moved(at(a), nanoseconds(b)) == at(a) + nanoseconds(b));
      CHECK((at(a) < at(b)) == (a < b));
      CHECK((at(a) == at(b)) == (a == b));
    }
  }
}

TEST_CASE("instant: a life of centuries never ends", "[core]") {
  instant const today = at(std::int64_t{60} * 365 * 86'400 * 1'000'000'000);
  CHECK(today + std::chrono::hours(24 * 365 * 250) == instant::max());
  CHECK(today + std::chrono::hours(24 * 365 * 100) < instant::max());
}
