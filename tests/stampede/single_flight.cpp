// SPDX-License-Identifier: BSL-1.0
#include "stampede/common.hpp"
#include "support/allocation_counter.hpp"
#include "support/fail_points.hpp"
#include "support/hashes.hpp"
#include "support/throwing.hpp"

#include <atomic>
#include <deque>
#include <memory>
#include <string_view>

using flights_type = tideover::single_flight<int, int>;

TEST_CASE("S5: single_flight: everyone gets what one computed", "[single_flight]") {
  watchdog const dog("one flight");
  flights_type flights;
  gate door;
  std::atomic<int> computed{0};
  std::deque<asking> callers;
  for (int i = 0; i < 20; ++i) {
    callers.emplace_back([&] { return flights.run(1, [&] { return ++computed, door.pass(), 7; }); });
  }
  await_joined(flights, 19);
  CHECK(flights.stats().running == 1);
  door.open();
  for (asking& c : callers) CHECK(c.got().is(7));
  CHECK(computed == 1);
  CHECK(flights.stats().running == 0);
  CHECK(flights.stats().computations == 1);
  CHECK(flights.run(1, [&] { return ++computed; }) == 2);  // nothing is remembered
}

TEST_CASE("S5: single_flight: everyone gets what it threw, or returned as a failure", "[single_flight]") {
  watchdog const dog("a failing flight");
  for (bool const throws : {true, false}) {
    flights_type flights;
    gate door;
    std::deque<asking> callers;
    for (int i = 0; i < 5; ++i) {
      callers.emplace_back([&] {
        return flights.run(1, [&]() -> tideover::result<int> {
          door.pass();
          if (throws) throw std::runtime_error("no");
          return errc::closed;
        });
      });
    }
    await_joined(flights, 4);
    door.open();
    for (asking& c : callers) {
      if (throws) {
        CHECK(c.got().thrown == "no");
      } else {
        CHECK(c.got().is(errc::closed));
      }
    }
    CHECK(flights.stats().computations_failed == 1);
  }
}

TEST_CASE("S5: single_flight: try_run returns failures with their cause", "[single_flight]") {
  flights_type flights;
  auto const got = flights.try_run(1, []() -> int { throw std::runtime_error("no"); });
  CHECK(got.code() == errc::computation_failed);
  REQUIRE(got.error().cause);
  CHECK_THROWS_WITH(std::rethrow_exception(got.error().cause), "no");
  CHECK(flights.try_run(1, []() -> tideover::result<int> { return errc::closed; }).code() == errc::closed);
  CHECK(flights.try_run(1, [](int const& key) { return key + 1; }).value() == 2);
}

TEST_CASE("S6: single_flight: deadlines and stop_tokens end waits only; the room to wait is bounded",
          "[single_flight]") {
  watchdog const dog("waits in a flight");
  manual_clock clock;
  tideover::single_flight<int, int, manual_clock> flights({.max_waiters = 1}, clock);
  gate door;
  asking leader([&] { return flights.run(1, [&] { return door.pass(), 5; }); });
  door.await_arrivals(1);
  std::stop_source stop;
  asking waiter([&] {
    return flights.run(
        1, [] { return -1; }, tideover::deadline::after(clock, 1s, stop.get_token()));
  });
  clock.await_sleepers(1);
  CHECK(flights.try_run(1, [] { return -1; }).code() == errc::queue_full);
  bool const by_time = GENERATE(true, false);
  if (by_time) {
    clock.advance(1s);
    CHECK(waiter.got().is(errc::timed_out));
  } else {
    stop.request_stop();
    CHECK(waiter.got().is(errc::cancelled));
  }
  door.open();
  CHECK(leader.got().is(5));
  auto const s = flights.stats();
  CHECK(s.timed_out == (by_time ? 1 : 0));
  CHECK(s.cancelled == (by_time ? 0 : 1));
  CHECK(s.refused == 1);
}

TEST_CASE("S5: single_flight: forget serves those who have joined, and the next call computes anew",
          "[single_flight]") {
  watchdog const dog("a forgotten flight");
  flights_type flights;
  gate first_door, second_door;
  CHECK_FALSE(flights.forget(1));
  asking first([&] { return flights.run(1, [&] { return first_door.pass(), 1; }); });
  first_door.await_arrivals(1);
  asking joined([&] { return flights.run(1, [] { return -1; }); });
  await_joined(flights, 1);
  CHECK(flights.forget(1));
  asking second([&] { return flights.run(1, [&] { return second_door.pass(), 2; }); });
  second_door.await_arrivals(1);
  first_door.open();
  CHECK(first.got().is(1));
  CHECK(joined.got().is(1));
  asking third(
      [&] { return flights.run(1, [] { return -1; }); });  // the first's end has not erased the second
  await_joined(flights, 2);
  second_door.open();
  CHECK(second.got().is(2));
  CHECK(third.got().is(2));
}

TEST_CASE("S5: single_flight: keys are found by what the hashing policy takes", "[single_flight]") {
  tideover::single_flight<std::string, std::string> flights;
  CHECK(flights.run("a", [](std::string const& key) { return key + "!"; }) == "a!");
  CHECK(flights.run(std::string_view("b"), [] { return "c"; }) == "c");
  tideover::single_flight<int, int, tideover::hash_by<colliding_hash<>>> colliding;
  CHECK(colliding.run(
            1, [&] { return colliding.run(2, [&] { return colliding.run(3, [] { return 3; }); }); }) == 3);
}

TEST_CASE("S5: single_flight: alone it allocates nothing once it has a slot", "[single_flight]") {
  REQUIRE(allocation_counter::works());
  flights_type flights;
  for (int key = 0; key < 20'000; ++key) flights.run(key, [] { return 1; });  // each shard has a slot
  allocation_counter const counter;
  int sum = 0;
  for (int key = 0; key < 1000; ++key) sum += flights.run(key, [key] { return key; });
  CHECK(counter.allocations() == 0);
  CHECK(sum == 499'500);
}

TEST_CASE("S5: single_flight: whatever fails, nothing stays behind", "[single_flight]") {
  using fragile = throwing<point::all>;
  struct state {
    tideover::single_flight<fragile, fragile, tideover::single_threaded, tideover::hash_by<fragile::hasher>>
        flights;
  };
  std::size_t const points = fail_at_every_point(
      [] { return std::make_unique<state>(); },
      [](auto& s) {
        static_cast<void>(s->flights.run(
            fragile(1), [&] { return fragile(s->flights.run(fragile(5), [] { return fragile(7); }).id()); }));
      },
      [](auto& s, attempt) {
        CHECK(s->flights.stats().running == 0);
        CHECK(s->flights.run(fragile(1), [] { return fragile(2); }).id() == 2);
      });
  CHECK(points > 10);
  CHECK(fragile::live() == 0);
}

TEST_CASE("S5: single_flight: options are checked", "[single_flight]") {
  CHECK_THROWS_AS(flights_type({.max_waiters = 4'000'000'001u}), tideover::error);
  flights_type const by_default({});
  CHECK(by_default.configured().max_waiters == 100'000);
}
