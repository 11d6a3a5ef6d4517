// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <tideover/deadline.hpp>
#include <tideover/policy/clock.hpp>

#include <chrono>
#include <stop_token>

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using tideover::deadline;
using tideover::instant;

/// `now()` lags behind: what a deadline may not be reckoned from.
struct lagging {
  static instant now() noexcept { return instant::at(10ms); }
  static instant precise_now() noexcept { return instant::at(14ms); }
};

}  // namespace

TEST_CASE("deadline: the default waits for ever", "[core]") {
  for (deadline const& d : {deadline{}, deadline::never()}) {
    CHECK(d.at == instant::max());
    CHECK_FALSE(d.stop.stop_possible());
    CHECK_FALSE(d.passed(instant::min()));
    CHECK_FALSE(d.passed(instant{}));
    CHECK_FALSE(d.passed({instant::max().ns - 1}));
  }
}

TEST_CASE("deadline: it has passed from its instant on", "[core]") {
  deadline const d{instant::at(5s)};
  CHECK_FALSE(d.passed(instant::at(5s - 1ns)));
  CHECK(d.passed(instant::at(5s)));
  CHECK(d.passed(instant::at(5s + 1ns)));
}

TEST_CASE("deadline: after() reckons from the clock's precise time", "[core]") {
  CHECK(deadline::after(lagging(), 6ms).at == instant::at(20ms));

  tideover::manual_clock const clock(instant::at(1h));
  deadline const d = deadline::after(clock, 50ms);
  CHECK(d.at == instant::at(1h + 50ms));
  CHECK_FALSE(d.passed(clock.precise_now()));
  clock.advance(50ms);
  CHECK(d.passed(clock.precise_now()));
}

TEST_CASE("deadline: no patience has passed already, endless patience never does", "[core]") {
  tideover::manual_clock const clock;
  CHECK(deadline::after(clock, 0ns).passed(clock.precise_now()));
  CHECK(deadline::after(clock, -1s).passed(clock.precise_now()));
  CHECK(deadline::after(clock, nanoseconds::min()).passed(clock.precise_now()));
  CHECK(deadline::after(clock, nanoseconds::max()).at == instant::max());
}

TEST_CASE("deadline: a stop_token travels with it and does not change when it passes", "[core]") {
  tideover::manual_clock const clock;
  std::stop_source source;
  deadline const d = deadline::after(clock, 1s, source.get_token());
  deadline const copy = d;
  CHECK(d.stop.stop_possible());
  CHECK_FALSE(copy.stop.stop_requested());
  source.request_stop();
  CHECK(copy.stop.stop_requested());
  CHECK_FALSE(copy.passed(clock.precise_now()));
}
