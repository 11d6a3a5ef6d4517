// SPDX-License-Identifier: BSL-1.0
// A remote cache that is down: ten failures open the breaker for 10 s, and meanwhile one does without. Its
// failure to answer in time is a failure too, which a rate over the last 100 calls sees.
#include <tideover/circuit_breaker.hpp>

#include <chrono>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>

using namespace std::chrono_literals;

int main() {
  tideover::circuit_breaker<> cache(tideover::presets::breaker::cache);
  auto const remote_get = [](std::string const&) -> std::optional<std::string> {
    throw std::runtime_error("no route to host");
  };
  int computed = 0;
  auto const page = [&](std::string const& key) {
    auto const hit = cache.call([&] { return remote_get(key); },
                                [](std::error_code) { return std::optional<std::string>(); });
    if (hit) return *hit;
    ++computed;
    return "page " + key;
  };
  for (int i = 0; i < 1000; ++i) page("/");
  std::printf("%d pages, %llu calls of the cache\n", computed,
              static_cast<unsigned long long>(cache.stats().failures));

  tideover::manual_clock clock;
  tideover::circuit_breaker<tideover::failure_rate_in_last<100>, tideover::manual_clock> slow(
      {.min_calls = 20, .slow_after = 50ms, .slow_rate = 0.8}, clock);
  int calls = 0;
  while (slow.try_call([&] { clock.advance(60ms), ++calls; })) {
  }
  std::printf("open after %d slow calls, none of which failed\n", calls);
}
// expect: 1000 pages, 10 calls of the cache
// expect: open after 20 slow calls, none of which failed
