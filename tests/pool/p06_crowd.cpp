// SPDX-License-Identifier: BSL-1.0
#include "pool/common.hpp"

#include <algorithm>

/// A thousand who wait for ten connections, in virtual time. Each stays a second, a third of them have no
/// patience beyond the half of it all.
TEST_CASE("P6: of 1,000 who wait for 10 connections each is served in order, or late, and none is lost") {
  constexpr int crowd = 1'000, size = 10;
  watchdog const limit("crowd", 300s);
  auto const home = std::make_shared<back_end>();
  manual_clock const clock;
  connection_pool<fake_factory, manual_clock, tideover::no_validation> pool(
      fake_factory{home}, {.max_size = size, .max_idle_time = 0s, .max_lifetime = 0s, .max_connecting = size},
      clock);
  CHECK(pool.warm(size, 1h) == size);
  std::vector<lease<fake>> held;
  for (int i = 0; i < size; ++i) held.push_back(pool.acquire());

  std::mutex mutex;
  std::vector<int> granted;
  std::vector<std::pair<int, lease<fake>>> now;  // those that got one at this instant
  std::vector<instant> until(crowd);
  int late = 0, served_late = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < crowd; ++i) {
    auto const patience = i % 3 == 0 ? 50s + 500ms : 1h;
    until[static_cast<std::size_t>(i)] = clock.now() + patience;
    threads.emplace_back([&, i, patience] {
      auto got = pool.try_acquire_for(patience);
      std::lock_guard lock(mutex);
      if (!got) {
        ++late;
        return;
      }
      if (clock.now() >= until[static_cast<std::size_t>(i)]) ++served_late;
      granted.push_back(i);
      now.emplace_back(i, std::move(*got));
    });
    await_waiting(pool, static_cast<std::size_t>(i) + 1);
  }
  // One after the other comes back, so that it is known which of them is served: the first.
  int expected = 0, misplaced = 0, rounds = 0;
  while (pool.stats().waiting != 0) {
    clock.advance(1s);
    ++rounds;
    await([&] {  // those whose patience has ended have noticed
      std::lock_guard lock(mutex);
      auto const s = pool.stats();
      return clock.now() < until[0] || s.timed_out == static_cast<std::uint64_t>(late);
    });
    for (auto& one : held) {
      auto const before = pool.stats().granted;
      if (pool.stats().waiting == 0) break;
      one.release();
      await([&] {
        std::lock_guard lock(mutex);
        return !now.empty() || pool.stats().granted == before;
      });
      std::lock_guard lock(mutex);
      if (now.empty()) continue;
      while (expected % 3 == 0 && clock.now() >= until[static_cast<std::size_t>(expected)]) ++expected;
      if (now.front().first != expected++) ++misplaced;
      one = std::move(now.front().second);
      now.clear();
    }
  }
  for (auto& t : threads) t.join();
  CHECK(misplaced == 0);
  CHECK(served_late == 0);
  CHECK(late > 0);
  CHECK(granted.size() + static_cast<std::size_t>(late) == crowd);
  CHECK(std::is_sorted(granted.begin(), granted.end()));
  CHECK(home->most == size);
  CHECK(rounds < crowd / size);
  check_sums(pool.stats());
}
