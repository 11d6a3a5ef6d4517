// SPDX-License-Identifier: BSL-1.0
// Agents that take long to start: two are there from the beginning, ten at most, as many as the load wants,
// and two again when it has been quiet for five minutes. On a clock and a loop of the program's own, so that
// it takes no time.
#include <tideover/connection_pool.hpp>

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

using namespace std::chrono_literals;

struct agent {
  std::string answer(std::string const& question) { return "I have thought about " + question; }
};

int main() {
  tideover::manual_clock clock;
  tideover::connection_pool agents(tideover::make_factory([] { return agent{}; }),
                                   tideover::presets::pool::agents, clock, tideover::hand_driven{});
  agents.warm(2, 10s);
  std::printf("warm: %zu\n", agents.stats().idle);
  {
    std::vector<decltype(agents)::lease_type> busy;
    for (int i = 0; i < 8; ++i) busy.push_back(agents.acquire());
    std::puts(busy.back()->answer("pools").c_str());
    std::printf("busy: %zu\n", agents.stats().leased);
  }
  clock.advance(301s);
  agents.tick();  // with the default executor a thread of the pool does that
  std::printf("quiet: %zu\n", agents.stats().idle);
}
// expect: warm: 2
// expect: I have thought about pools
// expect: busy: 8
// expect: quiet: 2
