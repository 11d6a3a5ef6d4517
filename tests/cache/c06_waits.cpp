// SPDX-License-Identifier: BSL-1.0
#include "cache/computing.hpp"

#include <stop_token>

namespace {

/// Key 1 is being computed to be 10 until the door opens.
struct blocked {
  manual_clock clock;
  int_cache<tideover::one_mutex> cache{sized(10, 1h), clock};
  gate door;
  asking leader{[this] { return cache.get_or_compute(1, [this] { return door.pass(), 10; }); }};

  blocked() { door.await_arrivals(1); }
  ~blocked() { door.open(); }
};

}  // namespace

TEST_CASE("C6: a waiter whose deadline comes is told so, the computation goes on", "[C6]") {
  watchdog const dog("a waiter with a deadline");
  blocked t;
  asking waiter([&] {
    return t.cache.get_or_compute(
        1, [] { return -1; }, tideover::deadline::after(t.clock, 5s));
  });
  t.clock.await_sleepers(1);
  t.clock.advance(5s - 1ns);
  CHECK(t.clock.sleepers() == 1);
  t.clock.advance(1ns);
  CHECK(waiter.got().is(errc::timed_out));
  CHECK(t.cache.stats().waits_ended == 1);
  t.door.open();
  CHECK(t.leader.got().is(10));
  CHECK(t.cache.get(1) == 10);
  CHECK(adds_up(t.cache.stats()));
}

TEST_CASE("C6: a waiter may be called off by its stop_token", "[C6]") {
  watchdog const dog("a waiter with a stop_token");
  blocked t;
  std::stop_source stop;
  asking waiter([&] {
    return t.cache.get_or_compute(
        1, [] { return -1; }, tideover::deadline{.stop = stop.get_token()});
  });
  await_joined(t.cache, 1);
  stop.request_stop();
  CHECK(waiter.got().is(errc::cancelled));
  CHECK(t.cache.stats().waits_ended == 1);
  t.door.open();
  CHECK(t.leader.got().is(10));
}

TEST_CASE("C6: a stop that was asked for before the call, and a deadline that passed, end the wait at once",
          "[C6]") {
  watchdog const dog("waits that were over before they began");
  blocked t;
  std::stop_source stop;
  stop.request_stop();
  CHECK(answer_of([&] {
          return t.cache.get_or_compute(
              1, [] { return -1; }, tideover::deadline{.stop = stop.get_token()});
        }).is(errc::cancelled));
  CHECK(answer_of([&] {
          return t.cache.get_or_compute(
              1, [] { return -1; }, tideover::deadline{.at = t.clock.now()});
        }).is(errc::timed_out));
  CHECK(t.cache
            .try_get_or_compute(
                1, [] { return -1; }, tideover::deadline{.at = t.clock.now()})
            .code() == errc::timed_out);
  CHECK(t.cache.stats().waits_ended == 3);
}

TEST_CASE("C6: each waiter has a deadline of its own; who has none waits to the end", "[C6]") {
  watchdog const dog("waiters with different deadlines");
  blocked t;
  auto const waiting = [&](std::chrono::nanoseconds patience) {
    return [&t, patience] {
      return t.cache.get_or_compute(
          1, [] { return -1; }, tideover::deadline::after(t.clock, patience));
    };
  };
  asking hasty(waiting(1s)), calm(waiting(2s)), patient(waiting(24h));
  asking endless([&] { return t.cache.get_or_compute(1, [] { return -1; }); });
  await_joined(t.cache, 4);
  t.clock.await_sleepers(3);
  t.clock.advance(1s);
  CHECK(hasty.got().is(errc::timed_out));
  t.clock.advance(1s);
  CHECK(calm.got().is(errc::timed_out));
  t.door.open();
  CHECK(patient.got().is(10));
  CHECK(endless.got().is(10));
  CHECK(t.leader.got().is(10));
}

TEST_CASE("C6: a deadline does not interrupt the caller's own function", "[C6]") {
  manual_clock clock;
  int_cache<> cache(sized(10, 1h), clock);
  auto const until = tideover::deadline::after(clock, 1s);
  CHECK(cache.get_or_compute(
            1, [&] { return clock.advance(5s), 10; }, until) == 10);
  CHECK(cache.get(1) == 10);
  CHECK(cache.get_or_compute(
            1, [] { return -1; }, until) == 10);  // a hit does not wait
}
