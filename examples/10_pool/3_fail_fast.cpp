// SPDX-License-Identifier: BSL-1.0
// A database that is down: after a few failed logins nobody waits for one any more; and who holds a
// connection for too long is named.
#include <tideover/circuit_breaker.hpp>
#include <tideover/connection_pool.hpp>

#include <chrono>
#include <cstdio>
#include <stdexcept>

using namespace std::chrono_literals;

struct connection {};

int main() {
  tideover::manual_clock clock;
  using breaker_type = tideover::circuit_breaker<tideover::manual_clock>;
  breaker_type breaker({.name = "db", .failure_threshold = 3, .recovery_timeout = 30s}, clock);
  bool down = true;
  int logins = 0;
  auto const connect = [&] {
    ++logins;
    if (down) throw std::runtime_error("connection refused");
    return connection{};
  };
  auto const tell = [](tideover::pool_event const& e) {
    if (e.kind == tideover::pool_event_kind::leak) {
      std::printf("held for %lld s: %s\n", static_cast<long long>(e.held / 1s), e.tag);
    }
  };
  tideover::connection_pool pool(tideover::make_factory(connect),
                                 tideover::pool_options{.max_size = 4, .leak_after = 60s}, clock,
                                 tideover::hand_driven{}, tideover::no_backoff{},
                                 tideover::fail_fast(breaker), tideover::listen_by(tell));
  for (int i = 0; i < 100; ++i) {
    if (auto r = pool.try_acquire_for(5s); i == 99)
      std::puts(r.code() == tideover::errc::factory_error ? "down" : "?");
  }
  std::printf("logins tried: %d\n", logins);
  down = false;
  clock.advance(30s);
  auto held = pool.acquire();
  held.tag("nightly report");
  std::puts("up again");
  clock.advance(61s);
  pool.tick();
}
// expect: down
// expect: logins tried: 3
// expect: up again
// expect: held for 61 s: nightly report
