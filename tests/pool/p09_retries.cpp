// SPDX-License-Identifier: BSL-1.0
#include "pool/common.hpp"
#include "support/gate.hpp"

#include <limits>

/// What goes wrong, and who sees to it that it is tried again.
namespace {
using tideover::constant_backoff;
using tideover::hand_driven;
using tideover::no_backoff;
using tideover::task;

/// An executor that keeps what it is given, until the test runs it; or refuses it, or drops it.
struct desk {
  struct shared {
    std::mutex mutex;
    std::vector<task> tasks;
    std::atomic<int> refuses{0}, drops{0}, posts{0};
  };
  std::shared_ptr<shared> its = std::make_shared<shared>();
  bool operator()(task& t) const {
    task dropped;  // dies after the mutex is free
    std::lock_guard lock(its->mutex);
    ++its->posts;
    if (its->refuses > 0) return --its->refuses, false;
    if (its->drops > 0) {
      --its->drops;
      dropped = std::move(t);
    } else {
      its->tasks.push_back(std::move(t));
    }
    return true;
  }
  int run_all() const {
    for (int n = 0;; ++n) {
      task t;
      {
        std::lock_guard lock(its->mutex);
        if (its->tasks.empty()) return n;
        t = std::move(its->tasks.back());
        its->tasks.pop_back();
      }
      t();
    }
  }
};
using desk_run = tideover::run_by<desk>;
template <class... P>
using desk_pool = connection_pool<fake_factory, desk_run, manual_clock, P...>;
}  // namespace

TEST_CASE("P16: a check that one who does not wait has begun is done by others") {
  desk d;
  manual_clock clock;
  auto const home = std::make_shared<back_end>();
  desk_pool<> pool(fake_factory{home}, {.max_size = 1, .max_idle_time = 0ns, .validate_after_idle = 1s},
                   desk_run(d), clock);
  d.its->refuses = 1;
  pool.acquire().release();
  clock.advance(2s);
  CHECK(!pool.try_acquire());
  CHECK(pool.stats().checking == 1);
  CHECK(d.run_all() == 1);
  CHECK(home->checks == 1);
  CHECK(pool.try_acquire().has_value());
}

TEST_CASE("P12: with an executor, one who is parked learns of the next attempt") {
  watchdog const limit("retry with an executor");
  desk d;
  manual_clock clock;
  auto const home = std::make_shared<back_end>();
  home->on_connect = [&](deadline const&) {
    if (home->attempts == 1) throw server_down();
  };
  desk_pool<constant_backoff> pool(fake_factory{home}, {.max_size = 1}, desk_run(d), clock,
                                   constant_backoff{10s});
  borrower b(pool, 1h);
  clock.await_sleepers(1);
  d.run_all();
  CHECK(home->attempts == 1);
  // His deadline is far, and he wakes for the attempt nevertheless.
  clock.advance(10s);
  await([&] { return d.its->posts == 2; });
  d.run_all();
  b.join();
  CHECK(b.held);
}

TEST_CASE("P12: an executor that refuses once is asked again for the next connect") {
  desk d;
  auto const home = std::make_shared<back_end>();
  manual_clock clock;
  d.its->refuses = 1;
  desk_pool<> pool(fake_factory{home}, {.max_size = 3}, desk_run(d), clock);
  auto const first = pool.acquire();  // on this thread
  CHECK(home->made == 1);
  borrower b(pool, 1h);
  await([&] { return d.its->posts == 2 && pool.stats().waiting == 1; });
  CHECK(home->made == 1);
  d.run_all();
  b.join();
  CHECK(b.held);
}

TEST_CASE("P12: what an executor drops is done by those who wait, or by tick") {
  watchdog const limit("dropped work");
  desk d;
  auto const home = std::make_shared<back_end>();
  manual_clock clock;
  d.its->drops = 2;
  desk_pool<> pool(fake_factory{home}, {.min_size = 1, .max_size = 2}, desk_run(d), clock);
  CHECK(pool.stats().opening == 1);
  CHECK(pool.tick() == 1);
  CHECK(pool.stats().idle == 1);
  auto const first = pool.acquire(), second = pool.acquire();
  CHECK(home->made == 2);
}

TEST_CASE("P9: what is posted connects first, and leaves the check to who waits") {
  auto const home = std::make_shared<back_end>();
  manual_clock clock;
  connection_pool<fake_factory, tideover::inline_run, manual_clock> pool(
      fake_factory{home}, {.max_size = 2, .validate_after_idle = 1s}, clock);
  pool.acquire().release();
  clock.advance(2s);
  CHECK(pool.try_acquire_n(2, deadline::after(clock, 10s)).has_value());
  CHECK(home->made == 2);
}

TEST_CASE("P12: a server that is down and no backoff end neither the stack nor a tick") {
  auto const home = std::make_shared<back_end>();
  manual_clock clock;
  {
    home->on_connect = [&](deadline const&) { throw server_down(); };
    connection_pool<fake_factory, hand_driven, manual_clock, no_backoff> pool(fake_factory{home},
                                                                              {.min_size = 1}, clock);
    CHECK(pool.tick() == 1);
    CHECK(home->attempts == 1);
  }
  home->on_connect = [&](deadline const&) {
    clock.advance(1us);
    throw server_down();
  };
  connection_pool<fake_factory, tideover::inline_run, manual_clock, no_backoff> pool(fake_factory{home}, {},
                                                                                     clock);
  CHECK(pool.try_acquire_for(100ms).code() == errc::timed_out);
  CHECK(home->attempts >= 100'000);
}

TEST_CASE("P16: with an executor that runs inline, a failed check is followed by a connect") {
  watchdog const guard("a failed check");
  auto const home = std::make_shared<back_end>();
  manual_clock clock;
  connection_pool<fake_factory, tideover::inline_run, manual_clock> pool(
      fake_factory{home}, {.min_size = 1, .max_size = 4, .validate_after_idle = 1s}, clock);
  REQUIRE(pool.stats().idle == 1);
  clock.advance(5s);
  home->on_check = [](int, deadline const&) { return false; };
  CHECK(!pool.try_acquire());
  CHECK(pool.stats().opening == 0);
  CHECK(pool.stats().idle == 1);
  CHECK(pool.try_acquire().has_value());
}

TEMPLATE_TEST_CASE("P28: a server that is down and no backoff: warm returns when its time has passed", "",
                   tideover::hand_driven, tideover::inline_run) {
  watchdog const guard("warming in vain");
  auto const home = std::make_shared<back_end>();
  manual_clock clock;
  std::size_t good = 0;
  home->on_connect = [&](deadline const&) {
    clock.advance(1ms);
    if (good == 0) throw server_down();
    --good;
  };
  connection_pool<fake_factory, TestType, manual_clock, no_backoff> pool(fake_factory{home}, {.min_size = 2},
                                                                         clock);
  pool.tick();
  auto const begun = clock.now();
  CHECK(pool.warm(8, 100ms) == 0);
  CHECK(clock.now() - begun <= 102ms);
  CHECK(pool.warm(8, 0s) == 0);
  CHECK(clock.now() - begun <= 105ms);
  good = 2;
  CHECK(pool.warm(8, 100ms) == 2);  // what was made stays
}

TEST_CASE("P12: openings that nobody has begun rest with the one that failed") {
  by_hand<constant_backoff> t({.min_size = 4, .max_size = 4, .max_connecting = 4}, constant_backoff{1s});
  t.home->on_connect = [&](deadline const&) { throw server_down(); };
  t.pool.tick();
  CHECK(t.home->attempts == 1);
  CHECK(t.pool.stats().opening == 0);
  t.clock.advance(1s);
  t.pool.tick();
  CHECK(t.home->attempts == 2);
}

TEST_CASE(
    "P8: who connects on his own thread gives up at his deadline, and that is no failure of the server") {
  by_hand<constant_backoff> t({.max_size = 1, .connect_timeout = 10s}, constant_backoff{1h});
  t.home->on_connect = [&](deadline const& d) {
    t.clock.advance(d.at - t.clock.now());
    throw server_down();
  };
  instant const begin = t.clock.now();
  CHECK(t.pool.try_acquire_for(50ms).code() == errc::timed_out);
  CHECK(t.clock.now() == begin + 50ms);
  t.home->on_connect = [](deadline const&) {};
  CHECK(t.pool.try_acquire_for(50ms).has_value());
}

TEST_CASE("P17: a check that the caller's deadline cuts short says nothing of the other objects") {
  by_hand<> t({.max_size = 5, .validate_after_idle = 1s, .check_timeout = 2s});
  { auto const all = t.pool.acquire_n(5); }
  t.clock.advance(10s);
  t.home->on_check = [&](int, deadline const& d) {
    t.clock.advance(std::min<std::chrono::nanoseconds>(2ms, d.at - t.clock.now()));
    return t.clock.now() < d.at;
  };
  CHECK(t.pool.try_acquire_for(1ms).code() == errc::timed_out);
  CHECK(t.pool.stats().size() == 4);
  CHECK(t.log.closed_for(pool_close_reason::suspect) == 0);
}

TEST_CASE("P17: who has spent his time on a check leaves the next one to others") {
  watchdog const limit("checks left to others");
  desk d;
  auto const home = std::make_shared<back_end>();
  manual_clock clock;
  d.its->refuses = 2;
  desk_pool<tideover::check_suspects> pool(fake_factory{home},
                                           {.max_size = 2, .validate_after_idle = 1s, .check_timeout = 200ms},
                                           desk_run(d), clock);
  {
    auto const a = pool.acquire();
    d.its->refuses = 1;
    auto const b = pool.acquire();
  }
  d.its->refuses = 0;
  clock.advance(10s);
  home->on_check = [&, asked = 0](int, deadline const& until) mutable {
    if (++asked > 1) return true;
    clock.advance(until.at - clock.now());
    return false;
  };
  int const before = d.its->posts;
  borrower b(pool, 1h);
  await([&] { return pool.stats().check_failures == 1 && d.its->posts > before; });
  CHECK(home->checks == 1);
  while (!b.done) d.run_all();
  b.join();
  CHECK(b.held);
  CHECK(pool.stats().created == 2);
}

TEST_CASE("P9: a place that becomes free is opened by one who waits, not by one who is busy") {
  watchdog const limit("nudge");
  auto const home = std::make_shared<back_end>();
  gate door;
  connection_pool<fake_factory, hand_driven> pool(fake_factory{home}, {.max_size = 2, .max_connecting = 2});
  auto held = pool.acquire();
  home->on_connect = [&](deadline const&) {
    if (home->attempts == 2) door.pass();
  };
  borrower busy(pool, 1h);
  door.await_arrivals(1);
  borrower waits(pool, 1h);
  await_waiting(pool, 2);
  // Asleep, as far as that can be known: the one that it can find busy is the other.
  held.discard();
  await([&] { return home->made == 2; });
  door.open();
  busy.join();
  waits.join();
  CHECK((busy.held && waits.held));
}

TEST_CASE("P28: warm asks for no more than may be idle") {
  by_hand<> t({.max_idle = 2, .max_size = 5});
  CHECK(t.pool.warm(4, 1h) == 2);
  CHECK(t.home->made == 2);
}

TEST_CASE("P9: max_connecting may be as large as it can") {
  watchdog const limit("max_connecting");
  connection_pool<fake_factory> pool(
      fake_factory{std::make_shared<back_end>()},
      {.max_size = 2, .acquire_timeout = 1h, .max_connecting = std::numeric_limits<std::size_t>::max()});
  auto const a = pool.acquire(), b = pool.acquire();
}

TEST_CASE("P21: a leak is told, too, if everything was idle when the pool last looked") {
  by_hand<> t({.max_size = 2, .max_idle_time = 0ns, .max_lifetime = 0ns, .leak_after = 50ms});
  t.pool.acquire().release();
  t.pool.tick();
  CHECK(t.pool.next_deadline() == t.clock.now() + 50ms);
}

TEST_CASE("P21: a leak that comes back is told with its time, if leaks were not looked for meanwhile") {
  by_hand<> t({.max_size = 2, .leak_after = 50ms});
  auto held = t.pool.acquire();
  t.clock.advance(1s);
  t.pool.tick();
  CHECK(t.log.take(pool_event_kind::leak).size() == 1);
  auto o = t.pool.current_options();
  auto const leak_after = o.leak_after;
  o.leak_after = 0ns;
  t.pool.reconfigure(o);
  o.leak_after = leak_after;
  t.pool.reconfigure(o);
  held.release();
  auto const recovered = t.log.take(pool_event_kind::recovered);
  REQUIRE(recovered.size() == 1);
  CHECK(recovered[0].held == 1s);
}

TEST_CASE("P30: next_deadline is known while all there is is being checked or opened") {
  by_hand<> t({.max_size = 2, .health_check_interval = 1s, .validate_after_idle = 10ms});
  bool known = false;
  t.home->on_check = [&](int, deadline const&) {
    known = t.pool.next_deadline() != instant::max();
    return true;
  };
  t.pool.acquire().release();
  t.clock.advance(30ms);
  t.pool.acquire().release();
  CHECK(t.home->checks == 1);
  CHECK(known);
}

namespace {
struct throws_at_success {
  struct permit {
    void succeed() { throw server_down(); }
    void fail() {}
  };
  std::optional<permit> try_acquire() { return permit(); }
};
}  // namespace

TEST_CASE("P13: a refused opening ends nobody whom the probe may serve") {
  namespace machinery = tideover::detail;
  machinery::pool_machine<machinery::pool_locked_store<false>, machinery::pool_rules<false, false>,
                          constant_backoff, tideover::xoshiro>
      m(constant_backoff{1s}, tideover::xoshiro(1));
  m.configure({.min_size = 2, .max_size = 2, .max_connecting = 2});
  machinery::pool_effects fx;
  machinery::pool_ticket t;
  m.acquire(t, instant::at(1h), fx);
  machinery::pool_slot& probe = *m.claim(true, false);
  machinery::pool_slot& second = *m.claim(true, false);
  m.open_refused(second, 0s, instant::at(1h), fx);
  CHECK(t.queued);
  machinery::pool_box box;
  m.opened(probe, box, instant::at(1h), fx);
  CHECK(t.granted);
}
TEST_CASE("P13: a breaker that throws at a success leaks no connection") {
  auto const home = std::make_shared<back_end>();
  throws_at_success breaker;
  manual_clock clock;
  {
    connection_pool<fake_factory, hand_driven, manual_clock, tideover::fail_fast<throws_at_success>> pool(
        fake_factory{home}, {.min_size = 1, .max_size = 1}, clock, tideover::fail_fast(breaker));
    pool.tick();
  }
  CHECK(home->made == 1);
  CHECK(home->alive == 0);
}

TEST_CASE("P24: two pools share the threads that both were given, and both end") {
  watchdog const limit("shared threads");
  tideover::owned_threads threads(1);
  connection_pool<fake_factory> a(fake_factory{std::make_shared<back_end>()}, {}, threads);
  a.acquire().release();
  {
    connection_pool<fake_factory> b(fake_factory{std::make_shared<back_end>()}, {.acquire_timeout = 1h},
                                    threads);
    b.acquire().release();
  }
  a.acquire().release();
}

TEST_CASE("P24: with an executor, too, the pool's end waits for a connect that is under way") {
  watchdog const limit("connect under way");
  auto const home = std::make_shared<back_end>();
  tideover::owned_threads threads(1);
  auto const post = [&](task& t) { return threads.try_post(t); };
  std::atomic<bool> over{false};
  gate door;
  home->on_connect = [&](deadline const& d) {
    door.pass();
    await([&] { return d.stop.stop_requested(); });
    for (int i = 0; i < 100; ++i) std::this_thread::yield();
    over = true;
  };
  {
    connection_pool<fake_factory, tideover::run_by<decltype(post)>> pool(
        fake_factory{home}, {.min_size = 1}, tideover::run_by<decltype(post)>(post));
    door.await_arrivals(1);
    door.open();
  }
  CHECK(over);
}

TEST_CASE("P12: while one connect hangs, another that failed is tried again") {
  watchdog const limit("a thread for the retry");
  auto const home = std::make_shared<back_end>();
  gate door;
  home->on_connect = [&, n = std::make_shared<std::atomic<int>>(0)](deadline const&) {
    int const mine = ++*n;
    if (mine == 1) door.pass();
    if (mine == 2) throw server_down();
  };
  connection_pool<fake_factory, constant_backoff> pool(
      fake_factory{home}, {.max_size = 2, .max_connecting = 2}, constant_backoff{20ms});
  borrower a(pool, 1h);
  door.await_arrivals(1);
  borrower b(pool, 1h);
  await([&] { return a.done || b.done; });
  CHECK(home->attempts == 3);
  door.open();
}
