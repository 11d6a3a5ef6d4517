// SPDX-License-Identifier: BSL-1.0
#include "stampede/common.hpp"

#include <algorithm>

namespace {
using namespace tideover_test;
using constant = tideover::constant_backoff;
using resting_guard = int_guard<tideover::no_early_refresh, constant>;
}  // namespace

TEST_CASE("S8: hard expiry wins over a refresh that is stuck", "[S8]") {
  watchdog const dog("a stuck refresh");
  manual_clock clock;
  plain_guard guard(sized(10), living(10s, 5s, 0s), clock);
  guard.put(1, 5);
  clock.advance(10s);
  gate door;
  asking stuck([&] { return guard.get_or_compute(1, [&] { return door.pass(), 6; }); });
  door.await_arrivals(1);
  clock.advance(5s - 1ns);
  CHECK(guard.get_or_compute(1, [] { return -1; }) == 5);
  clock.advance(1ns);
  asking waiter([&] {
    return guard.get_or_compute(
        1, [] { return -1; }, tideover::deadline::after(clock, 1s));
  });
  clock.await_sleepers(1);
  clock.advance(1s);
  CHECK(waiter.got().is(errc::timed_out));  // but not the dead value
  door.open();
  CHECK(stuck.got().is(6));
}

TEST_CASE("S8: after a failure the key rests, from when the failure settled", "[S8]") {
  manual_clock clock;
  resting_guard guard(sized(10), usual(), clock, constant{1s});
  origin o{clock, 3s};
  o.fails = true;
  CHECK_THROWS_AS(guard.get_or_compute(1, std::ref(o)), std::runtime_error);
  clock.advance(1s - 1ns);
  auto const got = guard.try_get_or_compute(1, std::ref(o));
  CHECK(o.asked == 1);
  CHECK(got.code() == errc::computation_failed);
  CHECK(got.retry_after() == 1ns);
  CHECK_THROWS_WITH(guard.get_or_compute(1, std::ref(o)), "the origin is down");  // the last error, as it was
  CHECK(guard.stats().failed_fast == 2);
  clock.advance(1ns);
  CHECK_THROWS_AS(guard.get_or_compute(1, std::ref(o)), std::runtime_error);
  CHECK(o.asked == 2);
}

TEST_CASE("S8: fresh and stale values are served while the key rests", "[S8]") {
  manual_clock clock;
  int_guard<tideover::refresh_after<std::ratio<1, 2>>, constant> guard(sized(10), usual(), clock,
                                                                       constant{4s});
  origin o{clock};
  guard.get_or_compute(1, std::ref(o));
  o.fails = true;
  clock.advance(5s);
  CHECK(guard.serve(1, std::ref(o)).how == serving::fresh);  // its refresh fails
  CHECK(o.asked == 2);
  clock.advance(1s);
  CHECK(guard.serve(1, std::ref(o)).how == serving::fresh);  // rests
  CHECK(o.asked == 2);
  clock.advance(4s);
  CHECK(guard.serve(1, std::ref(o)).how == serving::stale_while_revalidate);  // tries again
  CHECK(o.asked == 3);
  CHECK(guard.serve(1, std::ref(o)).how == serving::stale_while_revalidate);
  clock.advance(5s);
  CHECK(guard.serve(1, std::ref(o)).how == serving::stale_if_error);
  CHECK(o.asked == 4);
  auto const got = guard.serve(1, std::ref(o));
  CHECK(got.how == serving::stale_if_error);
  CHECK(got.why.cause != nullptr);
  CHECK(got.why.retry_after == 4s);
  CHECK(o.asked == 4);
}

TEST_CASE("S4: S8: a failure that is not to be retried hides the stale value from all while the key rests",
          "[S8]") {
  manual_clock clock;
  bool (*const passes)(tideover::failure const&) = [](tideover::failure const&) { return false; };
  using strict = tideover::retryable_if<bool (*)(tideover::failure const&)>;
  int_guard<tideover::no_early_refresh, constant, strict> guard(sized(10), usual(), clock, constant{1s},
                                                                strict(passes));
  origin o{clock};
  guard.get_or_compute(1, std::ref(o));
  o.fails = true;
  clock.advance(16s);  // neither fresh nor to be revalidated
  CHECK(!guard.try_serve(1, std::ref(o)));
  CHECK(o.asked == 2);
  auto const other = guard.try_serve(1, std::ref(o));
  CHECK(!other);
  CHECK(other.retry_after() == 1s);
  CHECK(o.asked == 2);
}

namespace {
/// Writes down how often it is asked, and by which attempt.
struct noting_backoff {
  using policy_axis = tideover::axis::backoff;
  std::vector<unsigned>* attempts = nullptr;
  template <class Rng>
  std::chrono::nanoseconds delay(unsigned attempt, Rng&) const noexcept {
    attempts->push_back(attempt);
    return 1s * (1 << attempt);
  }
};
}  // namespace

TEST_CASE("S8: failures in a row count up, and a success, a write or a quiet minute begins anew", "[S8]") {
  manual_clock clock;
  std::vector<unsigned> attempts;
  int_guard<tideover::no_early_refresh, noting_backoff> guard(sized(10), usual(), clock,
                                                              noting_backoff{&attempts});
  origin o{clock};
  auto const fail = [&](std::chrono::nanoseconds after) {
    o.fails = true;
    clock.advance(after);
    CHECK_THROWS_AS(guard.get_or_compute(1, std::ref(o)), std::runtime_error);
  };
  fail(0s), fail(1s), fail(2s), fail(4s);
  CHECK(attempts == std::vector<unsigned>{0, 1, 2, 3});
  attempts.clear();
  o.fails = false;
  clock.advance(8s);
  CHECK(guard.get_or_compute(1, std::ref(o)) == 1);
  CHECK(guard.stats().failing == 0);
  clock.advance(100s);
  fail(0s), fail(1s);
  CHECK(attempts == std::vector<unsigned>{0, 1});
  guard.invalidate(1);  // who invalidates knows better: no rest
  fail(0s);
  CHECK(attempts == std::vector<unsigned>{0, 1, 0});
  guard.clear();
  fail(0s), fail(1s);
  CHECK(attempts == std::vector<unsigned>{0, 1, 0, 0, 1});
  fail(2s + 60s);  // not more than a minute after the rest
  fail(4s + 60s + 1ns);
  CHECK(attempts == std::vector<unsigned>{0, 1, 0, 0, 1, 2, 0});
}

TEST_CASE("S8: the default backoff is 100 ms doubling to 30 s, with full jitter", "[S8]") {
  tideover::exponential_backoff const b;
  CHECK(b.first == 100ms);
  CHECK(b.limit == 30s);
  manual_clock clock;
  int_guard<tideover::no_early_refresh> guard(sized(10), usual(), clock);
  static_assert(std::is_same_v<decltype(guard)::backoff_type, tideover::exponential_backoff>);
  // Over many keys the first rests fill 0 to 100 ms evenly.
  origin o{clock};
  o.fails = true;
  std::chrono::nanoseconds longest = 0s, sum = 0s;
  for (int key = 0; key < 400; ++key) {
    CHECK_THROWS(guard.get_or_compute(key, std::ref(o)));
    auto const rest = guard.try_get_or_compute(key, [] { return 1; }).retry_after();
    longest = std::max(longest, rest);
    sum += rest;
  }
  CHECK(longest > 95ms);
  CHECK(longest < 100ms);
  CHECK(sum / 400 > 40ms);
  CHECK(sum / 400 < 60ms);
}

TEST_CASE("S8: a cycle is no reason to rest, nor is a computation that was told to stop", "[S8]") {
  manual_clock clock;
  resting_guard guard(sized(10), usual(), clock, constant{1h});
  auto const inner = [&] { return guard.get_or_compute(1, [] { return 2; }); };
  CHECK(answer_of([&] { return guard.get_or_compute(1, inner); }).is(errc::recursive_computation));
  CHECK(guard.get_or_compute(1, [] { return 3; }) == 3);
  auto o = usual();
  o.stop_unwanted = true;
  resting_guard stops(sized(10), o, clock, constant{1h});
  std::stop_source stop;
  auto const got = stops.try_get_or_compute(
      1,
      [&](int const&, std::stop_token const&) -> tideover::result<int> {
        stop.request_stop();
        return errc::cancelled;
      },
      tideover::deadline{.stop = stop.get_token()});
  CHECK(got.code() == errc::cancelled);
  CHECK(stops.get_or_compute(1, [] { return 3; }) == 3);
}

TEST_CASE("S8: it is no reason to rest however a cycle or a computation told to stop is reported", "[S8]") {
  manual_clock clock;
  auto o = usual();
  o.stop_unwanted = true;
  resting_guard guard(sized(10), o, clock, constant{1h});
  auto const inner = [&] { return guard.try_get_or_compute(1, [] { return 2; }); };
  CHECK(guard.try_get_or_compute(1, inner).code() == errc::recursive_computation);
  CHECK(guard.get_or_compute(1, [] { return 3; }) == 3);
  std::stop_source stop;
  auto const got = guard.try_get_or_compute(
      2,
      [&](int const&, std::stop_token const& told) -> int {
        stop.request_stop();
        if (told.stop_requested()) throw std::runtime_error("stopped");
        return 1;
      },
      tideover::deadline{.stop = stop.get_token()});
  CHECK(got.code() == errc::computation_failed);
  CHECK(guard.get_or_compute(2, [] { return 3; }) == 3);
}

TEST_CASE("S8: failures are remembered of a bounded number of keys; the oldest are forgotten", "[S8]") {
  manual_clock clock;
  auto o = usual();
  o.max_failing = 4;
  int_guard<tideover::no_early_refresh, constant, tideover::one_mutex> guard(sized(10), o, clock,
                                                                             constant{1h});
  origin source{clock};
  source.fails = true;
  for (int key = 0; key < 10; ++key) CHECK_THROWS(guard.get_or_compute(key, std::ref(source)));
  CHECK(guard.stats().failing == 4);
  CHECK(guard.stats().forgotten_failures == 6);
  for (int key = 6; key < 10; ++key) CHECK_THROWS(guard.get_or_compute(key, std::ref(source)));
  CHECK(source.asked == 10);
  CHECK_THROWS(guard.get_or_compute(0, std::ref(source)));
  CHECK(source.asked == 11);
}
