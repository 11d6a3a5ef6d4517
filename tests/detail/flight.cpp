// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/watchdog.hpp"

#include <tideover/deadline.hpp>
#include <tideover/detail/flight.hpp>
#include <tideover/policy/clock.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <deque>
#include <stop_token>
#include <thread>
#include <type_traits>
#include <vector>

namespace {

using namespace std::chrono_literals;
using tideover::deadline;
using tideover::instant;
using tideover::manual_clock;
using tideover::detail::flight;
using tideover::detail::flight_end;
using tideover::detail::no_deadline;
using tideover_test::gate;
using tideover_test::watchdog;

static_assert(!std::is_copy_constructible_v<flight> && !std::is_move_constructible_v<flight>);

/// A thread that waits for a flight and remembers how it ended.
template <class Until = no_deadline>
struct waiter {
  waiter(flight& f, manual_clock const& clock, Until until = {})
      : thread([this, &f, clock, until] {
          end = f.wait(clock, until);
          returned = true;
        }) {}
  flight_end join() {
    thread.join();
    return end;
  }
  flight_end end{};
  std::atomic<bool> returned{false};
  std::thread thread;
};

}  // namespace

TEST_CASE("flight: everyone who joined gets up when it is settled, and sees what was done before",
          "[detail]") {
  watchdog const dog("joiners");
  manual_clock const clock;
  flight f;
  f.lead();
  int outcome = 0;
  std::vector<int> seen(4, 0);
  std::deque<std::thread> joiners;
  std::atomic<int> settled{0};
  for (int& mine : seen) {
    joiners.emplace_back([&, until = joiners.size()] {
      flight_end const end = until % 2 == 0 ? f.wait(clock, no_deadline{}) : f.wait(clock, deadline{});
      settled += end == flight_end::settled;
      mine = outcome;
    });
  }
  clock.await_sleepers(4);
  clock.advance(24h);  // time alone ends no wait without a deadline
  CHECK(settled == 0);
  outcome = 42;
  f.settle();
  for (auto& joiner : joiners) joiner.join();
  CHECK(settled == 4);
  CHECK(seen == std::vector<int>(4, 42));
}

TEST_CASE("flight: who comes after it was settled does not wait, however little time there is", "[detail]") {
  watchdog const dog("late comers");
  manual_clock const clock;
  std::stop_source stopped;
  stopped.request_stop();
  flight f;
  f.lead();
  SECTION("settled") { f.settle(); }
  SECTION("settled unseen") { f.settle_unseen(); }
  CHECK(f.wait(clock, no_deadline{}) == flight_end::settled);
  CHECK(f.wait(clock, deadline{}) == flight_end::settled);
  CHECK(f.wait(clock, deadline{instant::min()}) == flight_end::settled);
  CHECK(f.wait(clock, deadline{instant::max(), stopped.get_token()}) == flight_end::settled);
}

TEST_CASE("flight: renewed, it is as new", "[detail]") {
  watchdog const dog("a renewed flight");
  manual_clock const clock;
  flight f;
  for (int round = 0; round < 5; ++round) {
    f.lead();
    waiter<> joiner(f, clock);
    clock.await_sleepers(1);
    CHECK_FALSE(joiner.returned);
    f.settle();
    CHECK(joiner.join() == flight_end::settled);
    f.renew();
  }
  f.lead();
  CHECK(f.wait(clock, no_deadline{}) == flight_end::recursive);
  f.settle_unseen();
}

TEST_CASE("flight: a deadline that has passed ends the wait before it begins", "[detail]") {
  watchdog const dog("a passed deadline");
  manual_clock const clock;
  flight f;
  gate led;
  std::thread leader([&] {
    f.lead();
    led.pass();
    f.settle();
  });
  led.await_arrivals(1);
  CHECK(f.wait(clock, deadline{clock.now()}) == flight_end::timed_out);
  CHECK(f.wait(clock, deadline::after(clock, -1s)) == flight_end::timed_out);
  CHECK(f.wait(clock, deadline{instant::min()}) == flight_end::timed_out);
  led.open();
  CHECK(f.wait(clock, no_deadline{}) == flight_end::settled);
  leader.join();
}

TEST_CASE("flight: a deadline ends the wait at its instant, and not the flight", "[detail]") {
  watchdog const dog("deadlines");
  manual_clock const clock;
  flight f;
  f.lead();
  waiter<deadline> soon(f, clock, deadline::after(clock, 1s));
  waiter<deadline> later(f, clock, deadline::after(clock, 2s));
  waiter<> patient(f, clock);
  clock.await_sleepers(3);
  clock.advance(1s - 1ns);
  CHECK(clock.next_wake() == clock.now() + 1ns);
  CHECK_FALSE(soon.returned);
  clock.advance(1ns);
  CHECK(soon.join() == flight_end::timed_out);
  CHECK_FALSE(later.returned);
  clock.advance(1s);
  CHECK(later.join() == flight_end::timed_out);
  CHECK_FALSE(patient.returned);
  f.settle();
  CHECK(patient.join() == flight_end::settled);
}

TEST_CASE("flight: a stop_token ends the wait of its caller alone", "[detail]") {
  watchdog const dog("stop tokens");
  manual_clock const clock;
  std::stop_source mine, other;
  flight f;
  f.lead();
  waiter<deadline> stopped(f, clock, deadline{instant::max(), mine.get_token()});
  waiter<deadline> going_on(f, clock, deadline::after(clock, 1h, other.get_token()));
  clock.await_sleepers(2);
  mine.request_stop();
  CHECK(stopped.join() == flight_end::cancelled);
  CHECK_FALSE(going_on.returned);
  f.settle();
  CHECK(going_on.join() == flight_end::settled);
  other.request_stop();  // nobody listens any more
}

TEST_CASE("flight: a token that was triggered before ends the wait at once", "[detail]") {
  watchdog const dog("a triggered token");
  manual_clock const clock;
  std::stop_source source;
  source.request_stop();
  flight f;
  f.lead();
  waiter<deadline> w(f, clock, deadline{instant::max(), source.get_token()});
  CHECK(w.join() == flight_end::cancelled);
  f.settle();
}

TEST_CASE("flight: a token that nobody can trigger any more is none", "[detail]") {
  watchdog const dog("a dead token");
  manual_clock const clock;
  flight f;
  f.lead();
  waiter<deadline> w(f, clock, deadline{instant::max(), std::stop_source().get_token()});
  clock.await_sleepers(1);
  f.settle();
  CHECK(w.join() == flight_end::settled);
}

TEST_CASE("lone_flight: whoever waits for it is inside of it", "[detail]") {
  manual_clock const clock;
  tideover::detail::lone_flight f;
  static_assert(std::is_empty_v<tideover::detail::lone_flight>);
  f.lead();
  CHECK(f.wait(clock, no_deadline{}) == flight_end::recursive);
  CHECK(f.wait(clock, deadline{}) == flight_end::recursive);
  f.settle();
  f.renew();
}
