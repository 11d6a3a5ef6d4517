// SPDX-License-Identifier: BSL-1.0
#include "breaker/common.hpp"
#include "support/gate.hpp"
#include "support/watchdog.hpp"

#include <mutex>
#include <thread>

namespace {
using logged = circuit_breaker<manual_clock, breaker_log>;

breaker_event event(std::uint64_t g, breaker_state from, breaker_state to, breaker_cause cause) {
  return {g, from, to, cause, "db"};
}

/// Calls the breaker that it listens to.
struct meddler {
  using policy_axis = tideover::axis::listener;
  std::function<void(breaker_event const&)>* act;
  void on_event(breaker_event const& e) const { (*act)(e); }
};
using meddled = circuit_breaker<manual_clock, meddler>;
}  // namespace

TEST_CASE("E7: a listener is told every change with its cause, in order") {
  manual_clock clock;
  breaker_log log;
  logged b({.name = "db", .failure_threshold = 1, .recovery_timeout = 1s, .call_timeout = 1s}, clock, log);
  using s = breaker_state;
  using c = breaker_cause;
  fail_times(b, 1);
  CHECK(!admits(b));
  clock.advance(1s);
  fail_times(b, 1);
  clock.advance(1s);
  auto lost = b.try_acquire();
  clock.advance(3s);
  CHECK(!admits(b));
  clock.advance(1s);
  succeed_times(b, 1);
  b.reset();
  b.observe();
  fail_times(b, 3);
  b.reconfigure({.failure_threshold = 2});
  fail_times(b, 2);
  b.force_open();
  b.automatic();
  std::vector<breaker_event> const expected{
      event(2, s::closed, s::open, c::tripped),
      event(3, s::open, s::half_open, c::probing),
      event(4, s::half_open, s::open, c::probe_failed),
      event(5, s::open, s::half_open, c::probing),
      event(6, s::half_open, s::open, c::lease_expired),
      event(7, s::open, s::half_open, c::probing),
      event(8, s::half_open, s::closed, c::recovered),
      event(9, s::closed, s::closed, c::reset),
      event(10, s::closed, s::observing, c::mode_set),
      event(10, s::observing, s::observing, c::would_open),
      event(11, s::observing, s::observing, c::reconfigured),
      event(11, s::observing, s::observing, c::would_open),
      event(12, s::observing, s::forced_open, c::mode_set),
      event(13, s::forced_open, s::closed, c::mode_set),
  };
  CHECK(log.events() == expected);
  for (auto const& e : log.events()) CHECK(std::string(to_string(e.cause)) != "unknown");
}

TEST_CASE("E7: it is told after the change is visible, and may call the breaker, which is told later") {
  manual_clock clock;
  std::vector<std::string> told;
  meddled* self = nullptr;
  std::function<void(breaker_event const&)> act = [&](breaker_event const& e) {
    told.push_back(std::string("begin ") + to_string(e.to));
    if (e.to == breaker_state::open) {
      CHECK(self->state() == breaker_state::open);
      CHECK(!self->try_acquire());
      self->disable();  // a change within the telling
      CHECK(self->state() == breaker_state::disabled);
    }
    told.push_back(std::string("end ") + to_string(e.to));
  };
  meddled b({.failure_threshold = 1}, clock, meddler{&act});
  self = &b;
  fail_times(b, 1);
  CHECK(told == std::vector<std::string>{"begin open", "end open", "begin disabled", "end disabled"});
}

TEST_CASE("E7: what it throws is swallowed and counted, and the next change is told") {
  std::function<void(breaker_event const&)> act = [](breaker_event const&) {
    throw std::logic_error("deaf");
  };
  meddled b({.failure_threshold = 1}, manual_clock(), meddler{&act});
  CHECK_NOTHROW(fail_times(b, 1));
  b.reset();
  CHECK(b.stats().listener_failures == 2);
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE(
    "E7: a slow listener holds nobody up; changes wait their turn, and of too many the oldest are lost") {
  watchdog const guard("a slow listener");
  gate door;
  std::vector<std::uint64_t> told;
  std::function<void(breaker_event const&)> act = [&](breaker_event const& e) {
    if (told.empty()) door.pass();
    told.push_back(e.generation);
  };
  meddled b({.failure_threshold = 1}, manual_clock(), meddler{&act});
  std::thread teller([&] { b.reset(); });
  door.await_arrivals(1);
  for (int i = 0; i < 100; ++i) b.reset();  // none of them waits
  CHECK(b.generation() == 102);
  CHECK(told.empty());
  door.open();
  teller.join();
  std::vector<std::uint64_t> expected{2};
  for (std::uint64_t g = 39; g <= 102; ++g) expected.push_back(g);
  CHECK(told == expected);
  CHECK(b.stats().events_lost == 36);
}

TEST_CASE("E7: I3: many threads change it, and each generation is told once, in order") {
  watchdog const guard("listener order");
  std::vector<std::uint64_t> told;
  std::atomic<int> inside{0};
  std::function<void(breaker_event const&)> act = [&](breaker_event const& e) {
    CHECK_FALSE(inside.fetch_add(1) != 0);
    told.push_back(e.generation);
    inside.fetch_sub(1);
  };
  meddled b({.failure_threshold = 1}, manual_clock(), meddler{&act});
  constexpr int changes = 3000;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < changes; ++i) b.reset();
    });
  }
  for (auto& t : threads) t.join();
  REQUIRE(b.generation() == 1 + 3 * changes);
  CHECK(told.size() + b.stats().events_lost == 3 * changes);
  for (std::size_t i = 1; i < told.size(); ++i) REQUIRE(told[i - 1] < told[i]);
  CHECK(told.back() == 1 + 3 * changes);
}
