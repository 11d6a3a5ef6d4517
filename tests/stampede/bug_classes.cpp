// SPDX-License-Identifier: BSL-1.0
// Fifteen kinds of mistakes that coalescing caches in wide use have had. Each scenario says whether what must
// hold does; it must for ours, and must not for a naive design with that mistake, or it would prove nothing.
#include "stampede/naive.hpp"

#include <cmath>
#include <deque>

#include <pthread.h>

namespace {

using tideover::deadline;

template <class Scenario>
void judge(flaw mistake, Scenario scenario) {
  watchdog const dog("a scenario of a bug class");
  {
    our_guard ours{manual_clock()};
    CHECK(scenario(ours));
  }
  {
    naive_guard right(flaw::none, manual_clock());
    CHECK(scenario(right));
  }
  naive_guard wrong(mistake, manual_clock());
  CHECK_FALSE(scenario(wrong));
}

/// A call in a thread of its own.
template <class Subject>
class caller {
 public:
  caller(Subject& s, int key, computing compute, deadline until = {})
      : thread_([this, &s, key, compute = std::move(compute), until] { got_ = s.ask(key, compute, until); }) {
  }
  ~caller() { got(); }
  asked const& got() {
    if (thread_.joinable()) thread_.join();
    return got_;
  }

 private:
  asked got_;
  std::thread thread_;
};

deadline in(manual_clock const& clock, std::chrono::nanoseconds d) { return deadline::after(clock, d); }

int unreached(std::stop_token const&) { return -1; }

}  // namespace

TEST_CASE("S5: bug class 1: a loader that throws leaves no waiter hanging", "[bugs]") {
  judge(flaw::waiters_forgotten_on_exception, [](auto& s) {
    gate door;
    caller leader(s, 1, [&](auto) -> int { door.pass(), throw std::runtime_error("no"); });
    door.await_arrivals(1);
    caller waiter(s, 1, unreached, in(s.clock, 1h));
    s.clock.await_sleepers(1);
    door.open();
    leader.got();
    s.clock.advance(1h);
    return waiter.got().code == errc::computation_failed;
  });
}

TEST_CASE("S6: bug class 2: an abnormal exit leaks no waiter", "[bugs]") {
  judge(flaw::waiters_forgotten_on_unwinding, [](auto& s) {
    gate door;
    std::thread leaving([&] {
      s.ask(1, [&](auto) -> int {
        door.pass();
        ::pthread_exit(nullptr);
      });
    });
    door.await_arrivals(1);
    caller waiter(
        s, 1, [](auto) { return 5; }, in(s.clock, 1h));
    s.clock.await_sleepers(1);
    door.open();
    leaving.join();
    // Ours takes over; the naive one may at best be told.
    s.clock.advance(1h);
    return waiter.got().value == 5 || waiter.got().code == errc::flight_abandoned;
  });
}

TEST_CASE("S5: bug class 3: nobody is told success of a run that failed", "[bugs]") {
  judge(flaw::failure_told_as_success, [](auto& s) {
    gate door;
    caller leader(s, 1, [&](auto) -> int { door.pass(), throw std::runtime_error("no"); });
    door.await_arrivals(1);
    caller waiter(s, 1, unreached, in(s.clock, 1h));
    s.clock.await_sleepers(1);
    door.open();
    return !waiter.got().value;
  });
}

TEST_CASE("S6: bug class 4: the leader's cancellation is not everybody's", "[bugs]") {
  judge(flaw::leaders_token_cancels_all, [](auto& s) {
    gate door;
    std::stop_source stop;
    caller leader(
        s, 1,
        [&](std::stop_token const& token) {
          door.pass();
          if (token.stop_requested()) throw std::runtime_error("cancelled");
          return 5;
        },
        deadline{.stop = stop.get_token()});
    door.await_arrivals(1);
    caller waiter(s, 1, unreached, in(s.clock, 1h));
    s.clock.await_sleepers(1);
    stop.request_stop();
    door.open();
    return waiter.got().value == 5;
  });
}

TEST_CASE("S6: bug class 4: a waiter that leaves does not make others compute again", "[bugs]") {
  judge(flaw::waiters_leaving_ends_the_flight, [](auto& s) {
    gate door;
    std::stop_source stop;
    caller leader(s, 1, [&](auto) { return door.pass(), 5; });
    door.await_arrivals(1);
    deadline until = in(s.clock, 1h);
    until.stop = stop.get_token();
    caller waiter(s, 1, unreached, until);
    s.clock.await_sleepers(1);
    stop.request_stop();
    waiter.got();
    auto const third = s.ask(1, unreached, deadline{.at = s.clock.now()});  // waits no longer than that
    door.open();
    return third.code == errc::timed_out;
  });
}

TEST_CASE("S6: bug class 5: a refresh that is dropped does not lock its key", "[bugs]") {
  judge(flaw::dropped_task_keeps_the_key, [](auto& s) {
    s.put(1, 3);
    s.clock.advance(12s);
    s.refresh_and_drop(1);
    s.clock.advance(60s);  // absent by now
    return s.ask(
                1, [](auto) { return 5; }, deadline{.at = s.clock.now()})
               .value == 5;
  });
}

TEST_CASE("S6: bug class 6: a slow leader does not hold those up that have no time", "[bugs]") {
  judge(flaw::waits_have_no_end, [](auto& s) {
    gate door;
    caller leader(s, 1, [&](auto) { return door.pass(), 5; });
    door.await_arrivals(1);
    auto const start = s.clock.now();
    tideover::instant ended{};
    caller waiter(s, 1, unreached, in(s.clock, 1s));
    s.clock.await_sleepers(1);
    std::thread watch([&] { waiter.got(), ended = s.clock.now(); });
    s.clock.advance(1s);
    // Who does not look at its deadline still sleeps, for as long as the test has patience.
    bool const on_time = s.clock.next_wake() == tideover::instant::max();
    s.clock.advance(2000h);
    watch.join();
    door.open();
    return on_time && waiter.got().code == errc::timed_out && ended >= start + 1s;
  });
}

TEST_CASE("S2: bug class 7: computations below a unit of time are refreshed early too", "[bugs]") {
  // The decision as it was made with delta in whole milliseconds.
  auto const by_milliseconds = [](std::chrono::nanoseconds gap, std::chrono::nanoseconds delta, double u) {
    auto const ms = std::chrono::duration_cast<std::chrono::milliseconds>(delta).count();
    return -std::log(u) * static_cast<double>(ms) * 1e6 >= static_cast<double>(gap.count());
  };
  tideover::xfetch const ours({.beta = 1.0});
  tideover::xoshiro rng(1), same(1);
  tideover::instant const soft{1'000'000'000'000};
  int early = 0, naively = 0;
  for (int i = 0; i < 1000; ++i) {
    early += ours(soft - 300us, soft, 500us, 1h, rng) ? 1 : 0;
    naively += by_milliseconds(300us, 500us, 1.0 - tideover::to_unit_interval(same())) ? 1 : 0;
  }
  CHECK(early > 450);  // e^-0.6 = 0.549
  CHECK(naively == 0);
}

TEST_CASE("S5: bug class 8: different keys never share a lock, nested or not", "[bugs]") {
  judge(flaw::key_locks_by_slot, [](auto& s) {
    bool all = true;
    s.ask(0, [&](auto) {
      for (int key = 1; key < 60; ++key) all = all && s.ask(key, [key](auto) { return key; }).value == key;
      return 1;
    });
    return all;
  });
}

TEST_CASE("S1: bug class 9: the life of a stale value does not leak into the new one's", "[bugs]") {
  judge(flaw::stale_ttl_leaks, [](auto& s) {
    s.put(1, 3);
    s.clock.advance(12s);
    s.ask(1, [](auto) { return 4; });
    s.clock.advance(10s - 1ns);
    return s.ask(1, [](auto) { return 5; }).value == 4;
  });
}

TEST_CASE("S4: bug class 10: an error does not hide a value that may be served", "[bugs]") {
  judge(flaw::stale_value_withheld, [](auto& s) {
    s.put(1, 3);
    s.clock.advance(30s);
    return s.ask(1, [](auto) -> int { throw std::runtime_error("no"); }).value == 3;
  });
}

TEST_CASE("S8: bug class 10: a key that fails is left alone for a while", "[bugs]") {
  judge(flaw::no_rest_after_failure, [](auto& s) {
    int asked_origin = 0;
    for (int i = 0; i < 100; ++i)
      s.ask(1, [&](auto) -> int { ++asked_origin, throw std::runtime_error("no"); });
    return asked_origin == 1;
  });
}

TEST_CASE("S8: bug class 11: a refresh that hangs does not keep a dead value alive", "[bugs]") {
  judge(flaw::stuck_refresh_serves_forever, [](auto& s) {
    s.put(1, 3);
    s.clock.advance(12s);
    gate door;
    caller stuck(s, 1, [&](auto) { return door.pass(), 4; });
    door.await_arrivals(1);
    s.clock.advance(100h);
    auto const got = s.ask(1, unreached, deadline{.at = s.clock.now()});
    door.open();
    return got.value != 3;
  });
}

TEST_CASE("S7: bug class 12: a load that ends after an invalidation writes no old data", "[bugs]") {
  judge(flaw::late_result_overwrites, [](auto& s) {
    gate door;
    caller leader(s, 1, [&](auto) { return door.pass(), 4; });
    door.await_arrivals(1);
    s.invalidate(1);
    door.open();
    leader.got();
    return s.ask(1, [](auto) { return 5; }).value == 5;
  });
}

TEST_CASE("S5: bug class 13: who comes late looks again before it computes", "[bugs]") {
  judge(flaw::no_second_look, [](auto& s) {
    s.put(1, 3);
    s.clock.advance(30s);
    return s.ask_late(
                1, [](auto) { return 5; }, [&] { s.put(1, 4); })
               .value == 4;
  });
}

TEST_CASE("S5: bug class 14: nothing piles up for keys that come and go", "[bugs]") {
  judge(flaw::locks_pile_up, [](auto& s) {
    for (int key = 0; key < 10'000; ++key) s.ask(key, [](auto) { return 1; });
    return s.locks() == 0;
  });
}

TEST_CASE("S8: bug class 14: nor for keys that fail", "[bugs]") {
  manual_clock clock;
  auto o = usual();
  o.max_failing = 160;
  int_guard<tideover::no_early_refresh> guard(sized(10), o, clock);
  for (int key = 0; key < 20'000; ++key) {
    static_cast<void>(guard.try_get_or_compute(key, []() -> tideover::result<int> { return errc::closed; }));
  }
  CHECK(guard.stats().failing <= 160);
  CHECK(guard.stats().failing > 100);
  CHECK(guard.stats().running == 0);
}

TEST_CASE("S5: bug class 15: a flight that was forgotten does not take a newer one with it", "[bugs]") {
  judge(flaw::erased_by_key, [](auto& s) {
    gate first_door, second_door;
    caller first(s, 1, [&](auto) { return first_door.pass(), 4; });
    first_door.await_arrivals(1);
    s.invalidate(1);
    caller second(s, 1, [&](auto) { return second_door.pass(), 5; });
    second_door.await_arrivals(1);
    first_door.open();
    first.got();  // the older one ends while the newer one runs
    auto const third = s.ask(1, unreached, deadline{.at = s.clock.now()});
    second_door.open();
    return third.code == errc::timed_out;  // it has found the newer one, and did not begin a third
  });
}
