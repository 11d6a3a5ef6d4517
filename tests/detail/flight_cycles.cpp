// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/watchdog.hpp"

#include <tideover/deadline.hpp>
#include <tideover/detail/flight.hpp>
#include <tideover/policy/clock.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using tideover::deadline;
using tideover::manual_clock;
using tideover::detail::flight;
using tideover::detail::flight_end;
using tideover::detail::no_deadline;
using tideover_test::gate;
using tideover_test::watchdog;

/// A thread that leads `own`, waits for `other` once it may go, and settles.
struct leader {
  leader(flight& own, flight& other, manual_clock const& clock)
      : thread([this, &own, &other, clock] {
          own.lead();
          start.pass();
          end = other.wait(clock, no_deadline{});
          own.settle();
        }) {
    start.await_arrivals(1);
  }
  void go() { start.open(); }
  flight_end join() {
    thread.join();
    return end;
  }
  gate start;
  flight_end end{};
  std::thread thread;
};

}  // namespace

TEST_CASE("flight: to wait for what this thread leads is recursive, at any depth", "[detail]") {
  watchdog const dog("a wait for itself");
  manual_clock const clock;
  std::array<flight, 3> nested;
  for (flight& f : nested) f.lead();
  for (flight& f : nested) {
    CHECK(f.wait(clock, no_deadline{}) == flight_end::recursive);
    CHECK(f.wait(clock, deadline{}) == flight_end::recursive);
    CHECK(f.wait(clock, deadline{clock.now()}) == flight_end::recursive);  // a cycle goes before a deadline
  }
  for (std::size_t i = 3; i-- != 0;) {
    nested[i].settle();
    CHECK(nested[i].wait(clock, no_deadline{}) == flight_end::settled);
    if (i != 0) CHECK(nested[0].wait(clock, no_deadline{}) == flight_end::recursive);
  }
}

TEST_CASE("flight: two threads that would wait for each other", "[detail]") {
  watchdog const dog("two threads in a cycle");
  manual_clock const clock;
  flight a, b;
  leader first(a, b, clock), second(b, a, clock);
  first.go();
  clock.await_sleepers(1);
  second.go();
  CHECK(second.join() == flight_end::recursive);  // who closes the cycle is refused
  CHECK(first.join() == flight_end::settled);     // the other goes on
}

TEST_CASE("flight: three threads in a ring, whoever closes it", "[detail]") {
  watchdog const dog("three threads in a ring");
  for (std::size_t const last : {std::size_t{0}, std::size_t{1}, std::size_t{2}}) {
    manual_clock const clock;
    std::array<flight, 3> f;
    leader a(f[0], f[1], clock), b(f[1], f[2], clock), c(f[2], f[0], clock);
    std::array<leader*, 3> const ring{&a, &b, &c};
    std::size_t asleep = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      if (i == last) continue;
      ring[i]->go();
      clock.await_sleepers(++asleep);
    }
    ring[last]->go();
    CHECK(ring[last]->join() == flight_end::recursive);
    CHECK(ring[(last + 2) % 3]->join() == flight_end::settled);
    CHECK(ring[(last + 1) % 3]->join() == flight_end::settled);
  }
}

TEST_CASE("flight: a cycle through a thread that leads several flights", "[detail]") {
  watchdog const dog("a cycle through an outer flight");
  manual_clock const clock;
  flight outer, inner, other;
  gate start;
  flight_end end{};
  std::thread nested([&] {
    outer.lead();
    inner.lead();
    start.pass();
    end = other.wait(clock, no_deadline{});
    inner.settle();
    outer.settle();
  });
  start.await_arrivals(1);
  other.lead();
  start.open();
  clock.await_sleepers(1);
  CHECK(outer.wait(clock, no_deadline{}) == flight_end::recursive);
  CHECK(inner.wait(clock, no_deadline{}) == flight_end::recursive);
  other.settle();
  nested.join();
  CHECK(end == flight_end::settled);
}

TEST_CASE("flight: a chain of waits is no cycle", "[detail]") {
  watchdog const dog("a chain");
  manual_clock const clock;
  std::array<flight, 4> f;
  f[3].lead();
  leader a(f[0], f[1], clock), b(f[1], f[2], clock), c(f[2], f[3], clock);
  std::size_t asleep = 0;
  for (leader* l : {&a, &b, &c}) {
    l->go();
    clock.await_sleepers(++asleep);
  }
  f[3].settle();
  for (leader* l : {&a, &b, &c}) CHECK(l->join() == flight_end::settled);
}

TEST_CASE("flight: who leads nothing may wait for whatever waits for whatever", "[detail]") {
  watchdog const dog("a bystander");
  manual_clock const clock;
  flight a, b;
  b.lead();
  leader first(a, b, clock);
  first.go();
  clock.await_sleepers(1);
  flight_end end{};
  std::thread bystander([&] { end = a.wait(clock, no_deadline{}); });
  clock.await_sleepers(2);
  b.settle();
  bystander.join();
  CHECK(first.join() == flight_end::settled);
  CHECK(end == flight_end::settled);
}

TEST_CASE("flight: a wait that has ended is no part of a cycle", "[detail]") {
  watchdog const dog("an ended wait");
  manual_clock const clock;
  flight a, b;
  gate led, timed_out;
  flight_end first{}, second{};
  b.lead();
  std::thread gives_up([&] {
    a.lead();
    led.pass();
    first = b.wait(clock, deadline::after(clock, 1s));
    timed_out.pass();
    a.settle();
  });
  led.await_arrivals(1);
  led.open();
  clock.await_sleepers(1);
  clock.advance(1s);
  timed_out.await_arrivals(1);
  CHECK(first == flight_end::timed_out);
  std::thread opener([&] {
    clock.await_sleepers(1);  // this thread, which may wait now
    timed_out.open();
  });
  second = a.wait(clock, no_deadline{});
  CHECK(second == flight_end::settled);
  opener.join();
  gives_up.join();
  b.settle();
}

TEST_CASE("flight: a refused wait leaves no trace", "[detail]") {
  watchdog const dog("a refused wait");
  manual_clock const clock;
  flight a, b;
  b.lead();
  leader first(a, b, clock);
  first.go();
  clock.await_sleepers(1);
  for (int i = 0; i < 3; ++i) CHECK(a.wait(clock, no_deadline{}) == flight_end::recursive);
  flight c;  // another thread that waits for this one's flight closes nothing
  leader third(c, b, clock);
  third.go();
  clock.await_sleepers(2);
  b.settle();
  CHECK(first.join() == flight_end::settled);
  CHECK(third.join() == flight_end::settled);
}

TEST_CASE("flight: a thread that led and left is forgotten", "[detail]") {
  watchdog const dog("a thread that left");
  manual_clock const clock;
  flight a, mine;
  for (int i = 0; i < 20; ++i) {
    std::thread([&] {
      a.lead();
      a.settle();
    }).join();
    mine.lead();
    CHECK(a.wait(clock, no_deadline{}) == flight_end::settled);
    mine.settle();
    a.renew();
    mine.renew();
  }
}
