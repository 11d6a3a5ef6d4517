// SPDX-License-Identifier: BSL-1.0
#include "batch/common.hpp"
#include "support/watchdog.hpp"

#include <atomic>
#include <thread>

#include <pthread.h>

TEST_CASE("B11: who waits for room on the only thread of the executor makes it") {
  tideover_test::watchdog const guard("a producer on the executor's thread");
  tideover::owned_threads pool{1};
  auto const post = [&pool](tideover::task& work) { return pool.try_post(work); };
  std::vector<std::thread::id> sent;
  manual_clock clock;  // in which nobody's time is ever up
  std::atomic<int> accepted{0};
  {
    batch_processor<int, manual_clock, tideover::run_by<decltype(post)>> b(
        [&](std::span<int>) { sent.push_back(std::this_thread::get_id()); },
        {.max_items = 2, .max_pending = 2, .max_block = 1h}, clock, tideover::run_by<decltype(post)>(post));
    std::atomic<bool> done{false};
    tideover::task work([&] {
      for (int i = 0; i != 7; ++i) accepted += b.add(i) ? 1 : 0;
      done = true;
      done.notify_all();
    });
    REQUIRE(pool.try_post(work));
    done.wait(false);
    CHECK(accepted == 7);
    CHECK(b.shutdown(1h).delivered == 7);
  }
  CHECK(sent.size() == 4);
  pool.close();
}

TEST_CASE("B13: a sink that ends its thread has failed, and what is behind it is sent by another") {
  tideover_test::watchdog const guard("a sink that ends its thread");
  tideover::hand_driven desk;
  auto const post = [&desk](tideover::task& work) { return desk.try_post(work); };
  calls_of seen;
  std::vector<batch_event> events;
  manual_clock clock;
  batch_processor<int, manual_clock, tideover::run_by<decltype(post)>, event_list> b(
      [&](std::span<int> batch) {
        seen.emplace_back(batch.begin(), batch.end());
        if (batch[0] == 1) ::pthread_exit(nullptr);
      },
      {.max_items = 2}, clock, tideover::run_by<decltype(post)>(post), event_list{&events});
  auto first = b.add(1), second = b.add(2), third = b.add(3), fourth = b.add(4);
  SECTION("on the executor's thread") {
    std::thread([&] { desk.tick(); }).join();
    REQUIRE(desk.pending() == 1);
    desk.tick();
  }
  SECTION("on that of a caller") {
    std::thread([&] { b.flush(1h); }).join();
    while (desk.tick() != 0) {
    }
  }
  REQUIRE(seen == calls_of{{1, 2}, {3, 4}});
  CHECK(first->wait().code() == errc::sink_failed);
  CHECK(second->wait().code() == errc::sink_failed);
  CHECK(third->wait().delivered());
  CHECK(fourth->wait().delivered());
  auto const s = b.stats();
  CHECK(adds_up(s));
  CHECK(s.failed_by_sink == 2);
  CHECK(s.sink_failures == 1);
  CHECK(s.in_flight == 0);
  REQUIRE(events.size() == 2);
  CHECK(events[0].failed == 2);
  CHECK(!events[0].cause);
  CHECK(b.shutdown(1h).delivered == 2);
}
