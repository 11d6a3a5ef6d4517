// SPDX-License-Identifier: BSL-1.0
#include "stampede/common.hpp"
#include "support/throwing.hpp"

#include <atomic>
#include <memory>
#include <thread>

namespace {
using tideover::hand_driven;
using tideover::owned_threads;
using half = tideover::refresh_after<std::ratio<1, 2>>;
using driven_guard = int_guard<half, tideover::no_backoff, hand_driven>;
}  // namespace

TEST_CASE("S4: with an executor nobody waits for a refresh, fresh or stale", "[S4]") {
  for (auto const age : {6s, 12s}) {
    manual_clock clock;
    hand_driven queue;
    driven_guard guard(sized(10), usual(), clock, queue);
    origin o{clock};
    guard.get_or_compute(1, std::ref(o));
    clock.advance(age);
    for (int i = 0; i < 5; ++i) {
      auto const got = guard.serve(1, std::ref(o));
      CHECK(got.value == 1);
      CHECK(got.how == (age < 10s ? serving::fresh : serving::stale_while_revalidate));
    }
    CHECK(o.asked == 1);
    CHECK(queue.pending() == 1);  // one refresh, however many callers
    CHECK(guard.stats().running == 1);
    CHECK(queue.tick() == 1);
    CHECK(o.asked == 2);
    CHECK(guard.serve(1, std::ref(o)).value == 2);
    CHECK(guard.stats().running == 0);
  }
}

TEST_CASE("S4: what is absent is computed by its caller, executor or not", "[S4]") {
  manual_clock clock;
  hand_driven queue;
  driven_guard guard(sized(10), usual(), clock, queue);
  CHECK(guard.get_or_compute(1, [] { return 5; }) == 5);
  clock.advance(40s);  // past stale_while_revalidate
  CHECK(guard.get_or_compute(1, [] { return 6; }) == 6);
  CHECK(queue.pending() == 0);
}

TEST_CASE("S6: who needs the value now takes a refresh over that has not begun", "[S6]") {
  manual_clock clock;
  hand_driven queue;
  driven_guard guard(sized(10), living(10s, 5s, 0s), clock, queue);
  origin o{clock};
  guard.put(1, 1);
  clock.advance(12s);
  guard.get_or_compute(1, std::ref(o));
  CHECK(queue.pending() == 1);
  clock.advance(3s);  // dead by now
  CHECK(guard.get_or_compute(1, [] { return 9; }) == 9);
  CHECK(guard.stats().computations.total() == 1);
  CHECK(queue.tick() == 1);  // which finds that it has been done
  CHECK(o.asked == 0);
  CHECK(guard.get(1) == 9);
  CHECK(guard.stats().running == 0);
}

TEST_CASE("S6: one thread of an executor refreshes a key that needs another key's refresh", "[S6]") {
  watchdog const dog("a refresh behind a refresh");
  manual_clock clock;
  owned_threads crew{1};
  int_guard<half, owned_threads> guard(sized(10), living(10s, 5s, 0s), clock, crew);
  guard.put(1, 1);
  guard.put(2, 2);
  clock.advance(12s);
  gate door;
  // The only thread is held until key 2 is queued behind it and dead.
  CHECK(guard.get_or_compute(1, [&guard, &door] {
    door.pass();
    return 10 + guard.get_or_compute(2, [] { return 20; });
  }) == 1);
  door.await_arrivals(1);
  CHECK(guard.get_or_compute(2, [] { return 30; }) == 2);
  clock.advance(10s);
  door.open();
  await([&] { return guard.stats().running == 0; });
  CHECK(guard.get(1) == 30);
  CHECK(guard.get(2) == 20);
}

TEST_CASE("S6: a refresh destroyed unrun frees its key, whenever that is", "[S6]") {
  manual_clock clock;
  bool const guard_first = GENERATE(true, false);
  auto queue = std::make_unique<hand_driven>();
  auto guard = std::make_unique<driven_guard>(sized(10), usual(), clock, *queue);
  guard->put(1, 1);
  clock.advance(12s);
  guard->get_or_compute(1, [] { return 2; });
  if (guard_first) {
    guard.reset();
    CHECK(queue->tick() == 1);  // finds nobody at home
  } else {
    // An executor that loses its work.
    struct lossy {
      using policy_axis = tideover::axis::executor;
      static bool try_post(tideover::task& work) {
        tideover::task const lost = std::move(work);
        return true;
      }
    };
    int_guard<half, lossy> unlucky(sized(10), usual(), clock);
    unlucky.put(1, 1);
    clock.advance(12s);
    CHECK(unlucky.get_or_compute(1, [] { return 2; }) == 1);
    CHECK(unlucky.stats().abandoned == 1);
    CHECK(unlucky.stats().running == 0);
    clock.advance(60s);
    CHECK(unlucky.get_or_compute(1, [] { return 3; }) == 3);
  }
}

TEST_CASE("S4: an executor that is full or throws costs nobody the value that is there", "[S4]") {
  manual_clock clock;
  hand_driven none(0);
  driven_guard guard(sized(10), usual(), clock, none);
  guard.put(1, 1);
  clock.advance(12s);
  CHECK(guard.get_or_compute(1, [] { return 2; }) == 1);
  CHECK(guard.stats().refresh_refused == 1);
  CHECK(guard.stats().running == 0);
  struct throwing_executor {
    using policy_axis = tideover::axis::executor;
    static bool try_post(tideover::task&) { throw std::bad_alloc(); }
  };
  int_guard<half, throwing_executor> other(sized(10), usual(), clock);
  other.put(1, 1);
  clock.advance(12s);
  CHECK(other.get_or_compute(1, [] { return 2; }) == 1);
  CHECK(other.stats().refresh_refused == 1);
  CHECK(other.stats().running == 0);
  // A function that cannot be copied when it is to be kept.
  guard.put(1, 1);
  clock.advance(12s);
  throwing<point::copy> const odd(1);
  auto const compute = [odd] { return odd.id(); };
  failing = fail_plan{1};
  CHECK(guard.get_or_compute(1, compute) == 1);
  failing = fail_plan{};
  CHECK(guard.stats().refresh_refused == 2);
}

TEST_CASE("S7: a refresh that is queued when its key is written does not run", "[S7]") {
  manual_clock clock;
  hand_driven queue;
  driven_guard guard(sized(10), usual(), clock, queue);
  origin o{clock};
  guard.put(1, 1);
  clock.advance(12s);
  guard.get_or_compute(1, std::ref(o));
  guard.put(1, 50);
  queue.tick();
  CHECK(o.asked == 0);
  CHECK(guard.get(1) == 50);
  CHECK(guard.stats().running == 0);
}

TEST_CASE("S4: a failed refresh on an executor is counted, and the key rests", "[S4]") {
  manual_clock clock;
  hand_driven queue;
  int_guard<half, tideover::constant_backoff, hand_driven> guard(sized(10), usual(), clock, queue,
                                                                 tideover::constant_backoff{2s});
  origin o{clock};
  o.fails = true;
  guard.put(1, 1);
  clock.advance(6s);
  guard.get_or_compute(1, std::ref(o));
  queue.tick();
  CHECK(guard.stats().refresh_failures == 1);
  guard.get_or_compute(1, std::ref(o));
  CHECK(queue.pending() == 0);
  clock.advance(2s);
  guard.get_or_compute(1, std::ref(o));
  CHECK(queue.pending() == 1);
}

TEST_CASE("S4: refreshes run on owned threads, and the guard's end waits for them", "[S4]") {
  watchdog const dog("refreshes on threads");
  std::atomic<bool> ended{false};
  gate door;
  manual_clock clock;
  std::thread opener;
  {
    int_guard<half, owned_threads> guard(sized(10), usual(), clock, owned_threads{2});
    guard.put(1, 1);
    clock.advance(6s);
    auto const here = std::this_thread::get_id();
    guard.get_or_compute(1, [&ended, &door, here] {
      door.pass();
      ended = std::this_thread::get_id() != here;
      return 2;
    });
    door.await_arrivals(1);
    opener = std::thread([&] { door.open(); });
  }
  CHECK(ended);
  opener.join();
}

TEST_CASE("S4: any callable is an executor", "[S4]") {
  manual_clock clock;
  std::vector<tideover::task> mine;
  auto const into = [&mine](tideover::task work) { mine.push_back(std::move(work)); };
  tideover::run_by by(into);
  int_guard<half, decltype(by)> guard(sized(10), usual(), clock, by);
  guard.put(1, 1);
  clock.advance(6s);
  CHECK(guard.get_or_compute(1, [] { return 2; }) == 1);
  REQUIRE(mine.size() == 1);
  mine[0]();
  CHECK(guard.get(1) == 2);
}

TEST_CASE("S4: functions that move only may be given up to an executor", "[S4]") {
  manual_clock clock;
  hand_driven queue;
  driven_guard guard(sized(10), usual(), clock, queue);
  guard.put(1, 1);
  clock.advance(6s);
  auto kept = std::make_unique<int>(7);
  CHECK(guard.get_or_compute(1, [kept = std::move(kept)] { return *kept; }) == 1);
  queue.tick();
  CHECK(guard.get(1) == 7);
}
