// SPDX-License-Identifier: BSL-1.0
// What an operator asks of a cache that runs: what is hot, what will leave, and why is this key not there?
#include <tideover/ttl_cache.hpp>

#include <chrono>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;

int main() {
  tideover::manual_clock clock;
  tideover::ttl_cache<std::string, std::string, tideover::manual_clock> cache({.capacity = 100, .ttl = 60s},
                                                                              clock);
  for (std::string const key : {"a", "b", "c", "d"}) cache.put(key, "value of " + key);
  for (int i = 0; i < 3; ++i) cache.get("c");

  for (auto const& [key, value] : cache.hottest(1)) std::printf("hottest: %s\n", key.c_str());
  // Without copies, and with what else is known:
  cache.coldest(1, [](std::string const& key, std::string const&, tideover::entry_details const& d) {
    std::printf("leaves first: %s, %d s to live\n", key.c_str(),
                static_cast<int>(std::chrono::round<std::chrono::seconds>(d.remaining_life).count()));
  });

  cache.put("short", "", {.ttl = 5s});
  clock.advance(6s);
  for (char const* key : {"c", "short", "e"}) {
    tideover::cache_explanation const e = cache.explain(key);
    std::printf("%s: %s", key, to_string(e.state));
    if (e.frequency) std::printf(", queue %s, used about %u times lately", e.queue, *e.frequency);
    std::printf("\n");
  }
}
// expect: hottest: c
// expect: leaves first: a, 60 s to live
// expect: c: live, queue probation, used about 2 times lately
// expect: short: expired, queue window, used about 1 times lately
// expect: e: absent
