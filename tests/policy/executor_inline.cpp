// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/counted.hpp"

#include <tideover/policy/executor.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <type_traits>
#include <utility>

namespace {

using tideover::executor;
using tideover::inline_run;
using tideover::run_by;
using tideover::task;
using tideover_test::counted;

static_assert(executor<inline_run> && std::is_empty_v<inline_run>);
static_assert(executor<tideover::owned_threads> && executor<tideover::hand_driven>);
static_assert(executor<run_by<std::function<void(task)>>> && executor<run_by<std::function<bool(task&)>>>);
static_assert(executor<run_by<void (*)(task)>> && !executor<run_by<void (*)(int)>>);
static_assert(!executor<std::thread> && !executor<int>);

static_assert(std::is_nothrow_move_constructible_v<task> && std::is_nothrow_move_assignable_v<task>);
static_assert(!std::is_copy_constructible_v<task> && std::is_nothrow_default_constructible_v<task>);
static_assert(std::is_constructible_v<task, void (*)()> && !std::is_constructible_v<task, void (*)(int)>);
static_assert(!std::is_convertible_v<task, bool>);

int calls_of_function = 0;
void function() { ++calls_of_function; }

}  // namespace

TEST_CASE("task: it holds any callable and calls it when told", "[policy]") {
  CHECK_FALSE(task());
  int calls = 0;
  task from_lambda = [&] { ++calls; };
  CHECK(from_lambda);
  CHECK(calls == 0);
  from_lambda();
  CHECK(calls == 1);

  task from_function = function;
  from_function();
  CHECK(calls_of_function == 1);
  auto const shared_lambda = [&] { calls += 10; };
  task from_lvalue = shared_lambda;
  from_lvalue();
  CHECK(calls == 11);
  task from_mutable = [n = 0, &calls]() mutable { calls = ++n; };
  from_mutable();
  CHECK(calls == 1);
  task from_move_only = [p = std::make_unique<int>(7), &calls] { calls = *p; };
  from_move_only();
  CHECK(calls == 7);
}

TEST_CASE("task: a move hands over, a dead task frees what it holds", "[policy]") {
  long const living = counted::live();
  {
    counted::forget();
    task a = [c = counted(1)] {};
    CHECK(counted::copies() == 0);
    CHECK(counted::live() == living + 1);
    task b = std::move(a);
    CHECK_FALSE(a);
    CHECK(b);
    a = std::move(b);
    CHECK(a);
    CHECK_FALSE(b);
    CHECK(counted::live() == living + 1);
    a = task();
    CHECK(counted::live() == living);
    b = [c = counted(2)] {};
    CHECK(counted::live() == living + 1);
  }
  CHECK(counted::live() == living);
}

TEST_CASE("inline_run: the work runs at once, here, and is gone when it has", "[policy]") {
  long const living = counted::live();
  inline_run here;
  std::thread::id ran_on;
  task work = [&, c = counted(1)] { ran_on = std::this_thread::get_id(); };
  CHECK(here.try_post(work));
  CHECK(ran_on == std::this_thread::get_id());
  CHECK_FALSE(work);
  CHECK(counted::live() == living);
}

TEST_CASE("inline_run: what the work throws reaches who posted it, and the work is gone", "[policy]") {
  long const living = counted::live();
  inline_run here;
  task work = [c = counted(1)] { throw c.id(); };
  CHECK_THROWS_AS(here.try_post(work), int);
  CHECK_FALSE(work);
  CHECK(counted::live() == living);
}

TEST_CASE("inline_run: work may post work", "[policy]") {
  inline_run here;
  int sum = 0;
  task work = [&] {
    task inner = [&] { sum += 10; };
    here.try_post(inner);
    ++sum;
  };
  CHECK(here.try_post(work));
  CHECK(sum == 11);
}

TEST_CASE("run_by: the function gets the work, and may run it when it likes", "[policy]") {
  std::deque<task> queue;
  run_by by([&](task work) { queue.push_back(std::move(work)); });
  int sum = 0;
  task one = [&] { sum += 1; };
  task two = [&] { sum += 2; };
  CHECK(by.try_post(one));
  CHECK(by.try_post(two));
  CHECK(sum == 0);
  CHECK_FALSE(one);
  REQUIRE(queue.size() == 2);
  for (task& work : queue) work();
  CHECK(sum == 3);
}

TEST_CASE("run_by: a function that returns a bool says whether it took the work", "[policy]") {
  bool open = true;
  int ran = 0;
  run_by by([&](task& work) {
    if (open) task(std::move(work))();
    return open;
  });
  task first = [&] { ++ran; };
  CHECK(by.try_post(first));
  CHECK(ran == 1);
  open = false;
  task second = [&] { ran += 10; };
  CHECK_FALSE(by.try_post(second));
  CHECK(ran == 1);
  REQUIRE(second);  // refused, so untouched: who posted it can do something else with it
  second();
  CHECK(ran == 11);
}

TEST_CASE("run_by: what the function throws reaches who posted", "[policy]") {
  run_by by([](task) { throw 3; });
  task work = [] {};
  CHECK_THROWS_AS(by.try_post(work), int);
}
