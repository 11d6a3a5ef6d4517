// SPDX-License-Identifier: BSL-1.0
#include "breaker/common.hpp"

#include <limits>

namespace {
template <class Breaker = circuit_breaker<tideover::failure_rate_in_last<100>>>
std::string complaint(breaker_options const& o) {
  try {
    Breaker b(o);
  } catch (tideover::error const& e) {
    return e.code() == errc::invalid_argument ? e.what() : "another code";
  }
  return "none";
}
}  // namespace

TEST_CASE("bad options are refused with field, value and bounds") {
  auto const says = [](breaker_options const& o, char const* text) {
    INFO(complaint(o));
    CHECK(complaint(o).rfind(text, 0) == 0);
  };
  double const nan = std::numeric_limits<double>::quiet_NaN();
  says({}, "none");
  says({.failure_threshold = 0},
       "breaker_options.failure_threshold is 0; it must be between 1 and 1000000000");
  says({.recovery_timeout = 0s}, "breaker_options.recovery_timeout is 0 ns; it must be above 0 ns");
  says({.call_timeout = -1ns}, "breaker_options.call_timeout is -1 ns; it must be above 0 ns");
  says({.failure_rate = 0}, "breaker_options.failure_rate is 0; it must be between 0.000001 and 1");
  says({.failure_rate = nan}, "breaker_options.failure_rate is nan; it must be");
  says({.failure_rate = 1.01}, "breaker_options.failure_rate is 1.01");
  says({.min_calls = 0}, "breaker_options.min_calls is 0; it must be between 1 and 1000000000");
  says({.min_calls = 101}, "breaker_options.min_calls is 101; it must be between 1 and 100:");
  says({.slow_after = -1ns}, "breaker_options.slow_after is -1 ns; it must be 0 ns");
  says({.slow_rate = nan}, "breaker_options.slow_rate is nan");
  says({.window = 999us}, "breaker_options.window is 999000 ns; it must be 1 ms or more");
  says({.probes = 0}, "breaker_options.probes is 0; it must be between 1 and 1000");
  says({.probes = 1001}, "breaker_options.probes is 1001");
  says({.successes = 0}, "breaker_options.successes is 0");
  says({.successes = 1001}, "breaker_options.successes is 1001");
  says({.tolerated_failures = 1001},
       "breaker_options.tolerated_failures is 1001; it must be between 0 and 1000");
  says({.probe_lease = -1ns}, "breaker_options.probe_lease is -1 ns");
  says({.ramp_over = 0ns}, "breaker_options.ramp_over is 0 ns");
  says({.throttle_factor = 0.5}, "breaker_options.throttle_factor is 0.5; it must be between 1 and 1000");
  says({.throttle_most = 1.0}, "breaker_options.throttle_most is 1; it must be between 0 and 0.999");
  breaker_options const slow{.slow_after = 1s};
  CHECK(complaint<circuit_breaker<>>(slow).find("slow_after is 1000000000 ns; it must be 0 ns with this") !=
        std::string::npos);
  CHECK(complaint<circuit_breaker<tideover::failure_rate_over<>>>({.min_calls = 1000}) == "none");
}

TEST_CASE("the extremes of the options work") {
  manual_clock clock;
  circuit_breaker<manual_clock> b({.failure_threshold = 1,
                                   .recovery_timeout = 1ns,
                                   .call_timeout = std::chrono::nanoseconds::max(),
                                   .probes = 1000,
                                   .successes = 1000,
                                   .tolerated_failures = 1000},
                                  clock);
  fail_times(b, 1);
  clock.advance(1ns);
  std::vector<circuit_breaker<manual_clock>::permit> out;
  for (int i = 0; i < 1000; ++i) out.push_back(b.acquire());
  CHECK(!b.try_acquire());
  CHECK(b.stats().probes_out == 1000);
  for (auto& p : out) p.fail();
  CHECK(b.state() == breaker_state::half_open);
  clock.advance(24h * 365 * 10);
  succeed_times(b, 999);
  CHECK(b.state() == breaker_state::half_open);
  succeed_times(b, 1);
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("the presets are as documented, and are copied to change one field") {
  using namespace tideover::presets::breaker;
  CHECK((ai_service.failure_threshold == 3 && ai_service.recovery_timeout == 60s));
  CHECK((database.failure_threshold == 5 && database.recovery_timeout == 30s));
  CHECK((external_api.failure_threshold == 5 && external_api.recovery_timeout == 120s));
  CHECK((cache.failure_threshold == 10 && cache.recovery_timeout == 10s));
  breaker_options mine = database;
  mine.name = "orders";
  circuit_breaker<> b(mine);
  CHECK(b.name() == "orders");
}
