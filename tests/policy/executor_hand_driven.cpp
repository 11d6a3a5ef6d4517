// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/watchdog.hpp"

#include <tideover/policy/executor.hpp>

#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace {

using tideover::hand_driven;
using tideover::instant;
using tideover::task;

template <class F>
bool post(hand_driven& executor, F f) {
  task work = std::move(f);
  return executor.try_post(work);
}

}  // namespace

TEST_CASE("hand_driven: nothing runs before tick, then all does, in order, here", "[policy]") {
  hand_driven executor;
  std::vector<int> order;
  CHECK(executor.tick() == 0);
  for (int i = 0; i < 5; ++i) CHECK(post(executor, [&order, i] { order.push_back(i); }));
  CHECK(order.empty());
  CHECK(executor.pending() == 5);
  CHECK(executor.tick() == 5);
  CHECK(order == std::vector<int>{0, 1, 2, 3, 4});
  CHECK(executor.pending() == 0);
  CHECK(executor.tick() == 0);
}

TEST_CASE("hand_driven: next_deadline says whether a tick has something to do", "[policy]") {
  hand_driven executor;
  CHECK(executor.next_deadline() == instant::max());
  post(executor, [] {});
  CHECK(executor.next_deadline() == instant::min());
  executor.tick();
  CHECK(executor.next_deadline() == instant::max());
}

TEST_CASE("hand_driven: what a tick's work posts waits for the next tick", "[policy]") {
  hand_driven executor;
  int depth = 0;
  post(executor, [&] {
    ++depth;
    post(executor, [&] { ++depth; });
  });
  CHECK(executor.tick() == 1);
  CHECK(depth == 1);
  CHECK(executor.pending() == 1);
  CHECK(executor.tick() == 1);
  CHECK(depth == 2);
}

TEST_CASE("hand_driven: a tick within a tick runs what waits, once", "[policy]") {
  hand_driven executor;
  std::vector<int> order;
  post(executor, [&] {
    order.push_back(1);
    CHECK(executor.tick() == 2);
  });
  post(executor, [&] { order.push_back(2); });
  post(executor, [&] { order.push_back(3); });
  CHECK(executor.tick() == 1);
  CHECK(order == std::vector<int>{1, 2, 3});
}

TEST_CASE("hand_driven: a full queue refuses and touches nothing", "[policy]") {
  hand_driven executor(2);
  int ran = 0;
  CHECK(post(executor, [&] { ++ran; }));
  CHECK(post(executor, [&] { ++ran; }));
  task third = [&] { ran += 10; };
  CHECK_FALSE(executor.try_post(third));
  REQUIRE(third);
  CHECK(executor.pending() == 2);
  CHECK(executor.tick() == 2);
  CHECK(ran == 2);
  CHECK(executor.try_post(third));
  CHECK(executor.tick() == 1);
  CHECK(ran == 12);

  hand_driven shut(0);
  CHECK_FALSE(post(shut, [] {}));
}

TEST_CASE("hand_driven: what work throws comes out of tick, and the work behind it waits for the next",
          "[policy]") {
  hand_driven executor;
  std::vector<int> order;
  post(executor, [&] { order.push_back(1); });
  post(executor, [&] { order.push_back(2), throw 2; });
  post(executor, [&] { order.push_back(3); });
  CHECK_THROWS_AS(executor.tick(), int);
  CHECK(order == std::vector<int>{1, 2});
  CHECK(executor.pending() == 1);
  CHECK(executor.tick() == 1);
  CHECK(order == std::vector<int>{1, 2, 3});
}

TEST_CASE("hand_driven: copies share one queue; work that was never run dies with the last", "[policy]") {
  auto const token = std::make_shared<int>(0);
  {
    hand_driven executor;
    hand_driven copy = executor;
    int ran = 0;
    post(copy, [&] { ++ran; });
    CHECK(executor.pending() == 1);
    CHECK(executor.tick() == 1);
    CHECK(ran == 1);
    post(executor, [token] {});
    CHECK(token.use_count() == 2);
  }
  CHECK(token.use_count() == 1);
}

TEST_CASE("hand_driven: many threads post while one ticks; each piece of work runs once", "[policy]") {
  tideover_test::watchdog const dog("posting while ticking");
  constexpr std::size_t threads = 3;
  constexpr std::size_t each = 2000;
  hand_driven executor(64);
  std::vector<int> runs(threads * each, 0);  // only the ticking thread touches it
  std::atomic<long> refused{0};
  std::vector<std::thread> posters;
  for (std::size_t t = 0; t < threads; ++t) {
    posters.emplace_back([&, t] {
      for (std::size_t i = 0; i < each; ++i) {
        task work = [&, mine = t * each + i] { ++runs[mine]; };
        while (!executor.try_post(work)) {
          ++refused;
          std::this_thread::yield();
        }
      }
    });
  }
  std::size_t ran = 0;
  tideover_test::await([&] { return refused > 0; });
  while (ran != threads * each) ran += executor.tick();
  for (auto& thread : posters) thread.join();
  for (int const n : runs) {
    if (n != 1) FAIL("ran " << n << " times");
  }
  CHECK(executor.pending() == 0);
}
