// SPDX-License-Identifier: BSL-1.0
// What went wrong in breakers that people use, or is left open by the sketch that is copied everywhere: each
// a test, named by what must not happen here.
#include "breaker/common.hpp"

#include <array>

namespace {
using breaker = circuit_breaker<manual_clock>;
using permits = std::vector<breaker::permit>;

permits take(breaker& b, int n) {
  permits out;
  for (int i = 0; i < n; ++i) {
    auto p = b.try_acquire();
    REQUIRE(p);
    out.push_back(std::move(*p));
  }
  return out;
}

struct throwing_classifier {
  using policy_axis = tideover::axis::classifier;
  call_outcome operator()(std::exception_ptr const&) const { throw std::logic_error("cannot tell"); }
};
struct asking_listener {
  using policy_axis = tideover::axis::listener;
  std::function<void()>* ask;
  void on_event(breaker_event const&) const { (*ask)(); }
};
}  // namespace

TEST_CASE("bug: successes of calls begun while closed close a half-open breaker whose probe is still out") {
  manual_clock clock;
  breaker b({.failure_threshold = 1, .recovery_timeout = 1s, .successes = 2}, clock);
  permits late = take(b, 3);
  late.back().fail();
  clock.advance(1s);
  permits const probe = take(b, 1);
  late[0].succeed();
  late[1].succeed();
  CHECK(b.state() == breaker_state::half_open);
  CHECK(b.stats().probes_out == 1);
}

TEST_CASE("bug: stale results give back probes that they never took, and more pass than the limit") {
  manual_clock clock;
  breaker b({.failure_threshold = 1, .recovery_timeout = 1s, .probes = 2, .successes = 20}, clock);
  permits late = take(b, 25);
  late.back().fail();
  clock.advance(1s);
  permits probes = take(b, 2);
  for (int i = 0; i < 20; ++i) late[static_cast<std::size_t>(i)].ignore();
  for (int i = 0; i < 20; ++i) CHECK(!b.try_acquire());
  CHECK(b.stats().probes_out == 2);
}

TEST_CASE("bug: probes that never report leave it half open for ever") {
  manual_clock clock;
  breaker b({.failure_threshold = 1, .recovery_timeout = 1s, .call_timeout = 1s}, clock);
  fail_times(b, 1);
  clock.advance(1s);
  permits const hung = take(b, 1);
  clock.advance(1h);
  CHECK(!b.try_acquire());  // the lease has passed: open, once more
  clock.advance(1s);
  CHECK(b.try_acquire());
}

TEST_CASE("bug: the clock goes back an hour while it is open for 5 s, and it stays open for an hour") {
  wayward_clock clock;
  circuit_breaker<wayward_clock> b({.failure_threshold = 1, .recovery_timeout = 5s}, clock);
  fail_times(b, 1);
  clock.move(-1h);
  CHECK(!b.try_acquire());
  clock.move(6s);
  CHECK(b.try_acquire());
}

TEST_CASE("bug: a classifier that throws while half open loses the probe for good") {
  manual_clock clock;
  circuit_breaker<manual_clock, throwing_classifier> b({.failure_threshold = 1, .recovery_timeout = 1s},
                                                       clock);
  fail_times(b, 1);
  for (int i = 0; i < 5; ++i) {
    clock.advance(1s);
    CHECK_THROWS_AS(b.call([] { throw 1; }), int);
    CHECK(b.state() == breaker_state::open);  // it counts as a failure, and nothing is stuck
  }
  clock.advance(1s);
  b.call([] {});
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("bug: cancelled calls open it") {
  breaker b({.failure_threshold = 5}, manual_clock());
  for (int i = 0; i < 10; ++i)
    CHECK(b.try_call([]() -> tideover::result<int> { return errc::cancelled; }).code());
  for (int i = 0; i < 10; ++i) {
    CHECK(b.try_call([] { throw tideover::error(errc::cancelled, "by the caller"); }).code() ==
          errc::cancelled);
  }
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("bug: a window of time does not ask the clock that it was given") {
  manual_clock clock;
  circuit_breaker<manual_clock, tideover::failure_rate_over<10>> b(
      {.failure_rate = 0.5, .min_calls = 10, .window = 10s}, clock);
  fail_times(b, 9);
  clock.advance(60s);
  fail_times(b, 1);
  CHECK(b.state() == breaker_state::closed);
  CHECK(b.stats().window_calls == 1);
}

TEST_CASE("bug: a listener that asks for the state deadlocks") {
  std::function<void()> ask;
  int asked = 0;
  circuit_breaker<manual_clock, asking_listener> b({.failure_threshold = 1}, manual_clock(),
                                                   asking_listener{&ask});
  ask = [&] {
    CHECK(b.state() == breaker_state::open);
    CHECK(b.stats().opened == 1);
    CHECK(!b.try_acquire());
    ++asked;
  };
  fail_times(b, 1);
  CHECK(asked == 1);
}

TEST_CASE("bug: a two-step probe that is never finished leaves it half open for ever") {
  manual_clock clock;
  breaker b({.failure_threshold = 1, .recovery_timeout = 1s}, clock);
  fail_times(b, 1);
  clock.advance(1s);
  CHECK(b.try_acquire());  // and is dropped at once
  CHECK(b.state() == breaker_state::half_open);
  succeed_times(b, 1);  // its place is free again
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("bug: a stale failure opens a half-open breaker again") {
  manual_clock clock;
  breaker b({.failure_threshold = 1, .recovery_timeout = 1s}, clock);
  permits late = take(b, 2);
  late[0].fail();
  clock.advance(1s);
  permits probe = take(b, 1);
  late[1].fail();
  CHECK(b.state() == breaker_state::half_open);
  probe[0].succeed();
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("bug: a probe whose outcome says nothing closes it") {
  manual_clock clock;
  breaker b({.failure_threshold = 1, .recovery_timeout = 1s}, clock);
  fail_times(b, 1);
  clock.advance(1s);
  CHECK(!b.try_call([]() -> tideover::result<int> { return errc::cancelled; }));
  CHECK(b.state() == breaker_state::half_open);
  CHECK(b.stats().probes_out == 0);
}

TEST_CASE("bug: failures far apart, with successes between them, trip it in time") {
  breaker b({.failure_threshold = 3}, manual_clock());
  for (int i = 0; i < 1000; ++i) {
    fail_times(b, 2);
    succeed_times(b, 1);
  }
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("bug: half open, a failure leads nowhere and every waiting caller is a probe") {
  manual_clock clock;
  breaker b({.failure_threshold = 1, .recovery_timeout = 1s}, clock);
  fail_times(b, 1);
  clock.advance(1s);
  int passed = 0;
  permits out;
  for (int i = 0; i < 100; ++i) {
    if (auto p = b.try_acquire()) ++passed, out.push_back(std::move(*p));
  }
  CHECK(passed == 1);
  out[0].fail();
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("bug: with the documented times a call begun while closed ends while half open, and is believed") {
  for (auto const& preset : {tideover::presets::breaker::database, tideover::presets::breaker::cache}) {
    manual_clock clock;
    breaker b(preset, clock);
    permits slow = take(b, 2);
    fail_times(b, static_cast<int>(preset.failure_threshold));
    clock.advance(preset.call_timeout);  // no less than the recovery time
    permits probe = take(b, 1);
    REQUIRE(b.state() == breaker_state::half_open);
    slow[0].fail();
    CHECK(b.state() == breaker_state::half_open);
    slow[1].succeed();
    CHECK(b.state() == breaker_state::half_open);
  }
}

TEST_CASE("bug: a fallback that fails counts as a failure of what it stands in for") {
  breaker b({.failure_threshold = 2}, manual_clock());
  auto const broken = [](std::error_code) -> int { throw backend_down(); };
  CHECK_THROWS_AS(b.call([]() -> int { throw 1; }, broken), backend_down);
  CHECK(b.stats().failures == 1);
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("bug: a rejection costs as much as a call, by allocating and throwing") {
  breaker b({.failure_threshold = 1}, manual_clock());
  fail_times(b, 1);
  auto const r = b.try_call([] { return 1; });  // costs.cpp counts allocations
  CHECK(r.code() == errc::circuit_open);
  CHECK(r.error().cause == nullptr);
}
