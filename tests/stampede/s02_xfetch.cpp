// SPDX-License-Identifier: BSL-1.0
#include "stampede/common.hpp"

#include <cmath>
#include <limits>
#include <vector>

namespace {

using tideover::instant;
using tideover::xfetch;

/// Gives out the bits it was told to, and counts.
struct scripted_rng {
  std::uint64_t bits = 0;
  int draws = 0;
  std::uint64_t operator()() noexcept {
    ++draws;
    return bits;
  }
};
constexpr std::uint64_t u_is_one = 0;                                            // 1 - 0
constexpr std::uint64_t u_is_least = std::numeric_limits<std::uint64_t>::max();  // 1 - (1 - 2^-53) = 2^-53
constexpr instant soft{1'000'000'000'000};

bool refreshes(xfetch const& early, std::chrono::nanoseconds gap, std::chrono::nanoseconds delta,
               std::uint64_t bits, std::chrono::nanoseconds ttl = 1h) {
  scripted_rng rng{bits};
  return early(soft - gap, soft, delta, ttl, rng);
}

}  // namespace

TEST_CASE("S2: beta 0 is never early, and draws nothing", "[S2]") {
  xfetch const never({.beta = 0.0});
  scripted_rng rng{u_is_least};
  for (auto const gap : {std::chrono::nanoseconds(1h), 1ns})
    CHECK_FALSE(never(soft - gap, soft, 1h, 10h, rng));
  CHECK(never(soft, soft, 1h, 10h, rng));  // that is not early
  CHECK(never(soft + 1h, soft, 1h, 10h, rng));
  CHECK(rng.draws == 0);
}

TEST_CASE("S2: the decision is now - delta * beta * ln(u) >= soft expiry", "[S2]") {
  for (double const beta : {0.5, 1.0, 2.0}) {
    xfetch const early({.beta = beta, .max_early = 1.0});
    tideover::xoshiro bits(7);
    for (int i = 0; i < 10'000; ++i) {
      std::uint64_t const drawn = bits();
      double const u = 1.0 - tideover::to_unit_interval(drawn);
      std::chrono::nanoseconds const delta(1 + static_cast<std::int64_t>(bits() % 1'000'000'000));
      std::chrono::nanoseconds const gap(1 + static_cast<std::int64_t>(bits() % 3'000'000'000));
      double const now_ns = static_cast<double>((soft - gap).ns);
      double const offset = -std::log(u) * beta * static_cast<double>(delta.count());
      if (std::abs(now_ns + offset - static_cast<double>(soft.ns)) < 1.0)
        continue;  // the double's own rounding
      if (refreshes(early, gap, delta, drawn) != (now_ns + offset >= static_cast<double>(soft.ns))) {
        FAIL("beta " << beta << " u " << u << " delta " << delta.count() << " gap " << gap.count());
      }
    }
  }
}

TEST_CASE("S2: u = 1 is never early and u = 2^-53 is finite", "[S2]") {
  xfetch const early({.beta = 1.0, .max_early = 1.0});
  CHECK_FALSE(refreshes(early, 1ns, 1h, u_is_one));
  CHECK(refreshes(early, 0ns, 1h, u_is_one));  // no longer early: it is due
  CHECK(refreshes(early, -1ns, 1h, u_is_one));
  // -ln(2^-53) = 36.7368: with delta 1 s that is how far the least u reaches, and not a step farther.
  CHECK(refreshes(early, 36'736ms, 1s, u_is_least));
  CHECK_FALSE(refreshes(early, 36'737ms, 1s, u_is_least));
}

TEST_CASE("S2: nothing is drawn where no draw could say yes", "[S2]") {
  xfetch const early({.beta = 2.0, .max_early = 0.5});
  auto const draws = [&](std::chrono::nanoseconds gap, std::chrono::nanoseconds delta,
                         std::chrono::nanoseconds ttl) {
    scripted_rng rng{u_is_least};
    early(soft - gap, soft, delta, ttl, rng);
    return rng.draws;
  };
  CHECK(draws(73'600ms, 1s, 1h) == 1);  // 36.8 * 2 * 1 s
  CHECK(draws(73'600ms + 1ns, 1s, 1h) == 0);
  CHECK(draws(30s, 1s, 60s) == 1);  // half the TTL
  CHECK(draws(30s + 1ns, 1s, 60s) == 0);
  CHECK(draws(1ns, 0s, 60s) == 0);
  CHECK(draws(0s, 1s, 60s) == 0);
}

TEST_CASE("S2: a gap above max_early of the TTL is never early, whatever the computation costs", "[S2]") {
  xfetch const early({.beta = 1.0, .max_early = 0.25});
  CHECK(refreshes(early, 15s, 1h, u_is_least, 60s));
  CHECK_FALSE(refreshes(early, 15s + 1ns, 1h, u_is_least, 60s));
  xfetch const barely({.beta = 1.0, .max_early = 0.0});
  CHECK_FALSE(refreshes(barely, 1ns, 1h, u_is_least, 60s));
  CHECK_FALSE(refreshes(early, 1ns, 1h, u_is_least, 0s));
  CHECK_FALSE(refreshes(early, 1ns, 1h, u_is_least, -1s));
}

TEST_CASE("S2: a negative or NaN delta counts as 0; short ones are not rounded away", "[S2]") {
  xfetch const early;
  CHECK_FALSE(refreshes(early, 1ns, -1h, u_is_least));
  using fractional = std::chrono::duration<double, std::nano>;
  for (double const odd :
       {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()}) {
    scripted_rng rng{u_is_least};
    CHECK_FALSE(early(soft - 1ns, soft, fractional(odd), 1h, rng));
    CHECK(early(soft, soft, fractional(odd), 1h, rng));
  }
  scripted_rng rng{u_is_least};
  CHECK(early(soft - 1h, soft, fractional(std::numeric_limits<double>::infinity()), 10h, rng));
  // A computation of 100 us: symfony's whole seconds and whole milliseconds would never be early.
  CHECK(refreshes(early, 3600us, 100us, u_is_least));
  CHECK(refreshes(early, 30ns, 1ns, u_is_least));
  CHECK(early(soft - 3600us, soft, 100us, 1h, rng));
}

TEST_CASE("S2: extreme instants do not overflow", "[S2]") {
  xfetch const early({.beta = 1.0, .max_early = 1.0});
  scripted_rng rng{u_is_least};
  CHECK_FALSE(early(instant::min(), instant::max(), 1s, std::chrono::nanoseconds::max(), rng));
  CHECK(early(instant::max(), instant::min(), 1s, std::chrono::nanoseconds::max(), rng));
  CHECK(early(instant{0}, instant::max(), std::chrono::nanoseconds::max(), std::chrono::nanoseconds::max(),
              rng));
}

TEST_CASE("S2: the share of yes is e^(-gap / (beta delta))", "[S2]") {
  tideover::xoshiro rng(20'150'601);
  for (double const beta : {0.5, 1.0, 2.0}) {
    xfetch const early({.beta = beta});
    for (double const gap : {0.1, 0.5, 1.0, 3.0}) {
      constexpr int n = 200'000;
      int yes = 0;
      auto const ahead = std::chrono::nanoseconds(static_cast<std::int64_t>(gap * 1e9));
      for (int i = 0; i < n; ++i) yes += early(soft - ahead, soft, 1s, 1h, rng);
      double const p = std::exp(-gap / beta);
      CHECK(std::abs(yes - n * p) < 4.5 * std::sqrt(n * p * (1 - p)));
    }
  }
}

TEST_CASE("S2: beta and max_early are checked at construction", "[S2]") {
  auto const refused = [](tideover::xfetch_options o) {
    return answer_of([&] { return xfetch(o).configured().beta >= 0; }).is(errc::invalid_argument);
  };
  double const nan = std::numeric_limits<double>::quiet_NaN();
  double const inf = std::numeric_limits<double>::infinity();
  for (double const beta : {-1.0, -1e-300, nan, inf, -inf}) CHECK(refused({.beta = beta}));
  for (double const share : {-0.01, 1.01, nan, inf}) CHECK(refused({.beta = 1.0, .max_early = share}));
  CHECK_FALSE(refused({.beta = 0.0, .max_early = 0.0}));
  CHECK_FALSE(refused({.beta = 1e300, .max_early = 1.0}));
  CHECK(xfetch({}).configured().beta == 1.0);
  CHECK(xfetch({}).configured().max_early == 0.5);
  try {
    xfetch const wrong({.beta = -1.0});
    FAIL();
  } catch (tideover::error const& e) {
    CHECK(std::string(e.what()).find("xfetch_options.beta is -1; it must be finite and 0 or above") !=
          std::string::npos);
  }
}

TEST_CASE("S2: refresh_after says yes from its share of the TTL on", "[S2]") {
  scripted_rng rng;
  tideover::refresh_after<std::ratio<3, 4>> const after;
  CHECK_FALSE(after(soft - 15s - 1ns, soft, 1s, 60s, rng));
  CHECK(after(soft - 15s, soft, 1s, 60s, rng));
  tideover::refresh_after<> const by_default;
  CHECK_FALSE(by_default(soft - 13s, soft, 1s, 60s, rng));
  CHECK(by_default(soft - 12s, soft, 1s, 60s, rng));
  CHECK(rng.draws == 0);
}

namespace {
/// An rng for the guard whose draws are counted and say "as early as can be".
struct counted_draws {
  using policy_axis = tideover::axis::rng;
  explicit counted_draws(std::uint64_t = 0) noexcept {}
  std::uint64_t operator()() noexcept {
    ++draws;
    return u_is_least;
  }
  inline static int draws = 0;
};
}  // namespace

TEST_CASE("S2: the guard draws only within reach, and clamps by its TTL", "[S2]") {
  manual_clock clock;
  int_guard<counted_draws> guard(sized(10), living(60s, 0s, 0s), clock);
  origin o{clock, 100ms};
  guard.get_or_compute(1, std::ref(o));
  counted_draws::draws = 0;
  clock.advance(60s - 3681ms);  // 36.8 * 100 ms ahead is as far as a draw can reach
  CHECK(guard.get_or_compute(1, std::ref(o)) == 1);
  CHECK(counted_draws::draws == 0);
  clock.advance(10ms);  // 3.671 s ahead: the least u refreshes
  CHECK(guard.get_or_compute(1, std::ref(o)) == 2);
  CHECK(counted_draws::draws == 1);
  o.delay = 100s;  // an expensive one: half of the TTL is the limit
  guard.invalidate(1);
  guard.get_or_compute(1, std::ref(o));
  counted_draws::draws = 0;
  clock.advance(30s - 1ns);
  CHECK(guard.get_or_compute(1, std::ref(o)) == 3);
  CHECK(counted_draws::draws == 0);
  clock.advance(1ns);
  CHECK(guard.get_or_compute(1, std::ref(o)) == 4);
}
