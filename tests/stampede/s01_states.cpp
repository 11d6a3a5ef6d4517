// SPDX-License-Identifier: BSL-1.0
#include "stampede/common.hpp"

TEST_CASE("S1: an entry is fresh before its TTL, stale until its hard expiry, absent from then on", "[S1]") {
  manual_clock clock;
  plain_guard guard(sized(10), usual(), clock);
  origin o{clock};
  CHECK(guard.serve(1, std::ref(o)).how == serving::computed);
  clock.advance(10s - 1ns);
  CHECK(guard.serve(1, std::ref(o)).how == serving::fresh);
  CHECK(guard.get(1) == 1);
  clock.advance(1ns);  // now == soft expiry: stale
  o.fails = true;
  auto got = guard.serve(1, std::ref(o));
  CHECK(got.how == serving::stale_while_revalidate);
  CHECK(got.value == 1);
  CHECK(got.stale());
  clock.advance(5s - 1ns);
  CHECK(guard.get(1) == 1);
  CHECK(guard.serve(1, std::ref(o)).how == serving::stale_while_revalidate);
  clock.advance(1ns);  // past stale_while_revalidate: for failures only
  CHECK(guard.get(1) == std::nullopt);
  got = guard.serve(1, std::ref(o));
  CHECK(got.how == serving::stale_if_error);
  CHECK(got.value == 1);
  clock.advance(55s - 1ns);
  CHECK(guard.serve(1, std::ref(o)).how == serving::stale_if_error);
  clock.advance(1ns);  // now == hard expiry: absent
  CHECK_THROWS_AS(guard.serve(1, std::ref(o)), std::runtime_error);
  CHECK(guard.get(1) == std::nullopt);
}

TEST_CASE("S1: the hard expiry is the soft one and the longer of both allowances", "[S1]") {
  manual_clock clock;
  for (auto const& [revalidate, if_error] : {std::pair{5s, 60s}, std::pair{60s, 5s}, std::pair{0s, 0s}}) {
    plain_guard guard(sized(10), living(10s, revalidate, if_error), clock);
    guard.get_or_compute(1, [] { return 1; });
    auto const e = guard.store().get(1);
    REQUIRE(e);
    CHECK(e->soft_expiry == clock.now() + 10s);
    CHECK(e->hard_expiry == clock.now() + 10s + std::max(revalidate, if_error));
    CHECK(guard.store().remaining_life(1) == 10s + std::max(revalidate, if_error));
  }
}

TEST_CASE("S1: a TTL of zero or less is not stored, also not as a stale value", "[S1]") {
  manual_clock clock;
  for (auto const ttl : {0ns, -1ns, std::chrono::nanoseconds::min()}) {
    plain_guard guard(sized(10), living(ttl, 5s, 60s), clock);
    origin o{clock};
    CHECK(guard.get_or_compute(1, std::ref(o)) == 1);
    CHECK(guard.get_or_compute(1, std::ref(o)) == 2);
    CHECK(guard.store().size() == 0);
    CHECK_FALSE(guard.put(1, 5));
    CHECK(guard.store().size() == 0);
  }
  plain_guard guard(sized(10), usual(), clock);
  guard.put(1, 5);
  CHECK_FALSE(guard.put(1, 6, {.ttl = 0s}));  // what was there is out of date
  CHECK(guard.get(1) == std::nullopt);
  CHECK(guard.store().size() == 0);
}

TEST_CASE("S1: the TTL counts from the end of the computation and comes from the options alone", "[S1]") {
  manual_clock clock;
  plain_guard guard(sized(10), usual(), clock);
  origin o{clock, 3s};
  guard.get_or_compute(1, std::ref(o));
  auto const e = guard.store().get(1);
  REQUIRE(e);
  CHECK(e->soft_expiry == clock.now() + 10s);
  CHECK(e->created == clock.now() - 3s);
  CHECK(e->delta == 3s);
}

TEST_CASE("S1: with ttl_jitter a TTL is shortened by a random share of up to that", "[S1]") {
  manual_clock clock;
  auto o = usual();
  o.ttl_jitter = 0.5;
  plain_guard guard(sized(1000), o, clock);
  std::chrono::nanoseconds least = 1h, most = 0s;
  for (int key = 0; key < 500; ++key) {
    key % 2 == 0 ? static_cast<void>(guard.get_or_compute(key, [] { return 1; }))
                 : static_cast<void>(guard.put(key, 1));
    auto const life = guard.store().get(key)->soft_expiry - clock.now();
    least = std::min(least, life);
    most = std::max(most, life);
  }
  CHECK(least >= 5s);
  CHECK(least < 5500ms);
  CHECK(most <= 10s);
  CHECK(most > 9500ms);
  guard.put(1, 1, {.ttl = 7s});
  CHECK(guard.store().get(1)->soft_expiry == clock.now() + 7s);
}

TEST_CASE("S1: options out of bounds are refused by name", "[S1]") {
  auto const refused = [](stampede_guard_options const& o) {
    return answer_of([&] { return plain_guard(sized(10), o, manual_clock()).stats().failed == 0; })
        .is(errc::invalid_argument);
  };
  stampede_guard_options o;
  CHECK_FALSE(refused(o));
  CHECK(refused(living(1s, -1ns, 0s)));
  CHECK(refused(living(1s, 0s, -1ns)));
  o.negative_ttl = -1ns;
  CHECK(refused(o));
  o = {};
  for (double const jitter : {-0.01, 0.51, std::numeric_limits<double>::quiet_NaN()}) {
    o.ttl_jitter = jitter;
    CHECK(refused(o));
  }
  o = {};
  o.max_failing = 0;
  CHECK(refused(o));
  o = {};
  o.max_waiters = 4'000'000'001u;
  CHECK(refused(o));
  try {
    plain_guard guard(sized(10), living(1s, -7ns, 0s), manual_clock());
    FAIL();
  } catch (tideover::error const& e) {
    CHECK(std::string(e.what()).find(
              "stampede_guard_options.stale_while_revalidate is -7 ns; it must be 0 ns or "
              "above") != std::string::npos);
  }
}

TEST_CASE("S1: a guarded cache names its own options when it refuses them", "[S1]") {
  using guarded = tideover::guarded_cache<int, int>;
  using Catch::Matchers::Contains;
  CHECK_THROWS_WITH(guarded({.capacity = 0}), Contains("guarded_cache_options.capacity is 0; it must be"));
  CHECK_THROWS_WITH(guarded({.ttl_jitter = 0.75}),
                    Contains("guarded_cache_options.ttl_jitter is 0.75; it must be"));
  CHECK_THROWS_WITH(guarded({.max_failing = 0}),
                    Contains("guarded_cache_options.max_failing is 0; it must be"));
  // As many digits as it takes to tell it from the bound.
  CHECK_THROWS_WITH(guarded({.ttl_jitter = 0.50000000000000011}),
                    Contains("ttl_jitter is 0.5000000000000001;"));
}
