// SPDX-License-Identifier: BSL-1.0
#include "breaker/common.hpp"

TEST_CASE("an outage of 300 s at 100 requests a second: 30,000 calls become 7, 14, 7 and 39") {
  using namespace tideover::presets::breaker;
  std::pair<breaker_options, int> const table[] = {
      {ai_service, 7}, {database, 14}, {external_api, 7}, {cache, 39}};
  for (auto const& [preset, expected] : table) {
    manual_clock clock;
    circuit_breaker<manual_clock> b(preset, clock);
    int reached = 0, asked = 0;
    auto const end = clock.now() + 300s;
    for (; clock.now() < end; clock.advance(10ms)) {
      ++asked;
      CHECK(!b.try_call([&]() -> tideover::result<int> { return ++reached, errc::closed; }));
    }
    INFO(preset.name);
    CHECK(asked == 30'000);
    CHECK(reached == expected);
    // And it recovers no later than one open time after the outage.
    auto const over = clock.now();
    while (!b.try_call([] { return 1; })) clock.advance(10ms);
    CHECK(clock.now() - over <= preset.recovery_timeout);
    CHECK(b.state() == breaker_state::closed);
  }
}
