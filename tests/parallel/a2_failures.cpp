// SPDX-License-Identifier: BSL-1.0
#include "parallel/common.hpp"
#include "support/allocation_counter.hpp"
#include "support/throwing.hpp"

#include <string>
#include <system_error>

namespace {

struct odd_number : std::runtime_error {
  using std::runtime_error::runtime_error;
};

int only_even(int i) {
  if (i % 2 == 1) throw odd_number(std::to_string(i));
  return i;
}

}  // namespace

TEST_CASE("A2: the first failure cancels what has not begun, and is what is thrown") {
  inline_run here;
  parallel_report r;
  std::vector<int> called;
  CHECK_THROWS_WITH(tideover::map_reduce(here, numbers(10),
                                         [&](int i) {
                                           called.push_back(i);
                                           return i < 3 ? i : only_even(2 * i + 1);
                                         },
                                         same, {.report = &r}),
                    "7");
  CHECK(called == numbers(4));
  CHECK(r.started == 4);
  CHECK(r.failed == 1);
  CHECK(r.cancelled == 6);
}

TEST_CASE("A2: it is the first by time, not by number") {
  watchdog const dog("first by time");
  owned_threads pool{2};
  gate second_failed;
  try {
    tideover::gather(
        pool,
        [&](tideover::deadline const& until) -> int {
          // Fails when it is told that the other one has.
          while (!until.stop.stop_requested()) std::this_thread::yield();
          throw odd_number("slow");
        },
        []() -> int { throw odd_number("quick"); });
    FAIL("nothing was thrown");
  } catch (odd_number const& e) {
    CHECK(std::string(e.what()) == "quick");
  }
}

TEST_CASE("A2: what runs is told once, and waited for") {
  watchdog const dog("told once");
  owned_threads pool{3};
  std::atomic<int> here = 0;
  std::atomic<int> told = 0;
  std::atomic<int> ended = 0;
  std::atomic<int> wrong = 0;
  parallel_report r;
  auto const tried =
      tideover::try_map_reduce(pool, numbers(8),
                               [&](int i, tideover::deadline const& until) {
                                 if (i == 0) {
                                   tideover_test::await([&] { return here == 2; });
                                   throw odd_number("zero");
                                 }
                                 int heard = 0;
                                 std::stop_callback const hear(until.stop, [&] { ++heard, ++told; });
                                 ++here;
                                 tideover_test::await([&] { return told == 2; });
                                 if (heard != 1) ++wrong;
                                 ++ended;
                                 return i;
                               },
                               same, {.max_workers = 3, .report = &r});
  REQUIRE(tried.error().cause);
  CHECK_THROWS_AS(std::rethrow_exception(tried.error().cause), odd_number);
  CHECK(tried.code() == errc::computation_failed);
  CHECK(told == 2);
  CHECK(ended == 2);
  CHECK(wrong == 0);
  CHECK(r.started == 3);
  CHECK(r.failed == 1);
  CHECK(r.cancelled == 5);
}

TEST_CASE("A2: nobody is told of a cancellation when all went well") {
  inline_run here;
  std::stop_token kept;
  tideover::map_reduce(
      here, numbers(1),
      [&](int i, tideover::deadline const& until) {
        kept = until.stop;
        return i;
      },
      same);
  CHECK(!kept.stop_requested());
}

TEST_CASE("A2: collect_all calls everything, and throws the first in input order") {
  owned_threads pool{2};
  parallel_report r;
  std::atomic<int> calls = 0;
  auto const map = [&](int i) { return ++calls, only_even(i); };
  CHECK_THROWS_WITH(
      tideover::map_reduce(pool, numbers(10), map, same,
                           {.max_workers = 3, .errors = error_handling::collect_all, .report = &r}),
      "1");
  CHECK(calls == 10);
  CHECK(r.failed == 5);
  CHECK(r.cancelled == 0);
  // A reduce that takes results sees all of them, in order.
  auto const good = tideover::map_reduce(pool, numbers(10), map,
                                         [](std::vector<tideover::result<int>> const& all) {
                                           std::string text;
                                           for (auto const& one : all)
                                             text += one ? std::to_string(*one) : "-";
                                           return text;
                                         },
                                         {.errors = error_handling::collect_all});
  CHECK(good == "0-2-4-6-8-");
}

TEST_CASE("A2: results that are failures are failures") {
  inline_run here;
  auto const refuse = [](int i) -> tideover::result<int> {
    if (i == 2) return errc::circuit_open;
    return i;
  };
  CHECK(tideover::try_map_reduce(here, numbers(5), refuse, same).code() == errc::circuit_open);
  try {
    tideover::map_reduce(here, numbers(5), refuse, same);
    FAIL("nothing was thrown");
  } catch (tideover::error const& e) {
    CHECK(e.code() == errc::circuit_open);
  }
  auto const [a, b] = tideover::try_gather(
      here, [] { return tideover::result<void>(errc::closed); }, [] { return 1; });
  CHECK(a.code() == errc::closed);
  CHECK(b.code() == errc::cancelled);
  auto const [c, d] = tideover::try_gather(
      here, {.errors = error_handling::collect_all}, [] { return tideover::result<void>(errc::closed); },
      [] { return 1; });
  CHECK(c.code() == errc::closed);
  CHECK(d.value() == 1);
}

TEST_CASE("A2: a reduce that throws reaches the caller, or is the cause") {
  inline_run here;
  auto const bad = [](std::vector<int> const&) -> int { throw odd_number("reduce"); };
  CHECK_THROWS_WITH(tideover::map_reduce(here, numbers(3), only_even, bad), "1");
  CHECK_THROWS_WITH(tideover::map_reduce(here, numbers(1), only_even, bad), "reduce");
  auto const tried = tideover::try_map_reduce(here, numbers(1), only_even, bad);
  CHECK(tried.code() == errc::computation_failed);
  REQUIRE(tried.error().cause);
  CHECK_THROWS_WITH(std::rethrow_exception(tried.error().cause), "reduce");
}

TEST_CASE("A2: whatever fails at any point, nothing is lost or left running") {
  using fragile = tideover_test::throwing<tideover_test::point::construct | tideover_test::point::move>;
  struct state {
    hand_driven queue;
    std::size_t began = 0;
  };
  std::size_t const points = tideover_test::fail_at_every_point(
      [] { return state(); },
      [](state& s) {
        auto const all = tideover::map_reduce(
            s.queue, numbers(4),
            [&](int i) {
              ++s.began;
              return fragile(i);
            },
            [](std::vector<fragile> v) { return v.size(); }, {.max_workers = 2});
        CHECK(all == 4);
      },
      [](state& s, tideover_test::attempt const& a) {
        CHECK(fragile::live() == 0);
        CHECK(s.began <= 4);
        // Only a helper may be lacking without a word.
        if (!a.threw) CHECK(s.began == 4);
        CHECK(s.queue.tick() <= 1);
      });
  CHECK(points > 10);
}

TEST_CASE("A2: memory for everything is there before the first call") {
  REQUIRE(tideover_test::allocation_counter::works());
  hand_driven queue(0);  // no helpers: they are allocated as they are posted
  std::size_t during = 0;
  std::size_t before = 0;
  tideover_test::allocation_counter const counter;
  tideover::map_reduce(
      queue, numbers(4),
      [&](int i) {
        if (i == 1) before = counter.allocations();
        if (i == 3) during = counter.allocations() - before;
        return i;
      },
      [](std::vector<int> const& v) { return v.size(); }, {.max_workers = 1});
  CHECK(during == 0);
  CHECK(before > 0);
}
