// SPDX-License-Identifier: BSL-1.0
// Who is told, how it is tried out before it is trusted, and one breaker for each host.
#include <tideover/breaker_registry.hpp>
#include <tideover/circuit_breaker.hpp>

#include <chrono>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;

int main() {
  tideover::listen_by print([](tideover::breaker_event const& e) {
    std::printf("%s: %s -> %s, %s\n", std::string(e.name).c_str(), to_string(e.from), to_string(e.to),
                to_string(e.cause));
  });
  tideover::circuit_breaker<decltype(print)> db({.name = "db", .failure_threshold = 2}, print);
  auto const fails = []() -> tideover::result<int> { return tideover::errc::closed; };

  db.observe();  // on a first day: it lets everything pass and says what it would have done
  for (int i = 0; i < 5; ++i) static_cast<void>(db.try_call(fails));
  db.automatic();  // from now on it is in earnest
  for (int i = 0; i < 5; ++i) static_cast<void>(db.try_call(fails));
  std::printf("%llu failed, %llu rejected\n", static_cast<unsigned long long>(db.stats().failures),
              static_cast<unsigned long long>(db.stats().rejected));
  db.reconfigure({.failure_threshold = 10});
  db.reset();

  tideover::breaker_registry<std::string> hosts(tideover::presets::breaker::external_api);
  for (int i = 0; i < 9; ++i) static_cast<void>(hosts.try_call("down.example", fails));
  hosts.for_each([](std::string const& host, auto const& b) {
    std::printf("%s is %s\n", host.c_str(), to_string(b->state()));
  });
  std::printf("up.example: %d\n", hosts.call("up.example", [] { return 200; }));
}
// expect: db: closed -> observing, mode_set
// expect: db: observing -> observing, would_open
// expect: db: observing -> closed, mode_set
// expect: db: closed -> open, tripped
// expect: 7 failed, 3 rejected
// expect: db: open -> open, reconfigured
// expect: db: open -> closed, reset
// expect: down.example is open
// expect: up.example: 200
