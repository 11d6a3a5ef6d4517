// SPDX-License-Identifier: BSL-1.0
#include "pool/common.hpp"

/// A thread of the pool that sleeps is woken for a job. Until it is awake it must not be counted on for
/// another one, or that one waits for as long as the first connect takes.
TEST_CASE("P9: two who come while a thread of the pool is waking up get two connects at once") {
  watchdog const limit("two connects", 30s);
  for (int round = 0; round < 40; ++round) {
    auto const home = std::make_shared<back_end>();
    std::atomic<bool> both{false};
    std::atomic<int> connecting{0};
    home->on_connect = [&](deadline const&) {
      if (!both) return;
      ++connecting;
      await([&] { return connecting == 2; });
    };
    connection_pool<fake_factory> pool(fake_factory{home},
                                       {.max_size = 3, .acquire_timeout = 1h, .max_connecting = 2});
    auto const one = pool.acquire();
    for (int i = 0; i < 20 * (round % 8); ++i)
      std::this_thread::yield();  // its thread goes to sleep, or does not
    both = true;
    borrower<decltype(pool)> second(pool, 1h), third(pool, 1h);
    second.join();
    third.join();
    CHECK(second.held);
    CHECK(third.held);
  }
}
