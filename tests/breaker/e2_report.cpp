// SPDX-License-Identifier: BSL-1.0
#include "breaker/common.hpp"

namespace {
using breaker = circuit_breaker<manual_clock>;

/// The same but for what may change by a stale report.
bool same_but_stale(breaker_stats a, breaker_stats const& b) {
  a.stale = b.stale;
  return a.state == b.state && a.generation == b.generation && a.attempt == b.attempt &&
         a.probes_out == b.probes_out && a.window_calls == b.window_calls &&
         a.window_failures == b.window_failures && a.window_slow == b.window_slow &&
         a.successes == b.successes && a.failures == b.failures && a.ignored == b.ignored &&
         a.rejected == b.rejected && a.opened == b.opened && a.would_have_opened == b.would_have_opened;
}
}  // namespace

TEST_CASE("E2: failures in a row trip it, a success between them begins anew, what is ignored does neither") {
  breaker b({.failure_threshold = 3}, manual_clock());
  for (int round = 0; round < 10; ++round) {
    fail_times(b, 2);
    CHECK(b.stats().window_failures == 2);
    CHECK(admits(b));  // ignored
    CHECK(b.stats().window_failures == 2);
    succeed_times(b, 1);
    CHECK(b.stats().window_failures == 0);
  }
  CHECK(b.state() == breaker_state::closed);
  fail_times(b, 2);
  CHECK(admits(b));
  fail_times(b, 1);
  CHECK(b.state() == breaker_state::open);
}

TEMPLATE_TEST_CASE("I5: E2: a report of another generation changes nothing but the count of the stale", "",
                   tideover::consecutive_failures, tideover::failure_rate_in_last<10>,
                   tideover::failure_rate_over<4>) {
  manual_clock clock;
  circuit_breaker<TestType, manual_clock, tideover::counting> b(
      {.failure_threshold = 2, .recovery_timeout = 1s, .min_calls = 2, .successes = 2}, clock);
  using permit = typename decltype(b)::permit;
  auto const permits = [&](int n) {
    std::vector<permit> out;
    for (int i = 0; i < n; ++i) out.push_back(std::move(*b.try_acquire()));
    return out;
  };
  std::uint64_t stale = 0;
  auto const late = [&](std::vector<permit>& from_before) {
    for (auto const o : {call_outcome::success, call_outcome::failure, call_outcome::ignored}) {
      auto const before = b.stats();
      from_before.back().report(o);
      from_before.pop_back();
      CHECK(same_but_stale(before, b.stats()));
      CHECK(b.stats().stale == ++stale);
    }
  };
  auto closed = permits(9);
  fail_times(b, 2);
  REQUIRE(b.state() == breaker_state::open);
  late(closed);
  clock.advance(1s);
  auto probe = permits(1);
  REQUIRE(b.state() == breaker_state::half_open);
  late(closed);
  probe.back().succeed();
  probe.clear();
  succeed_times(b, 1);
  REQUIRE(b.state() == breaker_state::closed);
  late(closed);
  closed = permits(3);
  b.reset();
  late(closed);
}

TEST_CASE("E2: slow calls trip a rate; a slow success is no failure; evaluated on failure and slow only") {
  manual_clock clock;
  circuit_breaker<tideover::failure_rate_in_last<10>, manual_clock> b(
      {.failure_rate = 0.5, .min_calls = 4, .slow_after = 2s, .slow_rate = 0.75}, clock);
  auto const run = [&](std::chrono::nanoseconds takes, bool fails) {
    auto p = b.try_acquire();
    REQUIRE(p);
    clock.advance(takes);
    fails ? p->fail() : p->succeed();
  };
  run(2s, false);
  run(2s - 1ns, false);
  run(5s, false);
  CHECK(b.stats().window_slow == 2);
  CHECK(b.stats().window_failures == 0);
  run(2s, false);  // three of four
  CHECK(b.state() == breaker_state::open);

  b.reset();
  run(0s, true);
  run(0s, true);
  run(0s, false);
  run(0s, false);  // two of four: enough, but a success does not look
  CHECK(b.state() == breaker_state::closed);
  run(0s, true);
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("E2: shares are exact: 7 of 100 is 7 %, 6 are not") {
  for (int failures : {6, 7}) {
    circuit_breaker<tideover::failure_rate_in_last<100>> b({.failure_rate = 0.07, .min_calls = 100});
    for (int i = 0; i < 100 - failures; ++i) b.acquire().succeed();
    fail_times(b, failures);
    CHECK((b.state() == breaker_state::open) == (failures == 7));
  }
}

TEST_CASE(
    "E3: a permit that dies is ignored; a moved-from one says nothing; assigning drops what was there") {
  manual_clock clock;
  breaker b({.failure_threshold = 1, .recovery_timeout = 1s}, clock);
  fail_times(b, 1);
  clock.advance(1s);
  {
    auto p = b.try_acquire();
    REQUIRE(p);
  }
  CHECK(b.stats().probes_out == 0);
  CHECK(b.state() == breaker_state::half_open);
  CHECK(b.stats().ignored == 1);
  {
    breaker::permit first = b.acquire();
    breaker::permit second(std::move(first));
    CHECK(!first.pending());
    CHECK(second.pending());
  }
  CHECK(b.stats().ignored == 2);
  b.reset();
  breaker::permit a = b.acquire(), c = b.acquire();
  a = std::move(c);
  CHECK(b.stats().ignored == 3);
  a.succeed();
  CHECK(!a.pending());
  CHECK(b.stats().ignored == 3);
  CHECK(b.stats().stale == 0);
}

TEST_CASE("E3: shared_breaker: the last permit or call keeps it alive") {
  auto b = std::make_unique<tideover::shared_breaker<breaker_log>>(breaker_options{.failure_threshold = 1});
  auto const log = b->operator->()->listener();
  auto p = b->try_acquire();
  auto q = b->try_acquire();
  REQUIRE((p && q));
  b.reset();
  p->fail();
  CHECK(log.events().size() == 1);
  q->succeed();
  tideover::shared_breaker<> outer({});
  int const seen = outer.call([&] {
    outer = tideover::shared_breaker<>({});  // the one that guards this call goes, but for the call
    return 7;
  });
  CHECK(seen == 7);
}

TEST_CASE("I6: a count window at rest holds exactly the last calls of its generation") {
  constexpr std::size_t kept = 38 + 12;
  manual_clock clock;
  circuit_breaker<tideover::failure_rate_in_last<kept>, manual_clock> b(
      {.recovery_timeout = 1s, .failure_rate = 1, .min_calls = kept}, clock);
  std::vector<bool> history;
  std::uint32_t word = 12345;
  for (int i = 0; i < 500; ++i) {
    word = word * 1664525 + 1013904223;
    bool const fails = (word >> 24) % 3 == 0;
    history.push_back(fails);
    fails ? b.acquire().fail() : b.acquire().succeed();
    std::size_t const n = history.size() < kept ? history.size() : kept;
    std::size_t failures = 0;
    for (std::size_t k = history.size() - n; k < history.size(); ++k) failures += history[k] ? 1u : 0u;
    REQUIRE(b.stats().window_calls == n);
    REQUIRE(b.stats().window_failures == failures);
  }
  b.reset();
  CHECK(b.stats().window_calls == 0);
  CHECK(b.stats().window_failures == 0);
}

TEST_CASE("a time window forgets by whole slices, and an idle gap at once") {
  manual_clock clock;
  circuit_breaker<tideover::failure_rate_over<10>, manual_clock> b(
      {.failure_rate = 1, .min_calls = 1000, .window = 10s}, clock);
  for (int second = 0; second < 10; ++second) {
    fail_times(b, 1);
    succeed_times(b, 1);
    clock.advance(1s);
  }
  CHECK(b.stats().window_calls == 18);  // the first slice has just gone
  CHECK(b.stats().window_failures == 9);
  clock.advance(8s);
  CHECK(b.stats().window_calls == 2);
  clock.advance(1s);
  CHECK(b.stats().window_calls == 0);
  fail_times(b, 1);
  clock.advance(1000h);
  CHECK(b.stats().window_calls == 0);
}

TEST_CASE("a slice of a time window that is full halves its counts: the share stays") {
  manual_clock clock;
  circuit_breaker<tideover::failure_rate_over<2>, manual_clock> b(
      {.failure_rate = 0.51, .min_calls = 1, .slow_after = 1h, .window = 100h}, clock);
  for (int i = 0; i < 150'000; ++i) {
    b.acquire().succeed();
    b.acquire().fail();
    if (i == 0) REQUIRE(b.state() == breaker_state::closed);
  }
  auto const s = b.stats();
  CHECK(s.window_calls > 131'000);
  CHECK(s.window_calls < 262'144);
  CHECK(s.window_failures * 100 >= s.window_calls * 49);
  CHECK(s.window_failures * 100 <= s.window_calls * 51);
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("the throttle turns away in proportion, and never more than it may") {
  manual_clock clock;
  circuit_breaker<tideover::adaptive_throttle, manual_clock> b(
      {.min_calls = 10, .window = 120s, .throttle_factor = 2, .throttle_most = 0.9}, clock,
      tideover::xoshiro(1));
  succeed_times(b, 50);
  fail_times(b, 50);
  CHECK(admits(b));  // half succeed: (100 - 2 * 50) / 101 is 0
  int admitted = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (auto p = b.try_acquire()) {
      p->fail();
      ++admitted;
    }
  }
  CHECK(admitted > 1'700);  // a tenth, soon
  CHECK(admitted < 2'500);
  CHECK(b.state() == breaker_state::closed);
  clock.advance(130s);
  succeed_times(b, 20);
  CHECK(b.stats().rejected == 20'000u - static_cast<unsigned>(admitted));
}
