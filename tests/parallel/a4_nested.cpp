// SPDX-License-Identifier: BSL-1.0
#include "parallel/common.hpp"

#include <pthread.h>

#include <functional>

TEST_CASE("A4: groups within groups on one pool of any size") {
  watchdog const dog("nested groups");
  for (std::size_t const threads : {1u, 2u, 4u}) {
    owned_threads pool{threads};
    std::function<int(int)> const tree = [&](int depth) -> int {
      if (depth == 0) return 1;
      return tideover::map_reduce(pool, numbers(3), [&](int) { return tree(depth - 1); }, std::plus<>(),
                                  {.max_workers = 3});
    };
    CHECK(tree(5) == 243);
  }
}

TEST_CASE("A4: the callers themselves are tasks of the pool, and fill it") {
  watchdog const dog("callers in the pool");
  constexpr std::size_t threads = 3;
  owned_threads pool{threads};
  std::atomic<std::size_t> ended = 0;
  gate all_in;
  for (std::size_t i = 0; i < threads; ++i) {
    tideover::task work([&] {
      all_in.pass();  // every thread of the pool is taken now
      auto const [a, b] = tideover::gather(
          pool, [] { return 1; }, [] { return 2; });
      if (a + b == 3) ++ended;
    });
    REQUIRE(pool.try_post(work));
  }
  all_in.await_arrivals(threads);
  all_in.open();
  tideover_test::await([&] { return ended == threads; });
}

TEST_CASE("A4: an executor that never runs anything costs nothing but its help") {
  hand_driven never;
  auto const nested = [&](int i) {
    return tideover::map_reduce(
        never, numbers(4), [i](int j) { return i * j; }, std::plus<>());
  };
  CHECK(tideover::map_reduce(never, numbers(4), nested, std::plus<>()) == 36);
  auto const late = never.pending();
  CHECK(late > 0);
  CHECK(never.tick() == late);  // the groups are gone, and nobody minds
}

TEST_CASE("A4: a call whose thread ends is a failure, and nobody waits for it") {
  watchdog const dog("a thread that ends");
  // An executor of threads that may end under their work.
  std::vector<std::thread> threads;
  auto const start = [&](tideover::task t) {
    threads.emplace_back([work = std::move(t)]() mutable { work(); });
  };
  tideover::run_by<decltype(start)> by(start);
  auto const caller = std::this_thread::get_id();
  gate taken;
  auto const all = tideover::map_reduce(
      by, numbers(2),
      [&](int i) {
        if (std::this_thread::get_id() == caller) {
          taken.await_arrivals(1);
        } else {
          taken.open();
          taken.pass();
          ::pthread_exit(nullptr);
        }
        return i;
      },
      [](std::vector<tideover::result<int>> results) { return results; },
      {.max_workers = 2, .errors = error_handling::collect_all});
  for (auto& t : threads) t.join();
  REQUIRE(all.size() == 2);
  CHECK(int(all[0].has_value()) + int(all[1].has_value()) == 1);
  CHECK((all[0] ? all[1] : all[0]).code() == errc::flight_abandoned);
}
