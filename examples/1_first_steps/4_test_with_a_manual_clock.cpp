// SPDX-License-Identifier: BSL-1.0
// Time under control: a test of anything that expires needs no sleep.
#include <tideover/ttl_cache.hpp>

#include <chrono>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;

int main() {
  tideover::manual_clock clock;
  tideover::ttl_cache<std::string, int, tideover::after_access, tideover::manual_clock> sessions(
      {.ttl = 30min}, clock);
  sessions.put("alice", 1);
  clock.advance(29min);
  std::printf("after 29 minutes: %s\n", sessions.get("alice") ? "there" : "gone");
  clock.advance(29min);
  std::printf("29 minutes after that use: %s\n", sessions.get("alice") ? "there" : "gone");
  clock.advance(30min);
  std::printf("after 30 minutes without use: %s\n", sessions.get("alice") ? "there" : "gone");
}
// expect: after 29 minutes: there
// expect: 29 minutes after that use: there
// expect: after 30 minutes without use: gone
