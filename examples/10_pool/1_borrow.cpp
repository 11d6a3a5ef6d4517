// SPDX-License-Identifier: BSL-1.0
// A hundred queries over ten connections at most, and a few of the ways to borrow one.
#include <tideover/connection_pool.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

std::atomic<int> logins{0};

struct connection {
  int number = ++logins;  // as costly as a login is
  bool open = true;
  std::string query(std::string const& text) { return text + ": 42"; }
};

struct factory {
  using connection = ::connection;
  static connection connect(tideover::deadline) { return {}; }               // may throw
  static bool healthy(connection& c, tideover::deadline) { return c.open; }  // a ping
  static void reset(connection&) {}                                          // roll back, say
};

int main() {
  tideover::connection_pool<factory> pool(factory{}, {.name = "db", .min_size = 2, .max_size = 10});

  std::vector<std::thread> workers;
  for (int i = 0; i < 20; ++i) {
    workers.emplace_back([&] {
      for (int n = 0; n < 5; ++n) {
        auto held = pool.acquire();  // waits its turn, 5 s at most
        static_cast<void>(held->query("select answer"));
      }  // and gives it back
    });
  }
  for (auto& w : workers) w.join();
  std::printf("100 queries, %s\n", logins <= 10 ? "10 logins at most" : "too many logins");

  std::puts(pool.with([](connection& c) { return c.query("select answer"); }).c_str());
  if (auto now = pool.try_acquire()) std::puts("one was idle");
  auto both = pool.acquire_n(2);  // both or neither: two that want two each cannot starve each other
  std::printf("%zu at once\n", both.size());
  both.front().discard();  // it is broken: not for the next one
  both.clear();
  std::printf("%zu out when closed\n", pool.close(1s));
  if (auto late = pool.try_acquire_for(1s); !late) std::puts(late.error().code.message().c_str());
}
// expect: 100 queries, 10 logins at most
// expect: select answer: 42
// expect: one was idle
// expect: 2 at once
// expect: 0 out when closed
// expect: closed: the component no longer takes work; use it before it is closed
