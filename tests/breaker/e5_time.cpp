// SPDX-License-Identifier: BSL-1.0
#include "breaker/common.hpp"

#include <limits>

namespace {
template <class Breaker>
std::size_t reads_of_a_call(breaker_options const& o) {
  counted_clock clock;
  Breaker b(o, clock);
  std::size_t const before = clock.reads();
  b.call([] { return 1; });
  CHECK_THROWS_AS(b.call([] { throw 1; }), int);
  b.acquire().ignore();
  return clock.reads() - before;
}

struct odd_duration {
  using policy_axis = tideover::axis::open_duration;
  static constexpr bool draws = false;
  template <class Rng>
  std::chrono::nanoseconds open_for(std::chrono::nanoseconds base, unsigned attempt, Rng&) const {
    if (attempt == 1) throw std::logic_error("no idea");
    if (attempt == 2) return -1ns;
    if (attempt == 3) return 0ns;
    return attempt == 4 ? std::chrono::nanoseconds::max() : base;
  }
};
}  // namespace

TEST_CASE("E5: a closed breaker reads no clock, unless calls may be slow or the window is one of time") {
  CHECK(reads_of_a_call<circuit_breaker<counted_clock>>({}) == 0);
  using in_last = circuit_breaker<counted_clock, tideover::failure_rate_in_last<10>>;
  CHECK(reads_of_a_call<in_last>({.min_calls = 10}) == 0);
  CHECK(reads_of_a_call<in_last>({.min_calls = 10, .slow_after = 1s}) > 0);
  CHECK(reads_of_a_call<circuit_breaker<counted_clock, tideover::failure_rate_over<>>>({}) == 2);
  counted_clock clock;
  circuit_breaker<counted_clock> b({}, clock);
  std::size_t const before = clock.reads();
  b.call([](tideover::deadline const&) {});  // it has to be told a time
  CHECK(clock.reads() - before == 1);
  b.disable();
  CHECK(admits(b));
  CHECK(clock.reads() - before == 1);
}

TEST_CASE("E5: slow is as long as slow_after or longer; successes are counted by `counting` alone") {
  manual_clock clock;
  circuit_breaker<manual_clock, tideover::failure_rate_in_last<10>> b({.min_calls = 10, .slow_after = 2s},
                                                                      clock);
  for (auto const takes : {2s - 1ns, std::chrono::nanoseconds(2s)}) b.call([&] { clock.advance(takes); });
  CHECK(b.stats().window_slow == 1);
  CHECK(!b.stats().counts_successes);
  CHECK(b.stats().successes == 0);
  circuit_breaker<tideover::counting> c({});
  c.call([] {});
  c.acquire().succeed();
  CHECK(c.stats().counts_successes);
  CHECK(c.stats().successes == 2);
}

TEST_CASE("E5: a call that began when the clock said zero may be slow as any other") {
  manual_clock clock(instant{0});
  circuit_breaker<manual_clock, tideover::failure_rate_in_last<10>> b({.min_calls = 10, .slow_after = 2s},
                                                                      clock);
  b.call([&] { clock.advance(2s); });
  CHECK(b.stats().window_slow == 1);
}

TEST_CASE("E6: a clock that is set back counts as standing still: nothing waits longer than once more") {
  wayward_clock clock;
  circuit_breaker<wayward_clock> b({.failure_threshold = 1, .recovery_timeout = 5s, .call_timeout = 1s},
                                   clock);
  fail_times(b, 1);
  clock.move(2s);
  clock.move(-1h);
  CHECK(b.try_acquire().retry_after() == 5s);
  clock.move(5s - 1ns);
  CHECK(b.try_acquire().retry_after() == 1ns);
  clock.move(1ns);
  auto probe = b.try_acquire();
  REQUIRE(probe);
  clock.move(-1h);
  CHECK(!b.try_acquire());
  clock.move(2s + 2ms);
  CHECK(b.try_acquire().retry_after() == 5s);  // the lease has ended all the same
}

TEST_CASE(
    "E6: a time window on a clock that is set back: within the window it stands still, else it starts anew") {
  wayward_clock clock;
  circuit_breaker<wayward_clock, tideover::failure_rate_over<10>> b(
      {.failure_rate = 1, .min_calls = 1000, .window = 10s}, clock);
  fail_times(b, 3);
  clock.move(-4s);
  CHECK(b.stats().window_calls == 3);
  fail_times(b, 1);
  CHECK(b.stats().window_calls == 4);
  clock.move(-1h);
  CHECK(b.stats().window_calls == 0);
  fail_times(b, 2);
  CHECK(b.stats().window_calls == 2);
}

TEST_CASE("E6: open durations: thrown or negative is the base, zero is at once, and no sum overflows") {
  manual_clock clock;
  circuit_breaker<manual_clock, odd_duration> b({.failure_threshold = 1, .recovery_timeout = 7s}, clock);
  fail_times(b, 1);
  CHECK(b.try_acquire().retry_after() == 7s);
  CHECK(b.stats().duration_failures == 1);
  clock.advance(7s);
  fail_times(b, 1);
  CHECK(b.try_acquire().retry_after() == 7s);
  CHECK(b.stats().duration_failures == 2);
  clock.advance(7s);
  fail_times(b, 1);
  CHECK(b.state() == breaker_state::open);
  fail_times(b, 1);  // zero: the next one is a probe
  CHECK(b.stats().attempt == 4);
  clock.advance(24h * 365 * 30);
  CHECK(!b.try_acquire());  // for ever
  CHECK(b.stats().duration_failures == 2);

  circuit_breaker<manual_clock> longest(
      {.failure_threshold = 1, .recovery_timeout = std::chrono::nanoseconds::max()}, clock);
  fail_times(longest, 1);
  clock.advance(24h * 365 * 30);
  CHECK(!longest.try_acquire());
}

TEST_CASE("E6: the stock durations: doubled up to a limit that never overflows; jitter is half") {
  tideover::xoshiro rng(1);
  using namespace tideover;
  CHECK(open_fixed::open_for(3s, 31, rng) == 3s);
  for (unsigned attempt : {1u, 2u, 3u, 10u, 31u}) {
    auto const d = open_exponential{.limit = 20s}.open_for(3s, attempt, rng);
    CHECK(d == std::min<std::chrono::nanoseconds>(20s, 3s * (std::int64_t{1} << (attempt - 1))));
  }
  CHECK(open_exponential{.limit = 1s}.open_for(3s, 5, rng) == 3s);  // never less than the base
  auto const endless = std::chrono::nanoseconds::max();
  CHECK(open_exponential{.limit = endless}.open_for(24h * 365 * 200, 31, rng) == endless);
  std::chrono::nanoseconds least = endless, most = 0ns;
  for (int i = 0; i < 10'000; ++i) {
    auto const d = open_jittered{.limit = 60s}.open_for(10s, 2, rng);
    least = std::min(least, d);
    most = std::max(most, d);
  }
  CHECK(least >= 10s);
  CHECK(least < 10s + 20ms);
  CHECK(most <= 20s);
  CHECK(most > 20s - 20ms);
}
