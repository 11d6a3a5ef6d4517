// SPDX-License-Identifier: BSL-1.0
// Refreshes on threads of the guard's own: no caller waits for one. And the parts alone, without a cache.
#include <tideover/guarded_cache.hpp>
#include <tideover/single_flight.hpp>
#include <tideover/xfetch.hpp>

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

using namespace std::chrono_literals;

struct page {
  std::string text;
};

void refresh_on_a_thread() {
  tideover::manual_clock clock;
  tideover::owned_threads crew{2};
  using pages = tideover::guarded_cache<std::string, std::shared_ptr<page const>,
                                        tideover::refresh_after<std::ratio<4, 5>>, tideover::owned_threads,
                                        tideover::manual_clock>;
  pages cache({.ttl = 100s}, clock, crew);

  int version = 0;
  // It runs later and elsewhere: what it captures must live as long as the cache.
  auto const render = [&version](std::string const& path) {
    return std::make_shared<page const>(page{path + " version " + std::to_string(++version)});
  };
  std::puts(cache.get_or_compute("/", render)->text.c_str());
  clock.advance(80s);
  std::puts(cache.get_or_compute("/", render)->text.c_str());  // has what is there
  crew.close();                                                // the refresh has run
  std::puts(cache.get_or_compute("/", render)->text.c_str());
}

void alone() {
  tideover::single_flight<std::string, page> flights;
  page const p = flights.run("/", [](std::string const& path) { return page{path + " in flight"}; });
  std::puts(p.text.c_str());

  tideover::xfetch early({.beta = 1.0, .max_early = 0.5});
  tideover::xoshiro rng(2015);
  tideover::instant const soft_expiry{std::chrono::nanoseconds(100s).count()};
  int refreshing = 0;
  for (int caller = 0; caller != 1000; ++caller) {
    refreshing += early(soft_expiry - 2s, soft_expiry, /*delta=*/1s, /*ttl=*/60s, rng) ? 1 : 0;
  }
  std::printf("2 s ahead about e^-2 of 1000 callers would refresh: %s\n",
              refreshing > 100 && refreshing < 170 ? "yes" : "no");
}

int main() {
  refresh_on_a_thread();
  alone();
}
// expect: / version 1
// expect: / version 1
// expect: / version 2
// expect: / in flight
// expect: 2 s ahead about e^-2 of 1000 callers would refresh: yes
