// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/watchdog.hpp"

#include <tideover/policy/clock.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using tideover::instant;
using tideover::manual_clock;
using tideover_test::await;
using tideover_test::gate;
using tideover_test::watchdog;

static_assert(tideover::clock_policy<manual_clock>);
static_assert(std::is_copy_constructible_v<manual_clock> && std::is_copy_assignable_v<manual_clock>);

/// A condition variable that counts how often it is rung.
struct bell {
  template <class Lock>
  void wait(Lock& lock) {
    cv.wait(lock);
  }
  void notify_all() {
    ++rings;
    cv.notify_all();
  }
  std::condition_variable cv;
  std::atomic<int> rings{0};
};

/// The waker stops on its way to ring it.
struct slow_bell : bell {
  void notify_all() {
    hold.pass();
    bell::notify_all();
  }
  gate hold;
};

/// A sleeper that has heard it stays in bed for a while.
struct slow_riser : bell {
  template <class Lock>
  void wait(Lock& lock) {
    bell::wait(lock);
    lock.unlock();
    bed.pass();
    lock.lock();
  }
  gate bed;
};

/// A thread that sleeps until an instant, or until it is told to leave.
template <class ConditionVariable = bell>
struct sleeper {
  sleeper(manual_clock const& clock, instant until) : sleeper(clock, until, own_mutex, own_bell) {}
  sleeper(manual_clock const& clock, instant until, std::mutex& m, ConditionVariable& cv)
      : mutex(m), changed(cv), thread([this, clock, until] {
          std::unique_lock lock(mutex);
          while (!told && clock.now() < until) clock.wait_until(changed, lock, until);
          woke_at = clock.now();
          up = true;
        }) {}
  sleeper(sleeper const&) = delete;
  sleeper& operator=(sleeper const&) = delete;
  ~sleeper() {
    if (!thread.joinable()) return;
    tell();
    thread.join();
  }

  void tell() {
    {
      std::lock_guard lock(mutex);
      told = true;
    }
    changed.notify_all();
  }
  void join() { thread.join(); }

  std::mutex own_mutex;
  ConditionVariable own_bell;
  std::mutex& mutex;
  ConditionVariable& changed;
  bool told = false;  // guarded by `mutex`
  std::atomic<bool> up{false};
  instant woke_at;
  std::thread thread;
};

}  // namespace

TEST_CASE("manual_clock: it starts at one hour, or where it is told", "[policy]") {
  CHECK(manual_clock().now() == instant::at(1h));
  CHECK(manual_clock().precise_now() == instant::at(1h));
  CHECK(manual_clock(instant::at(-5s)).now() == instant::at(-5s));
  CHECK(manual_clock(instant::min()).now() == instant::min());
}

TEST_CASE("manual_clock: it stands still until it is moved", "[policy]") {
  manual_clock const clock(instant{});
  clock.advance(1ns);
  CHECK(clock.now() == instant::at(1ns));
  CHECK(clock.precise_now() == clock.now());
  clock.advance(2s);
  CHECK(clock.now() == instant::at(2s + 1ns));
  clock.set(instant::at(5s));
  CHECK(clock.now() == instant::at(5s));
}

TEST_CASE("manual_clock: it never goes back, and stops at the end of time", "[policy]") {
  manual_clock const clock(instant::at(10s));
  clock.advance(-1s);
  clock.advance(0s);
  clock.advance(nanoseconds::min());
  CHECK(clock.now() == instant::at(10s));
  clock.set(instant::at(10s - 1ns));
  clock.set(instant::min());
  CHECK(clock.now() == instant::at(10s));
  clock.advance(nanoseconds::max());
  CHECK(clock.now() == instant::max());
  clock.advance(1ns);
  CHECK(clock.now() == instant::max());
}

TEST_CASE("manual_clock: copies share one time, others have their own", "[policy]") {
  manual_clock const clock;
  manual_clock const copy = clock;
  manual_clock const other;
  manual_clock assigned;
  assigned = clock;
  copy.advance(1s);
  CHECK(clock.now() == instant::at(1h + 1s));
  CHECK(assigned.now() == instant::at(1h + 1s));
  CHECK(other.now() == instant::at(1h));
}

TEST_CASE("manual_clock: a wait for what has come is none", "[policy]") {
  watchdog const dog("a wait for the past");
  manual_clock const clock;
  std::mutex mutex;
  std::condition_variable cv;
  std::unique_lock lock(mutex);
  for (instant const t : {clock.now(), clock.now() - 1ns, instant{}, instant::min()})
    clock.wait_until(cv, lock, t);
  CHECK(lock.owns_lock());
  CHECK(clock.sleepers() == 0);
}

TEST_CASE("manual_clock: an advance wakes exactly the sleepers that became due", "[policy]") {
  watchdog const dog("sleepers with bells of their own");
  manual_clock const clock(instant{});
  CHECK(clock.sleepers() == 0);
  CHECK(clock.next_wake() == instant::max());
  clock.await_sleepers(0);

  std::deque<sleeper<>> all;
  for (int const seconds : {3, 1, 5, 2, 4})
    all.emplace_back(clock, instant::at(std::chrono::seconds(seconds)));
  clock.await_sleepers(5);
  CHECK(clock.sleepers() == 5);
  CHECK(clock.next_wake() == instant::at(1s));

  clock.advance(1s - 1ns);
  for (auto const& s : all) CHECK(s.changed.rings == 0);
  CHECK(clock.sleepers() == 5);

  clock.advance(1s + 1ns);  // exactly at the second one's instant
  all[1].join();
  all[3].join();
  CHECK(all[1].woke_at == instant::at(2s));
  CHECK(all[3].woke_at == instant::at(2s));
  CHECK(clock.sleepers() == 3);
  CHECK(clock.next_wake() == instant::at(3s));
  for (std::size_t const i : {std::size_t{0}, std::size_t{2}, std::size_t{4}}) {
    CHECK(all[i].changed.rings == 0);
    CHECK_FALSE(all[i].up);
  }

  clock.set(instant::at(1h));
  for (std::size_t const i : {std::size_t{0}, std::size_t{2}, std::size_t{4}}) {
    all[i].join();
    CHECK(all[i].woke_at == instant::at(1h));
  }
  for (auto const& s : all) CHECK(s.changed.rings == 1);
  CHECK(clock.sleepers() == 0);
  CHECK(clock.next_wake() == instant::max());
}

TEST_CASE("manual_clock: many sleepers on one condition variable", "[policy]") {
  watchdog const dog("sleepers that share a bell");
  manual_clock const clock(instant{});
  std::mutex mutex;
  bell shared;
  std::deque<sleeper<>> all;
  for (int i = 1; i <= 8; ++i) all.emplace_back(clock, instant::at(std::chrono::seconds(i)), mutex, shared);
  clock.await_sleepers(8);
  clock.advance(4s);
  for (std::size_t i = 0; i < 4; ++i) {
    all[i].join();
    CHECK(all[i].woke_at == instant::at(4s));
  }
  clock.await_sleepers(4);  // the others came up with them and lay down again
  CHECK(clock.sleepers() == 4);
  CHECK(clock.next_wake() == instant::at(5s));
  for (std::size_t i = 4; i < 8; ++i) CHECK_FALSE(all[i].up);
  clock.advance(4s);
  for (std::size_t i = 4; i < 8; ++i) all[i].join();
  CHECK(clock.sleepers() == 0);
}

TEST_CASE("manual_clock: three waits of a second at once take one second of its time", "[policy]") {
  watchdog const dog("three waits at once");
  manual_clock const clock;
  std::deque<sleeper<>> all;
  for (int i = 0; i < 3; ++i) all.emplace_back(clock, clock.now() + 1s);
  clock.await_sleepers(3);
  clock.set(clock.next_wake());
  for (auto& s : all) s.join();
  CHECK(clock.now() == instant::at(1h + 1s));
}

TEST_CASE("manual_clock: who waits for ever is woken by a notification alone", "[policy]") {
  watchdog const dog("a wait for ever");
  manual_clock const clock;
  sleeper<> patient(clock, instant::max());
  clock.await_sleepers(1);
  CHECK(clock.next_wake() == instant::max());
  clock.advance(24h * 365 * 100);
  CHECK(patient.changed.rings == 0);
  CHECK(clock.sleepers() == 1);
  patient.tell();
  patient.join();
  CHECK(clock.sleepers() == 0);
}

TEST_CASE("manual_clock: a sleeper that is notified leaves before its time and is forgotten", "[policy]") {
  watchdog const dog("a notified sleeper");
  manual_clock const clock(instant{});
  sleeper<> first(clock, instant::at(1s));
  sleeper<> second(clock, instant::at(2s));
  clock.await_sleepers(2);
  first.tell();
  first.join();
  CHECK(first.woke_at == instant{});
  CHECK(clock.sleepers() == 1);
  CHECK(clock.next_wake() == instant::at(2s));
  clock.advance(2s);
  second.join();
  CHECK(first.changed.rings == 1);  // told, not woken
}

TEST_CASE("manual_clock: a sleeper that is notified while it is being woken waits for its waker",
          "[policy]") {
  // Else the waker would ring a bell that its owner, up already, has destroyed.
  watchdog const dog("a sleeper woken twice");
  manual_clock const clock(instant{});
  auto tired = std::make_unique<sleeper<slow_bell>>(clock, instant::at(1s));
  clock.await_sleepers(1);
  std::thread waker([&] { clock.advance(1s); });
  tired->changed.hold.await_arrivals(1);  // the waker is about to ring
  {
    std::lock_guard lock(tired->mutex);
    tired->told = true;
  }
  tired->changed.cv.notify_all();
  for (int i = 0; i < 1000; ++i) std::this_thread::yield();
  CHECK_FALSE(tired->up);
  tired->changed.hold.open();
  tired->join();
  tired.reset();
  waker.join();
  CHECK(clock.sleepers() == 0);
}

TEST_CASE("manual_clock: who was woken counts as a sleeper no more, however long it takes to get up",
          "[policy]") {
  // Else a test that steps a thread through time by await_sleepers(1), advance(1s), await_sleepers(1) ...
  // would find the thread of the first step still "asleep" and leave it behind.
  watchdog const dog("a slow riser");
  manual_clock const clock(instant{});
  sleeper<slow_riser> slow(clock, instant::at(1s));
  clock.await_sleepers(1);
  clock.advance(1s);
  CHECK(clock.sleepers() == 0);
  CHECK(clock.next_wake() == instant::max());
  slow.changed.bed.open();
  slow.join();
  CHECK(clock.sleepers() == 0);
}

TEST_CASE("manual_clock: a thread is led through time step by step", "[policy]") {
  watchdog const dog("a thread led through time");
  constexpr int steps = 2000;
  manual_clock const clock(instant{});
  std::vector<instant> seen;
  std::thread poller([&] {
    std::mutex mutex;
    std::condition_variable cv;
    std::unique_lock lock(mutex);
    for (int i = 0; i < steps; ++i) {
      instant const next = clock.now() + 1s;
      while (clock.now() < next) clock.wait_until(cv, lock, next);
      seen.push_back(clock.now());
    }
  });
  std::atomic<bool> finished{false};
  std::thread rescuer;  // a thread that was left behind needs more steps than it should: give it them
  for (int i = 0; i < steps; ++i) {
    clock.await_sleepers(1);
    clock.advance(1s);
  }
  rescuer = std::thread([&] {
    await([&] {
      if (clock.next_wake() != instant::max()) clock.advance(1s);
      return finished.load();
    });
  });
  poller.join();
  finished = true;
  rescuer.join();
  REQUIRE(seen.size() == steps);
  for (int i = 0; i < steps; ++i) {
    if (seen[std::size_t(i)] != instant::at(std::chrono::seconds(i + 1)))
      FAIL("left behind in step " << i + 1);
  }
}

TEST_CASE("manual_clock: any condition variable and lock will do", "[policy]") {
  watchdog const dog("another kind of lock");
  manual_clock const clock(instant{});
  std::shared_mutex mutex;
  std::condition_variable_any cv;
  std::thread thread([&] {
    std::unique_lock lock(mutex);
    while (clock.now() < instant::at(1s)) clock.wait_until(cv, lock, instant::at(1s));
  });
  clock.await_sleepers(1);
  clock.advance(1s);
  thread.join();
  CHECK(clock.sleepers() == 0);
}

TEST_CASE("manual_clock: what was done before an advance is seen by who reads the new time", "[policy]") {
  watchdog const dog("a reader of the time");
  manual_clock const clock(instant{});
  int written = 0;
  int seen = 0;
  std::thread reader([&] {
    await([&] { return clock.now() == instant::at(1s); });
    seen = written;
  });
  written = 1;
  clock.advance(1s);
  reader.join();
  CHECK(seen == 1);
}
