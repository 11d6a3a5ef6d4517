// SPDX-License-Identifier: BSL-1.0
// An external API that is down: five failures open the breaker for two minutes; what could not be sent is
// queued, and sent when the breaker says that it may be tried again.
#include <tideover/circuit_breaker.hpp>

#include <chrono>
#include <cstdio>
#include <deque>
#include <string>

using namespace std::chrono_literals;

int main() {
  tideover::manual_clock clock;
  tideover::circuit_breaker<tideover::manual_clock> api(tideover::presets::breaker::external_api, clock);

  bool down = true;
  std::size_t sent = 0;
  auto const post = [&](std::string const&) -> tideover::result<void> {
    if (down) return tideover::errc::timed_out;
    ++sent;
    return {};
  };

  std::deque<std::string> waiting;
  std::chrono::nanoseconds try_again{0};
  auto const send = [&](std::string order) {
    tideover::result<void> const r = api.try_call([&] { return post(order); });
    if (r) return true;
    try_again = r.retry_after();  // zero: it was tried, and failed
    waiting.push_back(std::move(order));
    return false;
  };
  for (int i = 0; i < 8; ++i) send("order " + std::to_string(i));
  std::printf("%zu wait, %s, again in %lld s\n", waiting.size(), to_string(api.state()),
              static_cast<long long>(try_again / 1s));

  down = false;
  clock.advance(try_again);
  for (auto n = waiting.size(); n > 0; --n) {
    std::string order = std::move(waiting.front());
    waiting.pop_front();
    if (!send(std::move(order))) break;
  }
  std::printf("%zu sent, %zu wait, %s\n", sent, waiting.size(), to_string(api.state()));
}
// expect: 8 wait, open, again in 120 s
// expect: 8 sent, 0 wait, closed
