// SPDX-License-Identifier: BSL-1.0
#include "breaker/common.hpp"

namespace {
template <class Trip>
using breaker = circuit_breaker<Trip, manual_clock, breaker_log, tideover::counting>;
breaker_options const easily{
    .failure_threshold = 2, .recovery_timeout = 10s, .failure_rate = 0.5, .min_calls = 2};
}  // namespace

TEMPLATE_TEST_CASE("E8: forced open rejects all; disabled admits and records nothing", "",
                   tideover::consecutive_failures, tideover::failure_rate_in_last<10>,
                   tideover::failure_rate_over<4>, tideover::adaptive_throttle) {
  manual_clock clock;
  breaker<TestType> b(easily, clock);
  b.force_open();
  CHECK(b.state() == breaker_state::forced_open);
  clock.advance(1000h);
  CHECK(b.try_acquire().code() == errc::circuit_open);
  CHECK(b.try_acquire().retry_after() == 0ns);
  b.disable();
  fail_times(b, 100);
  CHECK(b.state() == breaker_state::disabled);
  CHECK(b.stats().failures == 0);
  CHECK(b.stats().window_calls == 0);
  CHECK(b.stats().stale == 0);
  b.automatic();
  CHECK(b.state() == breaker_state::closed);
  CHECK(b.stats().window_calls == 0);
  CHECK(b.stats().window_failures == 0);
}

TEMPLATE_TEST_CASE("E8: observing admits everything, and tells once in a generation that it would open", "",
                   tideover::consecutive_failures, tideover::failure_rate_in_last<10>,
                   tideover::failure_rate_over<4>, tideover::adaptive_throttle) {
  manual_clock clock;
  breaker_log log;
  breaker<TestType> b(easily, clock, log);
  b.observe();
  log.take();
  fail_times(b, 200);
  REQUIRE(log.events().size() == 1);
  CHECK(log.take()[0].cause == breaker_cause::would_open);
  CHECK(b.stats().would_have_opened == 1);
  CHECK(b.stats().rejected == 0);
  CHECK(b.stats().failures == 200);
  b.reconfigure(easily);
  CHECK(b.state() == breaker_state::observing);
  log.take();
  fail_times(b, 200);
  CHECK(log.take().size() == 1);
  CHECK(b.stats().opened == 0);
}

TEST_CASE("E8: each change of mode is a generation; setting the same mode again is none") {
  breaker<tideover::consecutive_failures> b(easily, manual_clock());
  auto const g = [&] { return b.generation(); };
  CHECK(g() == 1);
  b.automatic();
  CHECK(g() == 1);
  b.disable();
  b.disable();
  CHECK(g() == 2);
  b.observe();
  b.observe();
  CHECK(g() == 3);
  b.force_open();
  b.force_open();
  CHECK(g() == 4);
  b.automatic();
  CHECK(g() == 5);
  b.reset();
  b.reset();
  CHECK(g() == 7);
  fail_times(b, 2);
  CHECK(g() == 8);
  b.automatic();  // it is in no mode
  CHECK(b.state() == breaker_state::open);
  b.reset();
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("E8: state() changes nothing: an open breaker whose time has come is open until somebody calls") {
  manual_clock clock;
  breaker<tideover::consecutive_failures> b(easily, clock);
  fail_times(b, 2);
  clock.advance(1h);
  for (int i = 0; i < 3; ++i) CHECK(b.state() == breaker_state::open);
  CHECK(b.stats().generation == 2);
}

TEMPLATE_TEST_CASE("I2: nothing is rejected while closed, disabled or observing", "",
                   tideover::consecutive_failures, tideover::failure_rate_in_last<10>,
                   tideover::failure_rate_over<4>) {
  manual_clock clock;
  breaker<TestType> b({.failure_threshold = 1000, .failure_rate = 1, .min_calls = 10}, clock);
  for (int mode = 0; mode < 3; ++mode) {
    if (mode == 1) b.disable();
    if (mode == 2) b.observe();
    for (int i = 0; i < 500; ++i) {
      auto p = b.try_acquire();
      REQUIRE(p);
      i % 2 == 0 ? p->succeed() : p->fail();
    }
  }
  CHECK(b.stats().rejected == 0);
}

TEST_CASE("reconfigure: new numbers, the same state, a new generation, empty counts") {
  manual_clock clock;
  circuit_breaker<manual_clock> b({.name = "db", .failure_threshold = 5, .recovery_timeout = 10s}, clock);
  fail_times(b, 2);
  auto late = b.try_acquire();
  b.reconfigure({.failure_threshold = 3, .recovery_timeout = 20s});
  CHECK(b.name() == "db");
  late->fail();
  CHECK(b.stats().stale == 1);
  fail_times(b, 2);
  CHECK(b.state() == breaker_state::closed);
  fail_times(b, 1);
  CHECK(b.try_acquire().retry_after() == 20s);
  clock.advance(5s + 1ns);
  b.reconfigure({.failure_threshold = 1, .recovery_timeout = 1h, .probes = 2, .successes = 2});
  CHECK(b.state() == breaker_state::open);
  CHECK(b.try_acquire().retry_after() == 15s - 1ns);
  clock.advance(15s);
  auto p1 = b.try_acquire(), p2 = b.try_acquire();
  REQUIRE((p1 && p2));
  b.reconfigure({.failure_threshold = 1});
  CHECK(b.state() == breaker_state::half_open);
  CHECK(b.stats().probes_out == 0);
  p1->fail();
  p2->fail();
  CHECK(b.state() == breaker_state::half_open);
  succeed_times(b, 1);
  CHECK(b.state() == breaker_state::closed);
  auto const g = b.generation();
  CHECK_THROWS_AS(b.reconfigure({.failure_threshold = 0}), tideover::error);
  CHECK(b.generation() == g);
}
