// SPDX-License-Identifier: BSL-1.0
#include "parallel/common.hpp"

#include <algorithm>
#include <functional>

namespace {

/// Runs `work` on a thread of its own and moves the clock to the next instant that is waited for, whenever
/// `sleepers` threads wait. Returns how much time that took.
template <class Work>
std::chrono::nanoseconds drive(manual_clock const& clock, std::size_t sleepers, Work work) {
  instant const began = clock.now();
  std::atomic<bool> done = false;
  std::thread caller([&] {
    work();
    done = true;
  });
  while (!done) {
    if (clock.sleepers() == sleepers) {
      clock.set(clock.next_wake());
    } else {
      std::this_thread::yield();
    }
  }
  caller.join();
  return clock.now() - began;
}

}  // namespace

TEST_CASE("A6: three calls of 1 s take 1 s in virtual time") {
  watchdog const dog("gather of sleeps");
  manual_clock clock;
  owned_threads pool{2};
  auto const call = [&] { sleep_for(clock, 1s); };
  CHECK(drive(clock, 3, [&] { tideover::gather(pool, call, call, call); }) == 1s);
  CHECK(drive(clock, 1, [&] { tideover::gather(pool, {.max_workers = 1}, call, call, call); }) == 3s);
}

TEST_CASE("A6: 100 items of T over 5 workers take 20 T in virtual time") {
  watchdog const dog("100 over 5");
  manual_clock clock;
  owned_threads pool{8};
  auto const call = [&](int i) { return sleep_for(clock, 1s), i; };
  bool good = false;
  CHECK(drive(clock, 5, [&] {
          good = tideover::map_reduce(pool, numbers(100), call, same, {.max_workers = 5}) == numbers(100);
        }) == 20s);
  CHECK(good);
  std::vector<std::function<int(int)>> const workers(5, call);
  CHECK(drive(clock, 5, [&] { good = tideover::round_robin(pool, numbers(100), workers) == numbers(100); }) ==
        20s);
  CHECK(good);
}

TEST_CASE("A6: on the wall clock too, within 15 and 10 percent") {
  watchdog const dog("wall clock", 300s);
  auto const elapsed = [](auto work) {
    auto const began = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  };
  owned_threads pool{4};
  // The best of several tries: what a busy machine adds is not ours.
  double slowest = 9, ratio = 9;
  for (int i = 0; i < 50 && slowest > 1.15 * 0.04; ++i) {
    auto const call = [] { std::this_thread::sleep_for(40ms); };
    slowest = std::min(slowest, elapsed([&] { tideover::gather(pool, call, call, call); }));
  }
  CHECK(slowest <= 1.15 * 0.04);
  for (int i = 0; i < 50 && ratio > 1.1; ++i) {
    auto const call = [](int n) { return std::this_thread::sleep_for(10ms), n; };
    ratio = std::min(ratio, elapsed([&] {
                              tideover::map_reduce(pool, numbers(100), call, same, {.max_workers = 5});
                            }) / 0.2);
  }
  CHECK(ratio <= 1.1);
}

TEST_CASE("A3: nothing begins after the deadline; what runs is told and waited for") {
  watchdog const dog("deadline");
  manual_clock clock;
  owned_threads pool{1};
  parallel_report r;
  std::atomic<int> told = 0;
  std::vector<tideover::result<int>> all;
  instant const began = clock.now();
  auto const took = drive(clock, 2, [&] {
    tideover::map_reduce(
        tideover::with_clock(pool, clock), numbers(10),
        [&](int i, tideover::deadline const& until) {
          if (until.at != began + 3s) ++told;
          sleep_for(clock, 2s);
          if (until.passed(clock.now())) ++told;
          return i;
        },
        [&](std::vector<tideover::result<int>> results) { all = std::move(results); },
        {.max_workers = 2, .until = tideover::deadline::after(clock, 3s), .report = &r});
  });
  CHECK(took == 4s);
  CHECK(told == 2);
  CHECK(r.started == 4);
  CHECK(r.cancelled == 6);
  CHECK(r.failed == 0);
  REQUIRE(all.size() == 10);
  CHECK(all[3].value() == 3);
  CHECK(all[4].code() == errc::timed_out);
}

TEST_CASE("A3: the caller that only waits tells them at the deadline") {
  watchdog const dog("caller waits");
  manual_clock clock;
  owned_threads pool{1};
  std::atomic<bool> helped = false;
  std::thread driver([&] {
    clock.await_sleepers(1);  // the caller, which has nothing left to do
    clock.advance(5s);
  });
  auto const caller = std::this_thread::get_id();
  auto const call = [&](tideover::deadline const& until) {
    if (std::this_thread::get_id() == caller) {
      tideover_test::await([&] { return helped.load(); });
    } else {
      helped = true;
      tideover_test::await([&] { return until.stop.stop_requested(); });
    }
    return until.stop.stop_requested();
  };
  auto const [a, b] = tideover::gather(tideover::with_clock(pool, clock),
                                       {.until = tideover::deadline::after(clock, 5s)}, call, call);
  driver.join();
  CHECK(a != b);
}

TEST_CASE("A3: a deadline that has passed, and a stop_token that was triggered, let nothing begin") {
  manual_clock clock;
  inline_run here;
  parallel_report r;
  int calls = 0;
  auto const map = [&](int i) { return ++calls, i; };
  auto const timed = tideover::try_map_reduce(tideover::with_clock(here, clock), numbers(3), map, same,
                                              {.until = {.at = clock.now()}, .report = &r});
  CHECK(timed.code() == errc::timed_out);
  CHECK(r.cancelled == 3);
  std::stop_source stop;
  stop.request_stop();
  auto const stopped = tideover::try_map_reduce(here, numbers(3), map, same,
                                                {.until = {.stop = stop.get_token()}, .report = &r});
  CHECK(stopped.code() == errc::cancelled);
  CHECK(r.cancelled == 3);
  CHECK(calls == 0);
  try {
    tideover::map_reduce(tideover::with_clock(here, clock), numbers(3), map, same,
                         {.until = {.at = clock.now()}});
    FAIL("nothing was thrown");
  } catch (tideover::error const& e) {
    CHECK(e.code() == errc::timed_out);
  }
}

TEST_CASE("A3: stopped from outside while it runs") {
  watchdog const dog("stopped");
  owned_threads pool{1};
  std::stop_source stop;
  gate inside;
  std::thread outside([&] {
    inside.await_arrivals(2);
    stop.request_stop();
    inside.open();
  });
  parallel_report r;
  auto const tried =
      tideover::try_map_reduce(pool, numbers(6), [&](int i) { return inside.pass(), i; }, same,
                               {.max_workers = 2, .until = {.stop = stop.get_token()}, .report = &r});
  outside.join();
  CHECK(tried.code() == errc::cancelled);
  CHECK(r.started == 2);
  CHECK(r.cancelled == 4);
}

TEST_CASE("A3: values that are all there are given, however late") {
  manual_clock clock;
  inline_run here;
  auto const got = tideover::gather(tideover::with_clock(here, clock),
                                    {.until = tideover::deadline::after(clock, 1s)}, [&] {
                                      clock.advance(10s);
                                      return 5;
                                    });
  CHECK(std::get<0>(got) == 5);
}
