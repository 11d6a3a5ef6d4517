// SPDX-License-Identifier: BSL-1.0
// A thousand callers, one expired key: before, with a cache that only expires, and after.
#include <tideover/guarded_cache.hpp>
#include <tideover/ttl_cache.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <latch>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

constexpr int callers = 1000;

template <class Ask>
void all_at_once(Ask ask) {
  std::vector<std::thread> crowd;
  for (int i = 0; i != callers; ++i) crowd.emplace_back(ask);
  for (auto& caller : crowd) caller.join();
}

void before() {
  tideover::ttl_cache<std::string, std::string> pages({.ttl = 1h});
  pages.put("/", "yesterday's page", {.ttl = 1ns});
  std::this_thread::sleep_for(20ms);    // past its TTL, also for a clock with coarse steps
  std::latch all_have_looked(callers);  // a page takes longer to render than a thousand callers take to come
  std::atomic<int> rendered{0};
  all_at_once([&] {
    bool const missed = !pages.get("/");
    all_have_looked.arrive_and_wait();
    if (missed) {
      ++rendered;
      pages.put("/", "today's page");
    }
  });
  std::printf("before: rendered %d times\n", rendered.load());
}

void after() {
  tideover::guarded_cache<std::string, std::string> pages({.ttl = 1h, .stale_while_revalidate = 1min});
  pages.put("/", "yesterday's page", {.ttl = 1ns});
  std::this_thread::sleep_for(20ms);
  std::latch others_have_theirs(callers - 1);
  std::atomic<int> rendered{0}, old_ones{0};
  auto const render = [&] {
    ++rendered;
    others_have_theirs.wait();  // nobody waits for this
    return std::string("today's page");
  };
  all_at_once([&] {
    if (pages.get_or_compute("/", render) != "yesterday's page") return;
    ++old_ones;
    others_have_theirs.count_down();
  });
  std::printf("after: rendered %d time, %d callers had the old page at once\n", rendered.load(),
              old_ones.load());
  std::printf("now: %s\n", pages.get("/")->c_str());
}

int main() {
  before();
  after();
}
// expect: before: rendered 1000 times
// expect: after: rendered 1 time, 999 callers had the old page at once
// expect: now: today's page
