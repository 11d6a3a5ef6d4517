// SPDX-License-Identifier: BSL-1.0
#include "batch/common.hpp"
#include "support/gate.hpp"
#include "support/watchdog.hpp"

#include <atomic>
#include <exception>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

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

TEST_CASE("B11: who made room for himself leaves what may be sent to the executor") {
  tideover_test::watchdog const guard("a producer that leaves");
  tideover::hand_driven desk;
  auto const post = [&desk](tideover::task& work) { return desk.try_post(work); };
  std::size_t calls = 0;
  batch_processor<int, manual_clock, tideover::run_by<decltype(post)>> b(
      [&](std::span<int>) {
        // The executor comes while the one place in flight is taken, and goes again.
        if (calls++ == 0) std::thread([&] { desk.tick(); }).join();
      },
      {.max_items = 1, .max_pending = 2, .max_block = 1h}, manual_clock(),
      tideover::run_by<decltype(post)>(post));
  auto first = b.add(1), second = b.add(2), third = b.add(3);
  REQUIRE(third);
  CHECK(first->wait().delivered());
  while (desk.tick() != 0) {
  }
  CHECK(calls == 3);
  CHECK(b.stats().pending == 0);
}

TEST_CASE("B11: who waits on the executor's only thread works again when others leave work behind") {
  tideover_test::watchdog const guard("left to who waits");
  tideover::owned_threads pool{1};
  auto const post = [&pool](tideover::task& work) { return pool.try_post(work); };
  manual_clock clock;
  tideover_test::gate door;
  {
    batch_processor<int, manual_clock, tideover::run_by<decltype(post)>> b(
        [&](std::span<int> batch) {
          if (batch[0] == 1) door.pass();
        },
        {.max_items = 1, .max_pending = 2, .max_block = 1h}, clock, tideover::run_by<decltype(post)>(post));
    std::atomic<int> step{0};
    std::atomic<bool> accepted{false};
    tideover::task work([&] {
      step.wait(0);
      accepted = b.add(5).has_value();
      step = 2;
      step.notify_all();
    });
    REQUIRE(pool.try_post(work));
    REQUIRE(b.add(1));
    REQUIRE(b.add(2));
    // It runs the first batch for longer than it wanted to wait.
    std::thread flusher([&] { b.flush(50ms); });
    door.await_arrivals(1);
    std::atomic<bool> went_ahead{false};
    std::thread ahead([&] { went_ahead = b.add(4).has_value(); });
    tideover_test::await([&] { return b.stats().blocked == 1; });
    step = 1;
    step.notify_all();
    tideover_test::await([&] { return b.stats().blocked == 2; });
    clock.advance(50ms);
    door.open();
    step.wait(1);
    CHECK(accepted);
    flusher.join();
    ahead.join();
    CHECK(went_ahead);
    CHECK(b.shutdown(1h).delivered == 4);
  }
  pool.close();
}

namespace {
struct asking_cause : std::exception {
  explicit asking_cause(std::function<void()> f) : ask(std::move(f)) {}
  asking_cause(asking_cause const&) = default;
  ~asking_cause() override {
    if (ask) ask();
  }
  std::function<void()> ask;
};
}  // namespace

TEST_CASE("B8: B12: who waits while a sink on another thread fails looks at the time of the next attempt") {
  tideover_test::watchdog const guard("a retry behind who waits");
  tideover::owned_threads pool{1};
  auto const post = [&pool](tideover::task& work) { return pool.try_post(work); };
  manual_clock clock;
  tideover_test::gate door;
  std::atomic<int> calls{0};
  {
    batch_processor<int, manual_clock, tideover::retry_items, tideover::constant_backoff,
                    tideover::run_by<decltype(post)>>
        b(
            [&](std::span<int>) {
              if (calls++ != 0) return;
              door.pass();
              throw sink_down();
            },
            {.max_items = 1, .max_pending = 1, .max_block = 1h}, clock, tideover::constant_backoff{1s},
            tideover::run_by<decltype(post)>(post));
    auto const first = b.add(1);
    door.await_arrivals(1);
    bool const flushes = GENERATE(true, false);
    bool done = false;
    std::thread waits([&] { done = flushes ? b.flush(1h) : b.add(2).has_value(); });
    clock.await_sleepers(1);  // there is nothing else to do so far
    door.open();
    while (b.stats().retries == 0) std::this_thread::yield();
    clock.advance(1s);  // nobody ticks
    waits.join();
    CHECK(done);
    CHECK(first->wait().delivered());
    CHECK(b.shutdown(1h).pending == 0);
  }
  pool.close();
}

TEST_CASE("B20: what a sink gave as a cause dies without a lock") {
  tideover_test::watchdog const guard("the end of a cause");
  batch_processor<int, manual_clock>* self = nullptr;
  std::atomic<int> asked{0};
  batch_processor<int, manual_clock> b(
      [&](std::span<int> batch) {
        auto const cause =
            std::make_exception_ptr(asking_cause([&] { asked += self->stats().pending == 0 ? 1 : 0; }));
        return std::vector<outcome>(
            batch.size(),
            outcome(tideover::failure{.code = errc::sink_failed, .retry_after = {}, .cause = cause}));
      },
      {.max_items = 2}, manual_clock());
  self = &b;
  REQUIRE(b.add(1));  // nobody keeps a ticket
  REQUIRE(b.add(2));
  tideover_test::await([&] { return asked != 0; });
  CHECK(b.stats().failed_by_sink == 2);
}
