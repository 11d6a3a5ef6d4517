// SPDX-License-Identifier: BSL-1.0
#include "stampede/common.hpp"

#include <stop_token>

namespace {
struct gone : std::runtime_error {
  gone() : std::runtime_error("gone for good") {}
};
/// "gone" is a no, everything else a not now.
bool may_pass(tideover::failure const& why) {
  if (!why.cause) return true;
  try {
    std::rethrow_exception(why.cause);
  } catch (gone const&) {
    return false;
  } catch (...) {
    return true;
  }
}
using may_pass_fn = tideover::retryable_if<bool (*)(tideover::failure const&)>;
using asking_guard = int_guard<tideover::no_early_refresh, tideover::no_backoff, may_pass_fn>;
}  // namespace

TEST_CASE("S4: fresh and early: the volunteer refreshes inline and has the new value", "[S4]") {
  manual_clock clock;
  int_guard<tideover::refresh_after<std::ratio<1, 2>>> guard(sized(10), usual(), clock);
  origin o{clock};
  guard.get_or_compute(1, std::ref(o));
  clock.advance(5s);
  auto const got = guard.serve(1, std::ref(o));
  CHECK(got.value == 2);
  CHECK(got.how == serving::computed);
  CHECK(guard.stats().computations.early == 1);
  CHECK(guard.store().get(1)->soft_expiry == clock.now() + 10s);
}

TEST_CASE("S4: while one refreshes all others have the value at once, fresh or stale", "[S4]") {
  watchdog const dog("a refresh under way");
  for (auto const age : {6s, 12s}) {
    manual_clock clock;
    int_guard<tideover::refresh_after<std::ratio<1, 2>>> guard(sized(10), usual(), clock);
    guard.get_or_compute(1, [] { return 1; });
    clock.advance(age);
    gate door;
    asking volunteer([&] { return guard.get_or_compute(1, [&] { return door.pass(), 2; }); });
    door.await_arrivals(1);
    for (int i = 0; i < 50; ++i) {
      auto const got = guard.serve(1, []() -> int { throw std::logic_error("a second refresh"); });
      CHECK(got.value == 1);
      CHECK(got.how == (age < 10s ? serving::fresh : serving::stale_while_revalidate));
    }
    door.open();
    CHECK(volunteer.got().is(2));
    CHECK(guard.get(1) == 2);
    auto const s = guard.stats();
    CHECK(s.stale_served.revalidate == (age < 10s ? 0 : 50));
    CHECK(s.computations.early == (age < 10s ? 1 : 0));
    CHECK(s.computations.stale == (age < 10s ? 0 : 1));
    CHECK(s.coalesced == 0);
  }
}

TEST_CASE("S4: a volunteer whose refresh fails has the value that was there", "[S4]") {
  manual_clock clock;
  int_guard<tideover::refresh_after<std::ratio<1, 2>>, tideover::no_backoff> guard(sized(10), usual(), clock);
  origin o{clock};
  guard.get_or_compute(1, std::ref(o));
  o.fails = true;
  clock.advance(5s);
  CHECK(guard.serve(1, std::ref(o)).how == serving::fresh);
  clock.advance(5s);
  CHECK(guard.serve(1, std::ref(o)).how == serving::stale_while_revalidate);
  CHECK(o.asked == 3);
  CHECK(guard.stats().refresh_failures == 2);
  CHECK(guard.stats().failed == 2);
}

TEST_CASE("S4: a volunteer whose value dies while its refresh fails is told the failure", "[S4]") {
  manual_clock clock;
  plain_guard guard(sized(10), living(10s, 5s, 0s), clock);
  origin o{clock};
  guard.get_or_compute(1, std::ref(o));
  clock.advance(10s);
  o.fails = true;
  o.delay = 5s;
  CHECK_THROWS_AS(guard.get_or_compute(1, std::ref(o)), std::runtime_error);
}

TEST_CASE(
    "S4: past stale_while_revalidate it is computed; a failure that may pass gives the stale value, flagged",
    "[S4]") {
  manual_clock clock;
  asking_guard guard(sized(10), usual(), clock, may_pass_fn(may_pass));
  guard.get_or_compute(1, [] { return 1; });
  clock.advance(20s);
  CHECK(guard.serve(1, [] { return 2; }).how == serving::computed);
  clock.advance(20s);
  auto const got = guard.serve(1, []() -> int { throw std::runtime_error("busy"); });
  CHECK(got.how == serving::stale_if_error);
  CHECK(got.value == 2);
  CHECK(got.why.code == errc::computation_failed);
  REQUIRE(got.why.cause);
  CHECK_THROWS_WITH(std::rethrow_exception(got.why.cause), "busy");
  CHECK(guard.stats().stale_served.error == 1);
  auto const code = std::make_error_code(std::errc::host_unreachable);
  auto const other =
      guard.serve(1, [&]() -> tideover::result<int> { return tideover::failure{.code = code}; });
  CHECK(other.how == serving::stale_if_error);
  CHECK(other.why.code == code);
}

TEST_CASE("S4: a failure that will not pass is told, however good the stale value", "[S4]") {
  manual_clock clock;
  asking_guard guard(sized(10), usual(), clock, may_pass_fn(may_pass));
  guard.get_or_compute(1, [] { return 1; });
  clock.advance(20s);
  CHECK_THROWS_AS(guard.get_or_compute(1, []() -> int { throw gone(); }), gone);
  CHECK(guard.stats().stale_served.error == 0);
  CHECK(guard.get_or_compute(1, []() -> int { throw std::runtime_error("busy"); }) == 1);
}

TEST_CASE("S4: a retryable policy that throws means no, and is counted", "[S4]") {
  manual_clock clock;
  auto odd = [](tideover::failure const&) -> bool { throw std::logic_error("odd"); };
  int_guard<tideover::no_early_refresh, tideover::no_backoff, tideover::retryable_if<decltype(odd)>> guard(
      sized(10), usual(), clock, tideover::retryable_if(odd));
  guard.get_or_compute(1, [] { return 1; });
  clock.advance(20s);
  CHECK_THROWS_AS(guard.get_or_compute(1, []() -> int { throw gone(); }), gone);
  CHECK(guard.stats().predicate_failures == 1);
}

TEST_CASE("S4: everyone who waited for a failed computation has its own stale value", "[S4]") {
  watchdog const dog("a failing computation");
  manual_clock clock;
  plain_guard guard(sized(10), usual(), clock);
  guard.get_or_compute(1, [] { return 1; });
  clock.advance(20s);
  gate door;
  asking first([&] { return guard.get_or_compute(1, [&]() -> int { door.pass(), throw gone(); }); });
  door.await_arrivals(1);
  asking second([&] { return guard.get_or_compute(1, [] { return -1; }); });
  await_joined(guard, 1);
  door.open();
  CHECK(first.got().is(1));
  CHECK(second.got().is(1));
  CHECK(guard.stats().stale_served.error == 2);
}

TEST_CASE("S4: absent: computed, and told if that fails", "[S4]") {
  manual_clock clock;
  plain_guard guard(sized(10), usual(), clock);
  CHECK_THROWS_AS(guard.get_or_compute(1, []() -> int { throw gone(); }), gone);
  CHECK(guard.store().size() == 0);
  CHECK(guard.serve(1, [] { return 5; }).how == serving::computed);
  CHECK(guard.stats().computations.miss == 2);
}

TEST_CASE("S4: values that look like nothing are values", "[S4]") {
  manual_clock clock;
  using store = tideover::ttl_cache<int, cached<std::optional<std::string>>, manual_clock>;
  tideover::stampede_guard<store> guard(sized(10), usual(), clock);
  int asked = 0;
  auto const nothing = [&]() -> std::optional<std::string> { return ++asked, std::nullopt; };
  CHECK(guard.get_or_compute(1, nothing) == std::nullopt);
  CHECK(guard.get_or_compute(1, nothing) == std::nullopt);
  CHECK(asked == 1);
}

TEST_CASE("S4: visits see the value in the store, or the computed one", "[S4]") {
  manual_clock clock;
  int_guard<tideover::refresh_after<std::ratio<1, 2>>> guard(sized(10), usual(), clock);
  origin o{clock};
  auto const twice = [](int const& v) { return 2 * v; };
  CHECK(guard.visit_or_compute(1, std::ref(o), twice) == 2);
  CHECK(guard.visit_or_compute(1, std::ref(o), twice) == 2);
  CHECK(o.asked == 1);
  clock.advance(5s);
  CHECK(guard.visit_or_compute(1, std::ref(o), twice) == 4);
  int seen = 0;
  guard.visit_or_compute(1, std::ref(o), [&](int const& v) { seen = v; });
  CHECK(seen == 2);
  CHECK(guard.try_visit_or_compute(1, std::ref(o), twice).value() == 4);
  CHECK(guard.try_visit_or_compute(1, std::ref(o), [&](int const& v) { seen = -v; }).has_value());
  CHECK(seen == -2);
  o.fails = true;
  CHECK(guard.try_visit_or_compute(2, std::ref(o), twice).code() == errc::computation_failed);
  CHECK_THROWS_AS(guard.visit_or_compute(2, std::ref(o), twice), std::runtime_error);
  static int const kept = 17;
  int const& ref = guard.visit_or_compute(1, std::ref(o), [](int const&) -> int const& { return kept; });
  CHECK(&ref == &kept);
  CHECK_THROWS_AS(guard.visit_or_compute(1, std::ref(o), [](int const&) -> int { throw gone(); }), gone);
}
