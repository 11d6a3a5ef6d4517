// SPDX-License-Identifier: BSL-1.0
// An AI service that is down: three failures open the breaker for 60 s, and a simpler model answers
// meanwhile.
#include <tideover/circuit_breaker.hpp>

#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <system_error>

using namespace std::chrono_literals;

int main() {
  tideover::manual_clock clock;  // so that this program need not wait for 60 s
  tideover::circuit_breaker<tideover::manual_clock> ai(tideover::presets::breaker::ai_service, clock);

  bool down = true;
  int asked = 0;
  auto const large_model = [&](std::string const& prompt) -> std::string {
    ++asked;
    if (down) throw std::runtime_error("503");
    return "a thoughtful answer to " + prompt;
  };
  auto const small_model = [](std::string const& prompt) { return "a simple answer to " + prompt; };

  auto const answer = [&](std::string const& prompt) {
    return ai.call([&] { return large_model(prompt); }, [&](std::error_code) { return small_model(prompt); });
  };
  for (int i = 0; i < 100; ++i) answer("why");
  std::printf("100 questions, %d of them to the large model, now %s\n", asked, to_string(ai.state()));

  down = false;
  clock.advance(60s);
  std::puts(answer("why").c_str());
  std::printf("now %s\n", to_string(ai.state()));
}
// expect: 100 questions, 3 of them to the large model, now open
// expect: a thoughtful answer to why
// expect: now closed
