// SPDX-License-Identifier: BSL-1.0
#include "stampede/common.hpp"

#include <atomic>
#include <deque>
#include <stop_token>

#include <pthread.h>

namespace {
using tideover::deadline;

/// Key 1 is computed by somebody until the door opens.
struct blocked {
  manual_clock clock;
  plain_guard guard;
  gate door;
  std::optional<asking> leader;

  explicit blocked(stampede_guard_options o = usual()) : guard(sized(10), o, clock) {}
  ~blocked() { door.open(); }
  void begin() {
    leader.emplace([this] { return guard.get_or_compute(1, [this] { return door.pass(), 10; }); });
    door.await_arrivals(1);
  }
  int must_not() { throw std::logic_error("a second computation"); }
};
}  // namespace

TEST_CASE("S6: a waiter's deadline ends its own wait only", "[S6]") {
  watchdog const dog("a waiter with a deadline");
  blocked t;
  t.begin();
  asking waiter([&] {
    return t.guard.get_or_compute(
        1, [&] { return t.must_not(); }, deadline::after(t.clock, 5s));
  });
  asking patient([&] { return t.guard.get_or_compute(1, [&] { return t.must_not(); }); });
  t.clock.await_sleepers(2);
  t.clock.advance(5s - 1ns);
  CHECK(t.clock.sleepers() == 2);
  t.clock.advance(1ns);
  CHECK(waiter.got().is(errc::timed_out));
  CHECK(t.guard.stats().timed_out == 1);
  t.door.open();
  CHECK(patient.got().is(10));
  CHECK(t.leader->got().is(10));
  CHECK(t.guard.get(1) == 10);
  CHECK(t.guard.stats().computations.total() == 1);
}

TEST_CASE("S6: a waiter that gives up has the stale value, if that may be served", "[S6]") {
  watchdog const dog("a waiter with a stale value");
  blocked t;
  t.guard.put(1, 5);
  t.clock.advance(20s);
  t.begin();
  asking by_time([&] {
    auto const got = t.guard.serve(
        1, [&] { return t.must_not(); }, deadline::after(t.clock, 5s));
    return got.how == serving::stale_if_error && got.why.code == errc::timed_out ? got.value : -1;
  });
  t.clock.await_sleepers(1);
  t.clock.advance(5s);
  CHECK(by_time.got().is(5));
  std::stop_source stop;
  asking by_token([&] {
    return t.guard.get_or_compute(
        1, [&] { return t.must_not(); }, deadline{.stop = stop.get_token()});
  });
  await_joined(t.guard, 2);
  stop.request_stop();
  CHECK(by_token.got().is(5));
  // A value that dies while its caller waits is not served.
  asking too_long([&] {
    return t.guard.get_or_compute(
        1, [&] { return t.must_not(); }, deadline::after(t.clock, 1h));
  });
  await_joined(t.guard, 3);
  t.clock.await_sleepers(1);
  t.clock.advance(1h);
  CHECK(too_long.got().is(errc::timed_out));
  CHECK(t.guard.stats().stale_served.error == 2);
}

TEST_CASE("S6: a stop_token ends its caller's wait only", "[S6]") {
  watchdog const dog("a waiter with a stop_token");
  blocked t;
  t.begin();
  std::stop_source stop;
  asking waiter([&] {
    return t.guard.get_or_compute(
        1, [&] { return t.must_not(); }, deadline{.stop = stop.get_token()});
  });
  await_joined(t.guard, 1);
  stop.request_stop();
  CHECK(waiter.got().is(errc::cancelled));
  CHECK(t.guard.stats().cancelled == 1);
  // The key is still being computed: who comes joins, and does not begin another.
  asking later([&] { return t.guard.get_or_compute(1, [&] { return t.must_not(); }); });
  await_joined(t.guard, 2);
  t.door.open();
  CHECK(later.got().is(10));
}

namespace {
/// A computation that says when it has begun and runs until it is stopped or the door opens.
struct stoppable {
  std::atomic<bool>& begun;
  std::atomic<bool>& released;
  tideover::result<int> operator()(int const&, std::stop_token const& token) const {
    begun = true;
    await([&] { return token.stop_requested() || released.load(); });
    if (token.stop_requested()) return errc::cancelled;
    return 10;
  }
};
}  // namespace

TEST_CASE("S6: the flight stops when nobody is interested, if the options say so, and not before", "[S6]") {
  watchdog const dog("an unwanted flight");
  for (bool const stops : {true, false}) {
    for (bool const leader_first : {true, false}) {
      manual_clock clock;
      auto o = usual();
      o.stop_unwanted = stops;
      plain_guard guard(sized(10), o, clock);
      std::atomic<bool> begun{false}, released{false};
      stoppable const compute{begun, released};
      std::stop_source leaders, waiters;
      asking leader([&] { return guard.get_or_compute(1, compute, deadline{.stop = leaders.get_token()}); });
      await([&] { return begun.load(); });
      asking waiter([&] { return guard.get_or_compute(1, compute, deadline{.stop = waiters.get_token()}); });
      await_joined(guard, 1);
      (leader_first ? leaders : waiters).request_stop();
      if (!leader_first) CHECK(waiter.got().is(errc::cancelled));
      for (int i = 0; i < 100; ++i) std::this_thread::yield();
      CHECK(guard.stats().running == 1);  // there is one who wants it
      (leader_first ? waiters : leaders).request_stop();
      CHECK(waiter.got().is(errc::cancelled));
      if (stops) {
        CHECK(leader.got().is(errc::cancelled));
      } else {
        CHECK(guard.stats().running == 1);
        released = true;
        CHECK(leader.got().is(10));
      }
    }
  }
}

namespace {
/// A computation that is told to stop, as nobody wants it any more, and ends only when it may.
struct stopped_late {
  gate& told;
  int operator()(int const&, std::stop_token const& token) const {
    await([&] { return token.stop_requested(); });
    told.pass();
    throw std::runtime_error("stopped");
  }
};
}  // namespace

TEST_CASE("S6: who comes when a flight has been told to stop is not told the failure of that", "[S6]") {
  watchdog const dog("a caller behind a stopped flight");
  auto o = usual();
  o.stop_unwanted = true;
  gate told;
  std::stop_source stop;
  deadline const until{.stop = stop.get_token()};
  SECTION("by the guard") {
    manual_clock clock;
    plain_guard guard(sized(10), o, clock);
    asking leader([&] { return guard.get_or_compute(1, stopped_late{told}, until); });
    stop.request_stop();
    told.await_arrivals(1);
    asking later([&] { return guard.get_or_compute(1, [] { return 10; }); });
    CHECK(later.got().is(10));
    told.open();
    CHECK(leader.got().thrown == "stopped");
    CHECK(guard.get(1) == 10);
    CHECK(guard.stats().coalesced == 0);
  }
  SECTION("by single_flight") {
    tideover::single_flight<int, int> flights({.stop_unwanted = true});
    asking leader([&] { return flights.run(1, stopped_late{told}, until); });
    stop.request_stop();
    told.await_arrivals(1);
    asking later([&] { return flights.run(1, [] { return 10; }); });
    CHECK(later.got().is(10));
    told.open();
    CHECK(leader.got().thrown == "stopped");
  }
}

TEST_CASE("S6: S7: what a flight that was told to stop brings all the same overwrites nothing newer",
          "[S6][S7]") {
  watchdog const dog("a stopped flight that goes on");
  auto o = usual();
  o.stop_unwanted = true;
  gate told;
  std::stop_source stop;
  manual_clock clock;
  plain_guard guard(sized(10), o, clock);
  auto const stubborn = [&](int const&, std::stop_token const& token) {
    await([&] { return token.stop_requested(); });
    told.pass();
    return 1;
  };
  bool const somebody_comes = GENERATE(true, false);
  asking leader([&] { return guard.get_or_compute(1, stubborn, deadline{.stop = stop.get_token()}); });
  stop.request_stop();
  told.await_arrivals(1);
  if (somebody_comes) CHECK(guard.get_or_compute(1, [] { return 2; }) == 2);
  told.open();
  CHECK(leader.got().is(1));
  CHECK(guard.get(1) == (somebody_comes ? 2 : 1));
  CHECK(guard.stats().rejected_writes == (somebody_comes ? 1 : 0));
}

TEST_CASE("S6: one that loses its thread promotes a waiter, at most twice, then fails", "[S6]") {
  watchdog const dog("abandoned flights");
  manual_clock clock;
  plain_guard guard(sized(10), usual(), clock);
  std::deque<gate> doors(3);
  std::vector<std::thread> leaving;
  // Three leaders go away one after the other, each promoted from among those who wait, or the first.
  std::atomic<std::size_t> turn{0};
  auto const compute_and_leave = [&]() -> int {
    doors[turn++].pass();
    ::pthread_exit(nullptr);
  };
  for (int i = 0; i < 3; ++i) {
    leaving.emplace_back([&] { guard.get_or_compute(1, compute_and_leave); });
    if (i == 0) doors[0].await_arrivals(1);
  }
  await_joined(guard, 2);
  for (std::size_t i = 0; i < 2; ++i) {
    doors[i].open();
    doors[i + 1].await_arrivals(1);
  }
  // Whoever waits from now on sees but one loss, and takes over; the last of the three has lost two leaders.
  asking late([&] { return guard.get_or_compute(1, [] { return 8; }); });
  clock.await_sleepers(1);
  doors[2].open();
  for (auto& t : leaving) t.join();
  CHECK(late.got().is(8));
  CHECK(guard.stats().abandoned == 3);
  CHECK(guard.stats().computations.total() == 4);
}

TEST_CASE("S6: who has lost three leaders is told flight_abandoned", "[S6]") {
  watchdog const dog("a waiter without luck");
  manual_clock clock;
  tideover::single_flight<int, int> flights;
  plain_guard guard(sized(10), usual(), clock);
  for (bool const alone : {true, false}) {
    auto const run = [&](auto compute) {
      return alone ? flights.run(1, compute) : guard.get_or_compute(1, compute);
    };
    std::deque<gate> doors(3);
    std::vector<std::thread> leaving;
    auto const begin = [&](gate& door) {
      // The flight that is under way, if any, goes on for those who wait for it; this one is found from now
      // on.
      static_cast<void>(alone ? flights.forget(1) : guard.invalidate(1));
      leaving.emplace_back([&] {
        run([&]() -> int {
          door.pass();
          ::pthread_exit(nullptr);
        });
      });
      door.await_arrivals(1);
    };
    begin(doors[0]);
    asking unlucky([&] { return run([] { return -1; }); });
    for (std::size_t i = 0; i < 3; ++i) {
      await([&] { return (alone ? flights.stats().coalesced : guard.stats().coalesced) == i + 1; });
      if (i < 2) begin(doors[i + 1]);
      doors[i].open();
    }
    CHECK(unlucky.got().is(errc::flight_abandoned));
    for (auto& t : leaving) t.join();
    CHECK((alone ? flights.stats().abandoned : guard.stats().abandoned) == 3);
  }
}

TEST_CASE("S6: the number of waiters is bounded", "[S6]") {
  watchdog const dog("bounded waiters");
  blocked t(with_waiters(usual(), 2));
  t.begin();
  asking one([&] { return t.guard.get_or_compute(1, [&] { return t.must_not(); }); });
  asking two([&] { return t.guard.get_or_compute(1, [&] { return t.must_not(); }); });
  await_joined(t.guard, 2);
  CHECK(t.guard.try_get_or_compute(1, [&] { return t.must_not(); }).code() == errc::queue_full);
  CHECK(t.guard.stats().refused == 1);
  t.door.open();
  CHECK(one.got().is(10));
  CHECK(two.got().is(10));
}

TEST_CASE("S6: a caller that finds no room to wait has its stale value", "[S6]") {
  watchdog const dog("no room to wait");
  blocked t(with_waiters(usual(), 0));
  t.guard.put(1, 5);
  t.clock.advance(20s);
  t.begin();
  auto const got = t.guard.serve(1, [&] { return t.must_not(); });
  CHECK(got.value == 5);
  CHECK(got.why.code == errc::queue_full);
}

TEST_CASE("S6: the waiting room is free again when waiters have left it", "[S6]") {
  watchdog const dog("a waiting room");
  blocked t(with_waiters(usual(), 1));
  t.begin();
  for (int i = 0; i < 5; ++i) {
    CHECK(answer_of([&] {
            return t.guard.get_or_compute(
                1, [&] { return t.must_not(); }, deadline{.at = t.clock.now()});
          }).is(errc::timed_out));
  }
  CHECK(t.guard.stats().refused == 0);
}
