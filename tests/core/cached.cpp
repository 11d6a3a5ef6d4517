// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/move_only.hpp"

#include <tideover/cached.hpp>

#include <chrono>
#include <string>
#include <type_traits>

namespace {

using namespace std::chrono_literals;
using tideover::cached;
using tideover::instant;

static_assert(std::is_aggregate_v<cached<std::string>>);
static_assert(std::is_trivially_copyable_v<cached<int>>);
static_assert(std::is_move_constructible_v<cached<tideover_test::move_only>>);

constexpr cached<int> entry{
    .value = 1, .created = instant::at(0s), .soft_expiry = instant::at(10s), .hard_expiry = instant::at(20s)};
// From its soft expiry on it is stale, from its hard expiry on it is gone: the boundaries belong to the
// later.
static_assert(entry.fresh(instant::at(10s - 1ns)) && !entry.fresh(instant::at(10s)));
static_assert(!entry.stale(instant::at(10s - 1ns)) && entry.stale(instant::at(10s)));
static_assert(entry.stale(instant::at(20s - 1ns)) && !entry.stale(instant::at(20s)));
static_assert(!entry.gone(instant::at(20s - 1ns)) && entry.gone(instant::at(20s)));

}  // namespace

TEST_CASE("cached: at each instant it is exactly one of fresh, stale and gone", "[core]") {
  auto const edges = {instant::min(),
                      instant::at(-1ns),
                      instant::at(0ns),
                      instant::at(1ns),
                      instant::at(2ns),
                      instant::at(3ns),
                      instant{instant::max().ns - 1},
                      instant::max()};
  for (instant const soft : edges) {
    for (instant const hard :
         edges) {  // a soft expiry after the hard one is a mistake, yet never served late
      for (instant const now : edges) {
        CAPTURE(soft.ns, hard.ns, now.ns);
        cached<int> const c{.value = 0, .soft_expiry = soft, .hard_expiry = hard};
        CHECK(int{c.fresh(now)} + int{c.stale(now)} + int{c.gone(now)} == 1);
        CHECK(c.gone(now) == (now >= hard));
        CHECK(c.fresh(now) == (now < soft && now < hard));
      }
    }
  }
}

TEST_CASE("cached: what is not said holds for ever and costs nothing", "[core]") {
  cached<std::string> const c{"v"};
  CHECK(c.value == "v");
  CHECK(c.created == instant{});
  CHECK(c.delta == 0ns);
  CHECK(c.generation == 0);
  CHECK(c.fresh(instant::min()));
  CHECK(c.fresh({instant::max().ns - 1}));
  CHECK_FALSE(c.stale({instant::max().ns - 1}));
}
