// SPDX-License-Identifier: BSL-1.0
#include "parallel/common.hpp"

#include <forward_list>
#include <functional>
#include <memory>
#include <string>
#include <tuple>

namespace {

/// An executor of somebody's own that runs the work at once, or refuses it.
struct own_executor {
  using policy_axis = tideover::axis::executor;
  bool takes = true;
  std::size_t asked = 0;
  bool try_post(tideover::task& work) {
    ++asked;
    if (!takes) return false;
    tideover::task taken = std::move(work);
    taken();
    return true;
  }
};

}  // namespace

TEST_CASE("A1: results come in the order of the input, whoever made them") {
  owned_threads pool{3};
  auto const items = numbers(200);
  auto const squares = tideover::map_reduce(pool, items,
                                            [](int i) {
                                              if (i % 3 == 0) std::this_thread::yield();
                                              return i * i;
                                            },
                                            same, {.max_workers = 4});
  REQUIRE(squares.size() == 200);
  for (int i : items) CHECK(squares[static_cast<std::size_t>(i)] == i * i);
  CHECK(tideover::map_reduce(
            pool, items, [](int i) { return std::to_string(i); },
            [](std::string a, std::string b) { return a.append(b); }) == [&] {
    std::string all;
    for (int i : items) all += std::to_string(i);
    return all;
  }());
}

TEST_CASE("A1: no more calls at once than workers, and as many if the executor has the threads") {
  watchdog const dog("workers");
  for (std::size_t const workers : {1u, 2u, 3u, 5u}) {
    owned_threads pool{8};
    crowd inside;
    gate door;
    std::thread opener([&] {
      door.await_arrivals(workers);
      door.open();
    });
    parallel_report r;
    tideover::map_reduce(pool, numbers(40),
                         [&](int i) {
                           crowd::visit const here(inside);
                           door.pass();
                           return i;
                         },
                         same, {.max_workers = workers, .report = &r});
    opener.join();
    CHECK(inside.most() == static_cast<int>(workers));
    CHECK(r.calls == 40);
    CHECK(r.started == 40);
    CHECK(r.cancelled == 0);
    CHECK(r.failed == 0);
    CHECK(r.helpers == workers - 1);
  }
}

TEST_CASE("A1: gather runs everything at once unless told otherwise, and keeps each type") {
  watchdog const dog("gather");
  owned_threads pool{2};
  gate door;
  auto const meet = [&](auto value) {
    return [&door, value] {
      door.pass();
      return value;
    };
  };
  std::thread opener([&] {
    door.await_arrivals(3);
    door.open();
  });
  auto const [a, b, c] = tideover::gather(pool, meet(1), meet(std::string("two")), meet(3.5));
  opener.join();
  CHECK(a == 1);
  CHECK(b == "two");
  CHECK(c == 3.5);
  int called = 0;
  auto const [nothing, moved] = tideover::gather(
      pool, {.max_workers = 1}, [&] { ++called; }, [] { return std::make_unique<int>(7); });
  static_assert(std::is_same_v<decltype(nothing), std::monostate const>);
  CHECK(called == 1);
  CHECK(*moved == 7);
}

TEST_CASE("A1: executors of every kind") {
  auto const sum = [](auto& executor) {
    return tideover::map_reduce(
        executor, numbers(10), [](int i) { return i; }, std::plus<>());
  };
  SECTION("one that runs on the spot keeps the order of the calls") {
    inline_run here;
    std::vector<int> seen;
    tideover::map_reduce(
        here, numbers(5), [&](int i) { return seen.push_back(i), i; }, same);
    CHECK(seen == numbers(5));
    own_executor mine;
    seen.clear();
    tideover::map_reduce(
        mine, numbers(5), [&](int i) { return seen.push_back(i), i; }, same);
    CHECK(seen == numbers(5));
    CHECK(mine.asked > 0);
  }
  SECTION("one that is driven by hand: the caller does the work, late helpers find nothing") {
    hand_driven queue;
    parallel_report r;
    std::size_t calls = 0;
    auto const all = tideover::map_reduce(queue, numbers(10),
                                          [&](int i) {
                                            ++calls;
                                            return i;
                                          },
                                          same, {.max_workers = 4, .report = &r});
    CHECK(all == numbers(10));
    CHECK(r.helpers == 3);
    CHECK(queue.pending() == 3);
    CHECK(queue.tick() == 3);
    CHECK(calls == 10);
  }
  SECTION("one that refuses, is full, or has been closed") {
    own_executor mine{false};
    parallel_report r;
    CHECK(tideover::map_reduce(mine, numbers(10), [](int i) { return i; }, same, {.report = &r}) ==
          numbers(10));
    CHECK(r.helpers == 0);
    CHECK(r.refused > 0);
    CHECK(r.refused == mine.asked);
    owned_threads pool{2};
    pool.close();
    CHECK(sum(pool) == 45);
    hand_driven full(0);
    CHECK(sum(full) == 45);
  }
  SECTION("one that loses what it takes") {
    struct lossy {
      using policy_axis = tideover::axis::executor;
      static bool try_post(tideover::task& work) {
        tideover::task const lost = std::move(work);
        return true;
      }
    } careless;
    CHECK(sum(careless) == 45);
  }
  SECTION("one that throws") {
    struct failing {
      using policy_axis = tideover::axis::executor;
      static bool try_post(tideover::task&) { throw std::bad_alloc(); }
    } poor;
    parallel_report r;
    CHECK(tideover::map_reduce(poor, numbers(10), [](int i) { return i; }, same, {.report = &r}) ==
          numbers(10));
    CHECK(r.refused > 0);
  }
  SECTION("run_by") {
    std::vector<tideover::task> waiting;
    auto const keep = [&](tideover::task t) { waiting.push_back(std::move(t)); };
    tideover::run_by<decltype(keep)> by(keep);
    CHECK(sum(by) == 45);
    CHECK(!waiting.empty());
    for (auto& t : waiting) t();
  }
}

TEST_CASE("A1: ranges of every kind, empty ones too") {
  inline_run here;
  std::forward_list<int> const list{1, 2, 3};
  auto const twice = [](int i) { return 2 * i; };
  CHECK(tideover::map_reduce(here, list, twice, same) == std::vector{2, 4, 6});
  CHECK(tideover::map_reduce(
            here, std::vector<bool>{true, false}, [](bool b) { return b; }, same) ==
        std::vector{true, false});
  CHECK(tideover::map_reduce(here, std::vector<int>(), twice, same).empty());
  CHECK(tideover::map_reduce(here, std::vector<int>(), twice, std::plus<>()) == 0);
  std::vector<int> changed = numbers(3);
  tideover::map_reduce(
      here, changed, [](int& i) { i += 10; }, [](std::vector<std::monostate> const& v) { return v.size(); });
  CHECK(changed == std::vector{10, 11, 12});
  int const array[] = {5, 6};
  CHECK(tideover::map_reduce(here, array, twice, std::plus<>()) == 22);
}

TEST_CASE("A1: scatter_gather gives one request to every target") {
  owned_threads pool{2};
  std::vector<std::function<std::string(std::string const&)>> agents;
  for (int i = 0; i < 4; ++i) {
    agents.emplace_back([i](std::string const& q) { return q + std::to_string(i); });
  }
  CHECK(tideover::scatter_gather(pool, std::string("q"), agents) ==
        std::vector<std::string>{"q0", "q1", "q2", "q3"});
  auto const tried = tideover::try_scatter_gather(pool, std::string("r"), agents, {.max_workers = 2});
  REQUIRE(tried.size() == 4);
  CHECK(tried[3].value() == "r3");
  CHECK(tideover::scatter_gather(pool, 1, std::vector<int (*)(int)>()).empty());
}

TEST_CASE("A1: the number of workers has bounds") {
  inline_run here;
  try {
    tideover::gather(here, {.max_workers = 65'537}, [] { return 1; });
    FAIL("nothing was thrown");
  } catch (tideover::error const& e) {
    CHECK(std::string(e.what()).rfind("parallel_options.max_workers is 65537; it must be between 0 and 65536",
                                      0) == 0);
  }
  CHECK(std::get<0>(tideover::gather(here, {.max_workers = 65'536}, [] { return 1; })) == 1);
}
