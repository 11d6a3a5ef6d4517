// SPDX-License-Identifier: BSL-1.0
#include "pool/common.hpp"
#include "support/gate.hpp"

#include <atomic>
#include <map>

TEST_CASE(
    "P19: factory, check, reset, destroy and listener may call the pool, and what they throw breaks "
    "nothing") {
  watchdog const guard("P19");
  by_hand<> t({.max_size = 3, .max_idle_time = 0s, .wait_through_errors = false});
  int calls = 0;
  auto const meddle = [&] {
    ++calls;
    check_sums(t.pool.stats());
    static_cast<void>(t.pool.try_acquire().has_value());
    t.pool.resize(0, 3);
  };
  t.home->on_connect = [&](deadline const&) { meddle(); };
  t.home->on_check = [&](int, deadline const&) { return meddle(), true; };
  t.home->on_reset = [&](int) { return meddle(), true; };
  t.home->on_destroy = [&](int) {
    meddle();
    throw server_down();
  };
  t.log.then([&](pool_event const&) {
    meddle();
    throw server_down();
  });
  t.pool.acquire().release();
  t.clock.advance(2s);
  t.pool.acquire().discard();
  auto const s = t.pool.stats();
  CHECK(s.destroy_failures == 1);
  CHECK(s.listener_failures == 2);  // created, closed
  CHECK(calls == 6);
  CHECK(t.home->alive == 0);
  check_sums(s);
}

TEST_CASE("P20: reset is over before the object is lent again, and its failure closes it") {
  watchdog const guard("P20");
  by_hand<> t({.max_size = 1});
  auto held = t.pool.acquire();
  static_assert(noexcept(held.release())&& noexcept(held.discard()));
  bool could = true;
  t.home->on_reset = [&](int) {
    could = t.pool.try_acquire().has_value();
    return true;
  };
  held.release();
  CHECK(!could);
  CHECK(t.pool.stats().idle == 1);
  for (bool const throws : {false, true}) {
    t.home->on_reset = [&](int) -> bool {
      if (throws) throw server_down();
      return false;
    };
    t.pool.acquire().release();
  }
  CHECK(t.pool.stats().idle == 0);
  CHECK(t.pool.stats().reset_failures == 2);
  CHECK(t.log.closed_for(pool_close_reason::reset_failed) == 2);
  CHECK(t.home->alive == 0);
  // One that was broken is not reset.
  int const before = t.home->resets;
  t.pool.acquire().discard();
  CHECK(t.home->resets == before);
}

TEST_CASE("P20: who doubts a lease, or throws in with(), has it checked before anybody gets it") {
  by_hand<> t({.max_size = 1, .validate_after_idle = 1h});
  CHECK(t.pool.with([](fake& f) { return f.id; }) == 1);
  CHECK_THROWS_AS(t.pool.with([](fake&) { throw server_down(); }), server_down);
  CHECK(t.home->checks == 0);
  CHECK(t.pool.acquire()->id == 1);
  CHECK(t.home->checks == 1);
  auto held = t.pool.acquire();
  held.doubt();
  auto moved = std::move(held);
  moved.release();
  t.home->on_check = [](int, deadline const&) { return false; };
  CHECK(t.pool.acquire()->id == 2);
}

TEMPLATE_TEST_CASE("P21: a lease that is held too long is told once, and once when it comes back", "",
                   tideover::no_affinity, tideover::thread_affinity) {
  by_hand<TestType> t({.name = "db", .max_size = 2, .leak_after = 10s});
  auto a = t.pool.acquire();
  auto const line = static_cast<unsigned>(__LINE__) + 1;
  auto b = t.pool.acquire();
  b.tag("nightly report");
  t.clock.advance(5s);
  a.release();
  t.clock.advance(5s);
  t.pool.tick();
  CHECK(t.log.take(pool_event_kind::leak).empty());  // exactly 10 s are allowed
  t.clock.advance(1s);
  t.pool.tick();
  t.pool.tick();
  auto const leaks = t.log.take(pool_event_kind::leak);
  REQUIRE(leaks.size() == 1);
  CHECK(leaks[0].id == 2);
  CHECK(leaks[0].pool == "db");
  CHECK(leaks[0].held == 11s);
  CHECK(leaks[0].taken_at.line() == line);
  CHECK(std::string(leaks[0].taken_at.file_name()).find("p19_operating.cpp") != std::string::npos);
  CHECK(std::string(leaks[0].tag) == "nightly report");
  CHECK(b->id == 2);  // it is not taken away
  t.clock.advance(1s);
  CHECK(t.log.take(pool_event_kind::recovered).empty());
  b.release();
  auto const recovered = t.log.take(pool_event_kind::recovered);
  REQUIRE(recovered.size() == 1);
  CHECK(recovered[0].id == 2);
  CHECK(recovered[0].held == 12s);
  CHECK(std::string(recovered[0].tag) == "nightly report");
  CHECK(t.pool.stats().leaks == 1);
  auto again = t.pool.acquire();
  t.clock.advance(11s);
  t.pool.tick();
  CHECK(t.log.take(pool_event_kind::leak).size() == 2);
  CHECK(t.log.take(pool_event_kind::leak)[1].tag == nullptr);
}

TEST_CASE("P21: a leak that nobody has looked for is told when it comes back") {
  watchdog const guard("P21");
  by_hand<> t({.max_size = 2, .leak_after = 10s});
  auto a = t.pool.acquire(), b = t.pool.acquire();
  t.clock.advance(10s);
  a.release();
  CHECK(t.log.take(pool_event_kind::leak).empty());  // exactly 10 s are allowed
  t.clock.advance(1s);
  b.release();
  auto const leaks = t.log.take(pool_event_kind::leak), recovered = t.log.take(pool_event_kind::recovered);
  REQUIRE(leaks.size() == 1);
  REQUIRE(recovered.size() == 1);
  CHECK(leaks[0].id == 2);
  CHECK(leaks[0].held == 11s);
  CHECK(recovered[0].held == 11s);
  CHECK(t.pool.stats().leaks == 1);
  t.pool.tick();
  CHECK(t.log.take(pool_event_kind::leak).size() == 1);
}

TEST_CASE("P22: acquire_n gives all or none, and is not starved while it is first") {
  watchdog const guard("P22");
  by_hand<> t({.max_size = 4, .max_connecting = 4});
  CHECK(t.pool.acquire_n(4).size() == 4);
  CHECK(t.pool.try_acquire_n(5, deadline::never()).code() == errc::invalid_argument);
  CHECK_THROWS_WITH(
      t.pool.acquire_n(5),
      Catch::Matchers::Contains("connection_pool::acquire_n(k) is 5; it must be max_size or less"));
  CHECK(t.pool.acquire_n(0).empty());
  std::vector<lease<fake>> all = t.pool.acquire_n(4);
  auto const ids = [&] {
    std::map<int, int> seen;
    for (auto const& l : all) ++seen[l->id];
    return seen.size();
  };
  CHECK(ids() == 4);
  std::atomic<std::size_t> got{0};
  std::thread gathers([&] {
    auto const three = t.pool.try_acquire_n(3, deadline::after(t.clock, 1h));
    got = three ? three->size() : 99;
  });
  await_waiting(t.pool, 1);
  borrower behind(t.pool, 1h);
  await_waiting(t.pool, 2);
  for (std::size_t i : {0u, 1u}) {
    all[i].release();
    auto const s = t.pool.stats();
    CHECK((s.idle == i + 1 && s.waiting == 2));
  }
  all[2].release();
  gathers.join();
  behind.join();
  CHECK(got == 3);
  CHECK(behind.held);
  all.clear();
  behind.held.release();
  // None: what was gathered is for others when its time is up.
  auto held = t.pool.acquire();
  std::thread impatient([&] {
    auto const four = t.pool.try_acquire_n(4, deadline::after(t.clock, 1s));
    got = four ? 99 : 0;
  });
  await_waiting(t.pool, 1);
  borrower next(t.pool, 1h);
  await_waiting(t.pool, 2);
  t.clock.await_sleepers(2);
  t.clock.advance(1s);
  impatient.join();
  next.join();
  CHECK(got == 0);
  CHECK(next.held);
  check_sums(t.pool.stats());
}

namespace {

/// A clock that does something when it is next asked for the precise time. Copies share one.
class hooked_clock {
 public:
  using policy_axis = tideover::axis::clock;
  instant now() const noexcept { return time_.now(); }
  instant precise_now() const noexcept {
    if (auto const f = std::exchange(*then_, nullptr)) f();
    return time_.now();
  }
  template <class ConditionVariable, class Lock>
  void wait_until(ConditionVariable& cv, Lock& lock, instant t) const {
    time_.wait_until(cv, lock, t);
  }
  void then(std::function<void()> f) const { *then_ = std::move(f); }

 private:
  manual_clock time_;
  std::shared_ptr<std::function<void()>> then_ = std::make_shared<std::function<void()>>();
};

}  // namespace

TEST_CASE("P22: acquire_n gives all or none of what it was asked for, even if the pool grows that instant") {
  hooked_clock const clock;
  auto const home = std::make_shared<back_end>();
  connection_pool<fake_factory, tideover::hand_driven, hooked_clock> pool(
      fake_factory{home}, {.max_size = 2, .acquire_timeout = 1s, .max_connecting = 8}, clock);
  auto const until = deadline::after(clock, 1s);
  clock.then([&] { pool.resize(0, 8); });
  {
    auto const got = pool.try_acquire_n(5, until);
    CHECK(pool.current_options().max_size == 8);
    if (got) {
      CHECK(got->size() == 5);
    } else {
      CHECK(got.error().code == errc::invalid_argument);
    }
  }
  CHECK(pool.acquire_n(5).size() == 5);
}

TEST_CASE("P23: growing serves those who wait; shrinking closes idle ones first, then what comes back") {
  watchdog const guard("P23");
  by_hand<> t({.max_size = 1});
  auto a = t.pool.acquire();
  borrower b(t.pool, 1h), c(t.pool, 1h);
  await_waiting(t.pool, 2);
  t.pool.resize(0, 70);
  b.join();
  c.join();
  CHECK((b.held && c.held));
  auto d = t.pool.acquire();
  d.release();
  t.pool.resize(0, 2);
  CHECK(t.home->alive == 3);  // the idle one went
  CHECK(t.pool.try_acquire().code() == errc::timed_out);
  a.release();
  CHECK(t.home->alive == 2);
  b.held.release();
  CHECK(t.home->alive == 2);
  CHECK(t.log.closed_for(pool_close_reason::shrunk) == 2);
  CHECK_THROWS_AS(t.pool.resize(3, 2), tideover::error);
  CHECK(t.pool.current_options().max_size == 2);
}

TEST_CASE("P23: reconfigure changes everything but the name, and who wants too many now is told") {
  watchdog const guard("P23");
  by_hand<> t({.name = "kept", .max_size = 3, .validate_after_idle = 1h});
  auto held = t.pool.acquire();
  tideover::result<std::vector<lease<fake>>> r(errc::closed);
  std::thread gathers([&] { r = t.pool.try_acquire_n(3, deadline::never()); });
  await_waiting(t.pool, 1);
  t.pool.reconfigure({.name = "other", .min_size = 1, .max_size = 2, .validate_after_idle = 1s});
  gathers.join();
  CHECK(r.code() == errc::invalid_argument);
  CHECK(t.pool.name() == "kept");
  held.release();
  t.clock.advance(2s);
  t.pool.acquire().release();
  CHECK(t.home->checks == 1);
  CHECK_THROWS_AS(t.pool.reconfigure({.max_size = 0}), tideover::error);
  CHECK(t.pool.current_options().max_size == 2);
  check_sums(t.pool.stats());
}

TEST_CASE("P24: close: later calls and waiters are told, idle ones go, and it waits for leases") {
  watchdog const guard("P24");
  by_hand<> t({.max_size = 2});
  auto a = t.pool.acquire();
  auto b = t.pool.acquire();
  b.release();
  std::size_t left = 99;
  std::thread closer([&] { left = t.pool.close(10s); });
  t.clock.await_sleepers(1);
  CHECK(t.home->alive == 1);
  CHECK(t.pool.try_acquire_for(1h).code() == errc::closed);
  a.release();
  closer.join();
  CHECK(left == 0);
  CHECK(t.home->alive == 0);
  CHECK(t.pool.close(10s) == 0);
  CHECK(t.log.closed_for(pool_close_reason::pool_closed) == 2);
}

TEST_CASE("P24: close returns at its deadline, with how many are out") {
  watchdog const guard("P24");
  by_hand<> t({.max_size = 2});
  auto a = t.pool.acquire();
  auto b = t.pool.acquire();
  std::size_t left = 99;
  std::thread closer([&] { left = t.pool.close(10s); });
  t.clock.await_sleepers(1);
  t.clock.advance(10s);
  closer.join();
  CHECK(left == 2);
  CHECK(t.pool.close() == 2);
  a.release();
  CHECK(t.pool.close() == 1);
}

TEMPLATE_TEST_CASE("P25: a lease may outlive its pool; then its object is destroyed", "",
                   tideover::hand_driven, tideover::owned_threads, tideover::inline_run) {
  watchdog const guard("P25");
  auto home = std::make_shared<back_end>();
  pool_log log;
  lease<fake> a, b;
  {
    connection_pool<fake_factory, TestType, pool_log> pool(fake_factory{home}, {.name = "gone"}, log);
    a = pool.acquire();
    b = pool.acquire();
    pool.acquire().release();
  }
  CHECK(home->alive == 2);
  CHECK(++a->uses == 1);
  a.release();
  CHECK(home->alive == 1);
  b = {};
  CHECK(home->alive == 0);
  CHECK(home->goodbyes == 3);
  CHECK(log.closed_for(pool_close_reason::pool_closed) == 3);
  CHECK(home.use_count() == 1);  // nothing of the pool is left
}

TEST_CASE("P27: the numbers of one snapshot add up, whatever happens meanwhile") {
  watchdog const guard("P27");
  auto home = std::make_shared<back_end>();
  connection_pool<fake_factory> pool(fake_factory{home}, {.max_size = 2});
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!stop) static_cast<void>(pool.try_acquire_for(50us).has_value());
    });
  }
  std::size_t busy = 0;
  for (int i = 0; i < 2000 || busy == 0; ++i) {
    auto const s = pool.stats();
    if (s.started != s.granted + s.timed_out + s.cancelled + s.closed + s.rejected + s.errored + s.waiting ||
        s.created - s.destroyed != s.idle + s.leased + s.checking + s.closing || s.size() > 2) {
      FAIL("they do not");
    }
    busy += s.leased;
  }
  stop = true;
  for (auto& t : threads) t.join();
  CHECK(busy > 0);
  CHECK(pool.stats().granted > 0);
}

TEST_CASE("P28: warm returns when so many are idle, or its time has passed; the constructor throws nothing") {
  watchdog const guard("P28");
  auto home = std::make_shared<back_end>();
  std::atomic<bool> down{true};
  std::atomic<int> allowed{0};
  home->on_connect = [&](deadline const&) {
    if (down && --allowed < 0) throw server_down();
  };
  connection_pool<fake_factory, tideover::no_backoff> pool(fake_factory{home},
                                                           {.min_size = 2, .max_size = 5});
  allowed = 3;
  CHECK(pool.warm(4, 50ms) == 3);  // what was made stays
  CHECK(pool.stats().idle == 3);
  down = false;
  CHECK(pool.warm(4, 1min) == 4);
  CHECK(pool.warm(100, 1min) == 5);
  CHECK(pool.warm(2, 0s) == 5);
  auto held = pool.acquire();
  CHECK(pool.warm(5, 10ms) == 4);  // no more than there may be
  by_hand<> t({.max_size = 5});
  CHECK(t.pool.warm(3, 1s) == 3);
  CHECK(t.home->made == 3);
}

TEMPLATE_TEST_CASE("P30: with hand_driven there is no thread, and the results are the same", "",
                   tideover::hand_driven, tideover::owned_threads, tideover::inline_run) {
  watchdog const guard("P30");
  auto home = std::make_shared<back_end>();
  std::mutex mutex;
  std::map<std::thread::id, int> connected_by;
  std::atomic<int> without_end{0};
  home->on_connect = [&](deadline const& d) {
    if (d.at == instant::max()) ++without_end;
    std::lock_guard lock(mutex);
    ++connected_by[std::this_thread::get_id()];
  };
  auto const threads_now = [] {
    std::size_t n = 0;
    if (std::FILE* f = std::fopen("/proc/self/status", "r")) {
      char line[256];
      while (std::fgets(line, sizeof line, f) != nullptr) std::sscanf(line, "Threads: %zu", &n);
      std::fclose(f);
    }
    return n;
  };
  std::size_t const before = threads_now();
  {
    connection_pool<fake_factory, TestType> pool(fake_factory{home}, {.min_size = 1, .max_size = 3});
    {
      auto const all = pool.acquire_n(3);
      CHECK(all.size() == 3);
      CHECK(pool.try_acquire_for(5ms).code() == errc::timed_out);
    }
    CHECK(pool.warm(3, 1s) == 3);
    std::thread other([&] {
      auto held = pool.acquire();
      held.discard();
    });
    other.join();
    pool.tick();
    auto const s = pool.stats();
    CHECK((s.idle + s.opening >= 2 && s.leased == 0));
    CHECK((s.timed_out == 1 && s.granted == 2));
    if (std::is_same_v<TestType, tideover::hand_driven>) {
      CHECK(threads_now() == before);
      CHECK(connected_by.size() == 1);
      CHECK(connected_by.begin()->first == std::this_thread::get_id());
    } else if (std::is_same_v<TestType, tideover::owned_threads>) {
      CHECK(threads_now() > before);
      CHECK(connected_by.count(std::this_thread::get_id()) == 0);
    }
  }
  CHECK(home->alive == 0);
  CHECK(threads_now() == before);
  CHECK(without_end == 0);
}

TEST_CASE("P30: a waiter of a hand-driven pool does what another thread's return made necessary") {
  watchdog const guard("P30");
  by_hand<> t({.max_size = 1});
  auto held = t.pool.acquire();
  std::thread::id connected_by;
  borrower b(t.pool, 1h);
  await_waiting(t.pool, 1);
  t.clock.await_sleepers(1);
  t.home->on_connect = [&](deadline const&) { connected_by = std::this_thread::get_id(); };
  held.discard();  // a return does not connect
  b.join();
  CHECK(b.held->id == 2);
  CHECK(connected_by != std::this_thread::get_id());
}

TEST_CASE("P30: threads of its own do what is due without being asked") {
  watchdog const guard("P30");
  auto home = std::make_shared<back_end>();
  manual_clock clock;
  pool_log log;
  connection_pool<fake_factory, manual_clock, pool_log> pool(
      fake_factory{home}, {.min_size = 1, .max_size = 3, .max_idle_time = 60s, .health_check_interval = 10s},
      clock, log);
  { auto const all = pool.acquire_n(3); }
  clock.await_sleepers(1);
  clock.advance(10s);
  await([&] { return home->checks >= 3; });
  clock.await_sleepers(1);
  clock.advance(51s);
  await([&] { return home->alive == 1; });
  CHECK(log.closed_for(pool_close_reason::idle) == 2);
}

TEST_CASE("an executor that refuses work leaves it to those who wait") {
  watchdog const guard("refusing executor");
  struct refuse {
    bool operator()(tideover::task&) const { return false; }
  };
  auto home = std::make_shared<back_end>();
  connection_pool<fake_factory, tideover::run_by<refuse>> pool(fake_factory{home}, {.max_size = 2});
  auto a = pool.acquire();
  a.discard();
  CHECK(pool.acquire()->id == 2);
  CHECK(pool.warm(2, 1min) == 2);
}
