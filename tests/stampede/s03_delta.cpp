// SPDX-License-Identifier: BSL-1.0
#include "stampede/common.hpp"

namespace {
std::chrono::nanoseconds delta_of(plain_guard& guard) {
  auto const e = guard.store().get(1);
  return e ? e->delta : -1ns;
}
}  // namespace

TEST_CASE("S3: delta is a moving average of which the newest computation is a fifth", "[S3]") {
  manual_clock clock;
  plain_guard guard(sized(10), living(10s, 1h, 1h), clock);
  origin o{clock, 100ms};
  guard.get_or_compute(1, std::ref(o));
  CHECK(delta_of(guard) == 100ms);  // the first one as it is
  double expected = 100e6;
  for (auto const took : {200ms, 50ms, 0ms, 1000ms}) {
    o.delay = took;
    clock.advance(10s);
    guard.get_or_compute(1, std::ref(o));
    expected += 0.2 * (static_cast<double>(std::chrono::nanoseconds(took).count()) - expected);
    CHECK(std::abs(static_cast<double>(delta_of(guard).count()) - expected) < 10);
  }
}

TEST_CASE("S3: it is exact to the nanosecond, below a millisecond too", "[S3]") {
  manual_clock clock;
  plain_guard guard(sized(10), usual(), clock);
  origin o{clock, 1ns};
  guard.get_or_compute(1, std::ref(o));
  CHECK(delta_of(guard) == 1ns);
}

TEST_CASE("S3: failures do not change it", "[S3]") {
  manual_clock clock;
  plain_guard guard(sized(10), living(10s, 0s, 1h), clock);
  origin o{clock, 100ms};
  guard.get_or_compute(1, std::ref(o));
  clock.advance(10s);
  o.delay = 5s;
  o.fails = true;
  CHECK(guard.get_or_compute(1, std::ref(o)) == 1);
  CHECK(delta_of(guard) == 100ms);
  o.fails = false;
  o.delay = 100ms;
  CHECK(guard.get_or_compute(1, std::ref(o)) == 2);
  CHECK(delta_of(guard) == 100ms);
}

TEST_CASE("S3: a computation that was stopped does not change it", "[S3]") {
  manual_clock clock;
  auto o = living(10s, 0s, 1h);
  o.stop_unwanted = true;
  plain_guard guard(sized(10), o, clock);
  guard.get_or_compute(1, [&] { return clock.advance(100ms), 1; });
  clock.advance(10s);
  std::stop_source stop;
  guard.get_or_compute(
      1,
      [&](int const&, std::stop_token const& token) -> tideover::result<int> {
        clock.advance(7s);
        stop.request_stop();
        if (token.stop_requested()) return errc::cancelled;
        return 2;
      },
      tideover::deadline{.stop = stop.get_token()});
  CHECK(delta_of(guard) == 100ms);
  CHECK(guard.stats().failed == 1);
}

TEST_CASE("S3: an entry of a farther tier keeps its delta, and what waiting for it took does not count",
          "[S3]") {
  manual_clock clock;
  plain_guard guard(sized(10), usual(), clock);
  guard.get_or_compute(1, [&] {
    clock.advance(3s);
    return cached<int>{7, clock.now() - 1s, clock.now() + 4s, clock.now() + 6s, 250ms, 0};
  });
  CHECK(delta_of(guard) == 250ms);
  CHECK(guard.stats().refills == 1);
}

TEST_CASE("S3: a put keeps what is known of the cost", "[S3]") {
  manual_clock clock;
  plain_guard guard(sized(10), usual(), clock);
  origin o{clock, 100ms};
  guard.get_or_compute(1, std::ref(o));
  guard.put(1, 99);
  CHECK(delta_of(guard) == 100ms);
  guard.put(2, 1);
  CHECK(guard.store().get(2)->delta == 0ms);
}
