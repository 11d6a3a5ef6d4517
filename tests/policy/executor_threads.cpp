// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/counted.hpp"
#include "support/gate.hpp"
#include "support/watchdog.hpp"

#include <tideover/policy/executor.hpp>

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <dirent.h>
#include <pthread.h>
#endif

namespace {

using tideover::owned_threads;
using tideover::task;
using tideover_test::await;
using tideover_test::counted;
using tideover_test::gate;
using tideover_test::watchdog;

template <class F>
bool post(owned_threads& executor, F f) {
  task work = std::move(f);
  return executor.try_post(work);
}

#if defined(__linux__)
std::size_t threads_of_this_process() {
  std::size_t n = 0;
  DIR* const tasks = ::opendir("/proc/self/task");
  while (dirent const* const entry = ::readdir(tasks)) n += entry->d_name[0] != '.';
  ::closedir(tasks);
  return n;
}
#endif

}  // namespace

TEST_CASE("owned_threads: everything that was taken has run when close returns", "[policy]") {
  watchdog const dog("closing");
  for (std::size_t const threads : {std::size_t{1}, std::size_t{2}, std::size_t{4}}) {
    owned_threads executor(threads);
    std::atomic<int> ran{0};
    for (int i = 0; i < 1000; ++i) REQUIRE(post(executor, [&] { ++ran; }));
    executor.close();
    CHECK(ran == 1000);
    CHECK(executor.pending() == 0);
    CHECK(executor.failures() == 0);
  }
}

TEST_CASE("owned_threads: the last copy's destructor does what close does", "[policy]") {
  watchdog const dog("a destructor");
  std::atomic<int> ran{0};
  {
    owned_threads executor(2);
    auto const copy = std::make_unique<owned_threads>(executor);
    for (int i = 0; i < 100; ++i) post(i % 2 == 0 ? executor : *copy, [&] { ++ran; });
  }
  CHECK(ran == 100);
}

TEST_CASE("owned_threads: one thread runs the work in the order of its posting", "[policy]") {
  watchdog const dog("order");
  std::vector<int> order;
  {
    owned_threads executor;
    for (int i = 0; i < 500; ++i) post(executor, [&order, i] { order.push_back(i); });
  }
  REQUIRE(order.size() == 500);
  for (int i = 0; i < 500; ++i) CHECK(order[std::size_t(i)] == i);
}

TEST_CASE("owned_threads: n threads run n pieces of work at once, none of them here", "[policy]") {
  watchdog const dog("three at once");
  owned_threads executor(3);
  gate together;
  std::mutex mutex;
  std::set<std::thread::id> ids;
  for (int i = 0; i < 3; ++i) {
    post(executor, [&] {
      {
        std::lock_guard lock(mutex);
        ids.insert(std::this_thread::get_id());
      }
      together.pass();
    });
  }
  together.await_arrivals(3);
  together.open();
  executor.close();
  CHECK(ids.size() == 3);
  CHECK(ids.count(std::this_thread::get_id()) == 0);
}

TEST_CASE("owned_threads: zero threads are one", "[policy]") {
  watchdog const dog("no threads");
  owned_threads executor(0);
  bool ran = false;
  post(executor, [&] { ran = true; });
  executor.close();
  CHECK(ran);
}

TEST_CASE("owned_threads: a full queue refuses and touches nothing", "[policy]") {
  watchdog const dog("a full queue");
  owned_threads executor(1, 2);
  gate busy;
  std::atomic<int> ran{0};
  post(executor, [&] { busy.pass(); });
  busy.await_arrivals(1);  // running, so it waits no more
  CHECK(executor.pending() == 0);
  CHECK(post(executor, [&] { ++ran; }));
  CHECK(post(executor, [&] { ++ran; }));
  task refused = [&] { ran += 10; };
  CHECK_FALSE(executor.try_post(refused));
  REQUIRE(refused);
  CHECK(executor.pending() == 2);
  busy.open();
  await([&] { return ran == 2; });
  CHECK(executor.try_post(refused));
  CHECK_FALSE(refused);
  executor.close();
  CHECK(ran == 12);
}

TEST_CASE("owned_threads: closed, it refuses and touches nothing; to close it again is nothing", "[policy]") {
  watchdog const dog("closed twice");
  owned_threads executor(2);
  owned_threads copy = executor;
  std::atomic<int> ran{0};
  post(executor, [&] { ++ran; });
  executor.close();
  executor.close();
  copy.close();
  task late = [&] { ran += 10; };
  CHECK_FALSE(executor.try_post(late));
  CHECK_FALSE(copy.try_post(late));
  REQUIRE(late);
  late();
  CHECK(ran == 11);

  owned_threads never_used;
  never_used.close();
  CHECK_FALSE(never_used.try_post(late));
}

TEST_CASE("owned_threads: while it closes, what is queued still runs and nothing new is taken", "[policy]") {
  watchdog const dog("closing while busy");
  owned_threads executor(1);
  gate busy;
  std::atomic<int> ran{0};
  post(executor, [&] { busy.pass(); });
  int taken = 10;
  for (int i = 0; i < taken; ++i) post(executor, [&] { ++ran; });
  busy.await_arrivals(1);
  std::thread closer([&] { executor.close(); });
  while (post(executor, [&] { ++ran; })) ++taken;  // until it closes
  CHECK(ran == 0);
  busy.open();
  closer.join();
  CHECK(executor.pending() == 0);
  CHECK(ran == taken);
}

TEST_CASE("owned_threads: whoever closes it, close returns when everything has run", "[policy]") {
  // Also to the second of two that close at once: it may go on to destroy what the work uses.
  watchdog const dog("two closers");
  owned_threads executor(1);
  owned_threads copy = executor;
  gate busy;
  std::atomic<bool> finished{false};
  post(executor, [&] {
    busy.pass();
    finished = true;
  });
  busy.await_arrivals(1);
  std::thread first([&] { executor.close(); });
  await([&] { return !post(executor, [] {}); });  // it is closing
  std::atomic<bool> returned{false};
  std::atomic<bool> too_early{false};
  std::thread second([&] {
    copy.close();
    too_early = !finished;
    returned = true;
  });
  for (int i = 0; i < 2000 && !returned; ++i) std::this_thread::yield();
  busy.open();
  second.join();
  first.join();
  CHECK_FALSE(too_early);
}

TEST_CASE("owned_threads: what work throws is swallowed, counted and hurts no other work", "[policy]") {
  watchdog const dog("failing work");
  owned_threads executor(2);
  std::atomic<int> ran{0};
  for (int i = 0; i < 100; ++i) {
    post(executor, [&, i] {
      if (i % 4 == 0) throw std::runtime_error("no");
      if (i % 4 == 1) throw 7;
      ++ran;
    });
  }
  executor.close();
  CHECK(ran == 50);
  CHECK(executor.failures() == 50);
}

TEST_CASE("owned_threads: what work holds dies with it, before close returns, and outside of the lock",
          "[policy]") {
  watchdog const dog("captures that post");
  long const living = counted::live();
  {
    owned_threads executor;
    std::atomic<int> posted{0};
    struct posts_when_it_dies {
      owned_threads* executor;
      std::atomic<int>* posted;
      posts_when_it_dies(owned_threads* e, std::atomic<int>* p) : executor(e), posted(p) {}
      posts_when_it_dies(posts_when_it_dies&& other) noexcept
          : executor(std::exchange(other.executor, nullptr)), posted(other.posted) {}
      ~posts_when_it_dies() {
        if (executor == nullptr) return;
        task const unused = [] {};
        posted->fetch_add(int(executor->pending()) + 1);  // takes the lock
      }
    };
    post(executor, [c = counted(1), p = posts_when_it_dies(&executor, &posted)] {});
    executor.close();
    CHECK(posted == 1);
    CHECK(counted::live() == living);
  }
}

TEST_CASE("owned_threads: work may post work", "[policy]") {
  watchdog const dog("work that posts");
  owned_threads executor(2);
  std::atomic<int> ran{0};
  gate done;
  post(executor, [&] {
    for (int i = 0; i < 10; ++i) post(executor, [&] { ran += 1; });
    post(executor, [&] { done.pass(); });
  });
  done.await_arrivals(1);
  done.open();
  executor.close();
  CHECK(ran == 10);
}

#if defined(__linux__)
TEST_CASE("owned_threads: threads start with the first work, all bear the name, and are joined", "[policy]") {
  watchdog const dog("names");
  std::size_t const before = threads_of_this_process();
  owned_threads executor(3, 100, "tide-worker-number-one");
  CHECK(threads_of_this_process() == before);
  gate together;
  std::mutex mutex;
  std::vector<std::string> names;
  for (int i = 0; i < 3; ++i) {
    post(executor, [&] {
      char name[16] = {};
      ::pthread_getname_np(::pthread_self(), name, sizeof name);
      {
        std::lock_guard lock(mutex);
        names.push_back(name);
      }
      together.pass();
    });
  }
  together.await_arrivals(3);
  CHECK(threads_of_this_process() == before + 3);
  CHECK(names == std::vector<std::string>(3, "tide-worker-num"));  // what Linux keeps of it
  together.open();
  executor.close();
  await([&] { return threads_of_this_process() == before; });  // joined, and gone from /proc soon
}
#endif

TEST_CASE("owned_threads: many post, some close; each piece of work that was taken runs once", "[policy]") {
  watchdog const dog("posting against closing");
  long refused_full = 0;
  long refused_closed = 0;
  for (int round = 0; round < 50 || refused_full == 0 || refused_closed == 0; ++round) {
    owned_threads executor(2, 8);
    std::vector<std::atomic<int>> runs(600);
    std::vector<int> taken(600, 0);
    std::atomic<bool> closing{false};
    std::atomic<long> full{0}, closed{0};
    std::vector<std::thread> posters;
    for (std::size_t t = 0; t < 3; ++t) {
      posters.emplace_back([&, t, copy = executor]() mutable {
        for (std::size_t i = t * 200; i < (t + 1) * 200; ++i) {
          bool const before = closing;
          task work = [&runs, i] { ++runs[i]; };
          if (copy.try_post(work)) {
            taken[i] = 1;
          } else {
            ++(before ? closed : full);
            if (!work) std::abort();
          }
        }
      });
    }
    while (round % 2 == 0 && executor.pending() == 0 && full == 0) std::this_thread::yield();
    if (round % 2 == 0) {
      closing = true;
      executor.close();
    }
    for (auto& thread : posters) thread.join();
    executor.close();
    for (std::size_t i = 0; i < 600; ++i) {
      if (runs[i] != taken[i]) FAIL("taken " << taken[i] << " times, ran " << runs[i] << " times");
    }
    refused_full += full;
    refused_closed += closed;
  }
  CHECK(refused_full > 0);
  CHECK(refused_closed > 0);
}
