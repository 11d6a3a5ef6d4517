// SPDX-License-Identifier: BSL-1.0
// Connections to many hosts, two to each and three in all: an idle one makes room for a host that needs it.
#include <tideover/keyed_pool.hpp>

#include <chrono>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;

struct http_connection {
  std::string host;
  int get(std::string const&) { return 200; }
};

struct http_factory {
  using connection = http_connection;
  connection connect(std::string const& host, tideover::deadline const&) {
    std::printf("connect to %s\n", host.c_str());
    return {host};
  }
};

int main() {
  tideover::manual_clock clock;  // so that this program need not wait
  tideover::keyed_pool<std::string, http_factory, tideover::manual_clock> hosts(
      http_factory{}, {.each = {.max_size = 2, .max_idle_time = 30s}, .max_total = 3}, clock);

  for (auto const* host : {"a.example", "b.example", "a.example", "b.example", "c.example"}) {
    hosts.with(host, [](http_connection& c) { return c.get("/"); });
    clock.advance(1s);
  }
  std::printf("%zu places taken\n", hosts.stats().used);

  auto held = hosts.acquire("d.example");  // a.example has been idle longest
  std::printf("a: %zu, b: %zu, c: %zu idle, %zu places taken\n", hosts.stats("a.example").idle,
              hosts.stats("b.example").idle, hosts.stats("c.example").idle, hosts.stats().used);
}
// expect: connect to a.example
// expect: connect to b.example
// expect: connect to c.example
// expect: 3 places taken
// expect: connect to d.example
// expect: a: 0, b: 1, c: 1 idle, 3 places taken
