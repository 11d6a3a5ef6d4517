// SPDX-License-Identifier: BSL-1.0
// How long an entry lives, said by a function of key and value; and sessions that end when nobody uses them
// and, however busy they are, in time.
#include <tideover/ttl_cache.hpp>

#include <chrono>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;

struct answer {
  int status;
  std::string text;
};

int main() {
  tideover::manual_clock clock;

  tideover::per_entry by_status([](std::string const&, answer const& a) -> std::chrono::seconds {
    if (a.status >= 500) return 0s;  // not stored at all
    return a.status == 200 ? 1h : 30s;
  });
  tideover::ttl_cache<std::string, answer, decltype(by_status), tideover::manual_clock> answers({}, by_status,
                                                                                                clock);
  answers.put("/", {200, "Welcome"});
  answers.put("/old", {404, "Not found"});
  if (!answers.put("/broken", {503, "Down"})) std::puts("/broken is not stored");
  answers.put("/news", {200, "Calm seas"}, {.ttl = 5s});  // said by the put: the function is not asked
  clock.advance(30s);
  for (char const* page : {"/", "/old", "/news"})
    std::printf("%s %s\n", page, answers.contains(page) ? "lives" : "has expired");

  using sessions =
      tideover::ttl_cache<int, std::string, tideover::after_write_or_access, tideover::manual_clock>;
  sessions logged_in({.ttl = 8h, .idle_ttl = 15min, .ttl_jitter = 0.0}, clock);
  logged_in.put(1, "ada");
  logged_in.put(2, "grace");
  int minutes = 0;
  for (; logged_in.get(1); minutes += 10) clock.advance(10min);
  std::printf("ada stayed for %d minutes, grace %s\n", minutes, logged_in.contains(2) ? "too" : "did not");
}
// expect: /broken is not stored
// expect: / lives
// expect: /old has expired
// expect: /news has expired
// expect: ada stayed for 480 minutes, grace did not
