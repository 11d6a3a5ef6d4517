// SPDX-License-Identifier: BSL-1.0
#include "breaker/common.hpp"
#include "support/move_only.hpp"

#include <tideover/deadline.hpp>

#include <stop_token>

namespace {
using breaker = circuit_breaker<manual_clock>;

struct throwing_classifier {
  using policy_axis = tideover::axis::classifier;
  call_outcome operator()(std::exception_ptr const&) const { throw std::logic_error("cannot tell"); }
  call_outcome operator()(int) const { throw std::logic_error("cannot tell"); }
};
/// Statuses of a web server.
struct status {
  int code;
};
struct by_status {
  call_outcome operator()(status const& s) const {
    return s.code >= 500 ? call_outcome::failure : call_outcome::success;
  }
  call_outcome operator()(std::exception_ptr const&) const { return call_outcome::failure; }
};
}  // namespace

TEST_CASE("E4: a call gives what its function gives, and what that throws passes through unchanged") {
  breaker b({.failure_threshold = 2}, manual_clock());
  CHECK(b.call([] { return 7; }) == 7);
  int x = 1;
  static_assert(std::is_same_v<decltype(b.call([&]() -> int& { return x; })), int&>);
  b.call([&]() -> int& { return x; }) = 2;
  CHECK(x == 2);
  CHECK(b.call([] { return move_only(3); }).id() == 3);
  b.call([&] { x = 4; });
  CHECK(x == 4);
  CHECK_THROWS_AS(b.call([]() -> int { throw backend_down(); }), backend_down);
  CHECK(b.stats().failures == 1);
  CHECK_THROWS_AS(b.call([] { throw 5; }), int);
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("E4: a rejection is an error with a time from call, and a value from try_call") {
  breaker b({.failure_threshold = 1, .recovery_timeout = 30s}, manual_clock());
  fail_times(b, 1);
  bool ran = false;
  try {
    b.call([&] { ran = true; });
    FAIL("it passed");
  } catch (tideover::error const& e) {
    CHECK(e.code() == errc::circuit_open);
    CHECK(e.failure().retry_after == 30s);
  }
  auto const r = b.try_call([&] { ran = true; });
  CHECK(r.code() == errc::circuit_open);
  CHECK(r.retry_after() == 30s);
  CHECK_THROWS_AS(b.acquire(), tideover::error);
  CHECK(!ran);
  CHECK(b.stats().rejected == 3);
}

TEST_CASE("I7: a rejection runs nothing but the fallback, once") {
  manual_clock clock;
  int classified = 0, heard = 0;
  auto classify = [&](auto const&) { return ++classified, call_outcome::failure; };
  auto hear = [&](breaker_event const&) { ++heard; };
  circuit_breaker<manual_clock, tideover::classify_by<decltype(classify)>,
                  tideover::listen_by<decltype(hear)>>
      b({.failure_threshold = 1}, clock, tideover::classify_by(classify), tideover::listen_by(hear));
  fail_times(b, 1);
  classified = heard = 0;
  int ran = 0, fell_back = 0;
  CHECK(b.call([&] { return ++ran; },
               [&](std::error_code why) {
                 CHECK(why == errc::circuit_open);
                 return ++fell_back, -1;
               }) == -1);
  CHECK(fell_back == 1);
  CHECK(ran + classified + heard == 0);
}

TEST_CASE("E4: try_call: exceptions are causes, results are flat") {
  breaker b({.failure_threshold = 100}, manual_clock());
  CHECK(*b.try_call([] { return 7; }) == 7);
  CHECK(b.try_call([] {}));
  auto const thrown = b.try_call([]() -> int { throw backend_down(); });
  CHECK(thrown.code() == errc::computation_failed);
  CHECK_THROWS_AS(std::rethrow_exception(thrown.error().cause), backend_down);
  auto const coded = b.try_call(
      []() -> int { throw std::system_error(std::make_error_code(std::errc::connection_refused)); });
  CHECK(coded.code() == std::errc::connection_refused);
  tideover::result<int> const flat = b.try_call([] { return tideover::result<int>(3); });
  CHECK(*flat == 3);
  auto const failed = b.try_call([] { return tideover::result<int>(errc::timed_out); });
  CHECK(failed.code() == errc::timed_out);
  CHECK(b.stats().failures == 3);
  CHECK(b.try_call([] { return move_only(3); })->id() == 3);
  int const x = 5;
  static_assert(
      std::is_same_v<decltype(b.try_call([&]() -> int const& { return x; })), tideover::result<int>>);
  CHECK(*b.try_call([&]() -> int const& { return x; }) == 5);
}

TEST_CASE("E4: what was cancelled, or turned away further in, says nothing") {
  breaker b({.failure_threshold = 2}, manual_clock());
  for (int i = 0; i < 10; ++i) {
    for (errc const code : {errc::cancelled, errc::circuit_open, errc::queue_full}) {
      CHECK_THROWS_AS(b.call([&]() -> int { throw tideover::error(code, "inner"); }), tideover::error);
      CHECK(!b.try_call([&] { return tideover::result<int>(code); }));
      CHECK(b.call([&] { return std::error_code(code); }) == code);
    }
    CHECK_THROWS_AS(
        b.call([] { throw std::system_error(std::make_error_code(std::errc::operation_canceled)); }),
        std::system_error);
  }
  CHECK(b.state() == breaker_state::closed);
  CHECK(b.stats().ignored == 100);
  CHECK(b.stats().failures == 0);
  CHECK(!b.try_call([] { return tideover::result<int>(errc::timed_out); }));  // but this is one
  CHECK(b.stats().failures == 1);
}

TEST_CASE("E4: nested breakers: the inner one's rejection is no failure of the outer one") {
  manual_clock clock;
  breaker inner({.failure_threshold = 1}, clock), outer({.failure_threshold = 1}, clock);
  fail_times(inner, 1);
  for (int i = 0; i < 5; ++i) {
    CHECK_THROWS_AS(outer.call([&] { return inner.call([] { return 1; }); }), tideover::error);
    CHECK(outer.try_call([&] { return inner.try_call([] { return 1; }); }).code() == errc::circuit_open);
  }
  CHECK(outer.state() == breaker_state::closed);
}

TEST_CASE("E4: a deadline goes to callables that take one: call_timeout, or the caller's own if earlier") {
  manual_clock clock;
  breaker b({.failure_threshold = 1, .call_timeout = 5s}, clock);
  auto const given = [](tideover::deadline d) { return d.at; };
  CHECK(b.call(given) == clock.now() + 5s);
  CHECK(b.call(given, tideover::deadline::after(clock, 2s)) == clock.now() + 2s);
  CHECK(b.call(given, tideover::deadline::after(clock, 9s)) == clock.now() + 5s);
  std::stop_source stop;
  auto const asks = [](tideover::deadline const& d) { return d.stop.stop_possible(); };
  CHECK(!b.call(asks));
  CHECK(b.call(asks, tideover::deadline::after(clock, 9s, stop.get_token())));
  CHECK(*b.try_call(given, tideover::deadline::after(clock, 2s)) == clock.now() + 2s);
}

TEST_CASE("E4: the caller's own deadline or cancellation says nothing, our timeout is a failure") {
  manual_clock clock;
  breaker b({.failure_threshold = 1, .call_timeout = 5s}, clock);
  auto const slow = [&](tideover::deadline const& d) -> int {
    clock.set(d.at);
    throw tideover::error(errc::timed_out, "slow");
  };
  CHECK_THROWS_AS(b.call(slow, tideover::deadline::after(clock, 2s)), tideover::error);
  CHECK(b.state() == breaker_state::closed);
  std::stop_source stop;
  auto const stopped = [&]() -> int {
    stop.request_stop();
    throw backend_down();  // whatever it says
  };
  CHECK(!b.try_call(stopped, tideover::deadline{instant::max(), stop.get_token()}));
  CHECK(b.state() == breaker_state::closed);
  CHECK(b.stats().ignored == 2);
  CHECK_THROWS_AS(b.call(slow, tideover::deadline::after(clock, 9s)), tideover::error);
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("E4: what our timeout cuts short has failed, also where it says that it was cancelled") {
  manual_clock clock;
  breaker b({.failure_threshold = 4, .call_timeout = 5s}, clock);
  auto const cut_short = [&](tideover::deadline const& d) -> int {
    clock.set(d.at);
    throw std::system_error(std::make_error_code(std::errc::operation_canceled));
  };
  CHECK_THROWS_AS(b.call(cut_short), std::system_error);
  CHECK(!b.try_call(cut_short, tideover::deadline::after(clock, 9s)));
  auto const overslept = [&](tideover::deadline const& d) -> tideover::result<int> {
    clock.set(d.at + 30s);  // past the caller's time as well
    return errc::cancelled;
  };
  CHECK(!b.try_call(overslept, tideover::deadline::after(clock, 9s)));
  CHECK(b.stats().failures == 3);
  // Before its time, or at the caller's, it says nothing; nor when the caller stopped it.
  CHECK(!b.try_call([](tideover::deadline const&) -> tideover::result<int> { return errc::cancelled; }));
  CHECK(!b.try_call(overslept, tideover::deadline::after(clock, 2s)));
  CHECK(!b.try_call(overslept, tideover::deadline::after(clock, 5s)));
  std::stop_source stop;
  auto const stopped = [&](tideover::deadline const& d) {
    stop.request_stop();
    return overslept(d);
  };
  CHECK(!b.try_call(stopped, tideover::deadline::after(clock, 9s, stop.get_token())));
  CHECK(b.stats().failures == 3);
  CHECK(b.stats().ignored == 4);
  // What is turned away further in is, however long that took.
  CHECK(!b.try_call([&](tideover::deadline const& d) -> tideover::result<int> {
    clock.set(d.at);
    return errc::queue_full;
  }));
  CHECK(b.stats().ignored == 5);
}

TEST_CASE("E4: a rejection that comes wrapped is one: nothing was asked") {
  breaker b({.failure_threshold = 1}, manual_clock());
  auto const cause = std::make_exception_ptr(tideover::error(errc::circuit_open, "further in"));
  tideover::failure const why{.code = errc::factory_error, .cause = cause};
  auto const wrapped = [&]() -> int { throw tideover::error(why); };
  CHECK_THROWS_AS(b.call(wrapped), tideover::error);
  CHECK(!b.try_call([&] { return tideover::result<int>(why); }));
  CHECK(b.stats().ignored == 2);
  CHECK(b.call(wrapped, [](std::error_code code) { return code == errc::factory_error ? 7 : 0; }) == 7);
  // However deep.
  tideover::failure const deeper{.code = errc::computation_failed,
                                 .cause = std::make_exception_ptr(tideover::error(why))};
  auto const fallback = [](std::error_code) { return tideover::result<int>(8); };
  CHECK(*b.call([&] { return tideover::result<int>(deeper); }, fallback) == 8);
  CHECK(b.call([&]() -> int { throw tideover::error(deeper); }, [](std::error_code) { return 9; }) == 9);
  CHECK(b.try_call([&] { return tideover::outcome(why); })->code() == errc::factory_error);
  CHECK(b.stats().ignored == 6);
  CHECK(b.state() == breaker_state::closed);
  // A time-out is one, whatever cut it short further in.
  breaker strict({.failure_threshold = 1}, manual_clock());
  tideover::failure const late{.code = errc::timed_out,
                               .cause = std::make_exception_ptr(
                                   std::system_error(std::make_error_code(std::errc::operation_canceled)))};
  CHECK(!strict.try_call([&] { return tideover::result<int>(late); }));
  CHECK(strict.state() == breaker_state::open);
  auto const broken = [&]() -> int { throw tideover::error(tideover::failure{.code = errc::factory_error}); };
  CHECK_THROWS_AS(b.call(broken), tideover::error);
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE(
    "E4: a classifier that throws: a failure, its exception swallowed and counted, the call's end kept") {
  circuit_breaker<throwing_classifier, manual_clock> b({.failure_threshold = 3}, manual_clock());
  CHECK(b.call([] { return 7; }) == 7);
  CHECK_THROWS_AS(b.call([]() -> int { throw backend_down(); }), backend_down);
  CHECK(*b.try_call([] { return 8; }) == 8);
  CHECK(b.stats().classifier_failures == 3);
  CHECK(b.stats().failures == 3);
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("E4: a classifier of one's own sees values and exceptions") {
  circuit_breaker<tideover::classify_by<by_status>, manual_clock> b({.failure_threshold = 2}, manual_clock());
  CHECK(b.call([] { return status{404}; }).code == 404);
  CHECK(b.call([] { return status{503}; }).code == 503);
  CHECK(b.stats().failures == 1);
  CHECK(b.call([] { return std::error_code(errc::cancelled); }));  // what it does not take: as by_result
  CHECK(b.stats().ignored == 1);
  CHECK(b.stats().window_failures == 1);
  CHECK_THROWS_AS(b.call([]() -> status { throw backend_down(); }), backend_down);
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("E4: a classifier of values alone leaves exceptions to by_result") {
  tideover::classify_by by_code([](status const& s) {
    return s.code >= 500 ? tideover::call_outcome::failure : tideover::call_outcome::success;
  });
  circuit_breaker<decltype(by_code), manual_clock> b({.failure_threshold = 9}, by_code);
  CHECK(b.call([] { return status{404}; }).code == 404);
  CHECK(b.call([] { return status{503}; }).code == 503);
  CHECK(b.stats().failures == 1);
  CHECK_THROWS_AS(b.call([]() -> status { throw backend_down(); }), backend_down);
  CHECK(b.stats().failures == 2);
  CHECK_THROWS_AS(b.call([]() -> status {
    throw std::system_error(std::make_error_code(std::errc::operation_canceled));
  }),
                  std::system_error);
  CHECK(b.stats().ignored == 1);
  CHECK(b.stats().classifier_failures == 0);
}

TEST_CASE(
    "E4: the fallback stands in for rejection and failure, after the report, and its error is no outcome") {
  breaker b({.failure_threshold = 2}, manual_clock());
  std::uint64_t seen = 0;
  auto const fallback = [&](std::error_code why) {
    seen = b.stats().failures;
    return why == errc::computation_failed ? -1 : -2;
  };
  CHECK(b.call([] { return 7; }, fallback) == 7);
  CHECK(b.call([]() -> int { throw backend_down(); }, fallback) == -1);
  CHECK(seen == 1);  // it was reported before
  auto const bad = [](std::error_code) -> int { throw std::logic_error("no data either"); };
  CHECK_THROWS_AS(b.call([]() -> int { throw backend_down(); }, bad), std::logic_error);
  CHECK(b.state() == breaker_state::open);
  CHECK(b.call([] { return 7; }, fallback) == -2);
  CHECK_THROWS_AS(b.call([] { return 7; }, bad), std::logic_error);
  CHECK(b.stats().failures == 2);
  bool fell = false;
  b.call([] {}, [&](std::error_code) { fell = true; });
  CHECK(fell);
}

TEST_CASE("E4: the fallback: values that are failures too; what is no failure passes through") {
  breaker b({.failure_threshold = 100}, manual_clock());
  using r = tideover::result<int>;
  auto const fallback = [](std::error_code why) { return why == errc::timed_out ? r(1) : r(2); };
  CHECK(*b.call([] { return r(7); }, fallback) == 7);
  CHECK(*b.call([] { return r(errc::timed_out); }, fallback) == 1);
  CHECK(*b.call([] { return r(errc::queue_full); }, fallback) == 2);
  CHECK(b.call([] { return r(errc::cancelled); }, fallback).code() == errc::cancelled);
  CHECK_THROWS_AS(b.call([]() -> r { throw tideover::error(errc::cancelled, ""); }, fallback),
                  tideover::error);
  manual_clock const& clock = b.clock();
  auto const slow = [&](tideover::deadline const& d) -> int {
    clock.set(d.at);
    throw tideover::error(errc::timed_out, "slow");
  };
  auto const minus = [](std::error_code) { return -1; };
  CHECK_THROWS_AS(b.call(slow, minus, tideover::deadline::after(clock, 2s)), tideover::error);
  CHECK(b.call(slow, minus, tideover::deadline::after(clock, 200s)) == -1);
  circuit_breaker<tideover::classify_by<by_status>> web({.failure_threshold = 9});
  CHECK(web.call([] { return status{503}; }, [](std::error_code) { return status{200}; }).code == 200);
}
