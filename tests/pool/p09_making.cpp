// SPDX-License-Identifier: BSL-1.0
#include "pool/common.hpp"
#include "support/gate.hpp"

#include <tideover/circuit_breaker.hpp>

TEST_CASE("P9: as many connects are under way as somebody needs, and no more than max_connecting") {
  watchdog const guard("P9");
  auto home = std::make_shared<back_end>();
  gate door;
  home->on_connect = [&](deadline const&) { door.pass(); };
  connection_pool<fake_factory> pool(fake_factory{home},
                                     {.max_size = 10, .acquire_timeout = 1min, .max_connecting = 3});
  std::vector<std::unique_ptr<borrower<decltype(pool)>>> line;
  for (std::size_t i = 1; i <= 5; ++i) {
    line.push_back(std::make_unique<borrower<decltype(pool)>>(pool, 1min));
    await_waiting(pool, i);
    CHECK(pool.stats().opening == std::min<std::size_t>(i, 3));
  }
  door.open();
  for (auto& b : line) b->join();
  CHECK(home->made == 5);  // and not ten
  auto const s = pool.stats();
  CHECK((s.leased == 5 && s.opening == 0));
}

TEST_CASE("P9: min_size is made beside what those who wait get, not on top of it") {
  by_hand<> t({.min_size = 3, .max_size = 10, .max_connecting = 8});
  CHECK(t.pool.stats().opening == 3);
  CHECK(t.home->attempts == 0);  // nobody has had the time
  CHECK(t.pool.tick() == 3);
  CHECK(t.pool.stats().idle == 3);
  std::vector<lease<fake>> all;
  for (int i = 0; i < 3; ++i) all.push_back(t.pool.acquire());
  CHECK(t.home->made == 3);
  all.push_back(t.pool.acquire());
  CHECK(t.home->made == 4);
  CHECK(t.pool.tick() == 0);
  by_hand<> cold({.min_size = 3, .max_size = 10, .max_connecting = 8});
  auto held = cold.pool.acquire();
  CHECK(cold.pool.stats().size() == 3);
}

TEST_CASE("P10: what was made serves the first who waits, whoever it was made for") {
  watchdog const guard("P10");
  auto home = std::make_shared<back_end>();
  gate door;
  connection_pool<fake_factory> pool(fake_factory{home}, {.max_size = 2, .acquire_timeout = 1min});
  auto a = pool.acquire();
  home->on_connect = [&](deadline const&) { door.pass(); };
  borrower first(pool, 1min);
  await_waiting(pool, 1);
  door.await_arrivals(1);
  a.release();  // serves him before; what is being made for him becomes idle
  first.join();
  CHECK(first.held->id == 1);
  CHECK(pool.stats().opening == 1);
  borrower second(pool, 1min);
  await_waiting(pool, 1);
  door.open();
  second.join();
  CHECK(second.held->id == 2);
  first.held.release();
  second.held.release();
  CHECK(pool.stats().idle == 2);
}

TEST_CASE("P11: who leaves does not stop a connect; its late success is idle") {
  watchdog const guard("P11");
  auto home = std::make_shared<back_end>();
  gate door;
  std::atomic<bool> stopped{true};
  home->on_connect = [&](deadline const& d) {
    door.pass();
    stopped = d.stop.stop_requested();
  };
  manual_clock clock;
  connection_pool<fake_factory, manual_clock> pool(fake_factory{home}, {.max_size = 1}, clock);
  std::stop_source stop;
  borrower cancelled(pool, 1h, stop.get_token()), late(pool, 1s);
  await_waiting(pool, 2);
  door.await_arrivals(1);
  stop.request_stop();
  cancelled.join();
  CHECK(cancelled.why.code == errc::cancelled);
  clock.await_sleepers(1);
  clock.advance(1s);
  late.join();
  CHECK(late.why.code == errc::timed_out);
  CHECK(pool.stats().opening == 1);
  door.open();
  await([&] { return pool.stats().idle == 1; });
  CHECK(!stopped);
  CHECK(pool.acquire()->id == 1);
}

TEST_CASE("P11: closing the pool asks a connect to stop, and closes what it makes") {
  watchdog const guard("P11");
  auto home = std::make_shared<back_end>();
  gate door;
  bool stopped = false;
  home->on_connect = [&](deadline const& d) {
    door.pass();
    stopped = d.stop.stop_requested();
  };
  {
    connection_pool<fake_factory> pool(fake_factory{home}, {.max_size = 1});
    borrower b(pool, 1min);
    door.await_arrivals(1);
    CHECK(pool.close() == 0);
    b.join();
    CHECK(b.why.code == errc::closed);
    door.open();
  }
  CHECK(stopped);
  CHECK(home->made == 1);
  CHECK(home->alive == 0);
}

TEST_CASE("P12: a failed connect frees its place, and the next attempt waits for its backoff") {
  watchdog const guard("P12");
  by_hand<tideover::constant_backoff> t({.max_size = 1}, tideover::constant_backoff{10s});
  bool down = true;
  t.home->on_connect = [&](deadline const&) {
    if (down) throw server_down();
  };
  CHECK(!t.pool.last_error().code);
  borrower b(t.pool, 25s);
  await([&] { return t.home->attempts == 1 && t.pool.stats().open_failures == 1; });
  CHECK(t.pool.stats().opening == 0);
  CHECK(t.pool.stats().size() == 0);
  CHECK(t.pool.last_error().code == errc::factory_error);
  CHECK_THROWS_AS(std::rethrow_exception(t.pool.last_error().cause), server_down);
  CHECK(t.pool.next_deadline() == t.clock.now() + 10s);
  t.clock.await_sleepers(1);
  t.clock.advance(9999ms);
  t.pool.tick();
  CHECK(t.home->attempts == 1);
  t.clock.await_sleepers(1);
  t.clock.advance(1ms);
  await([&] { return t.pool.stats().open_failures == 2; });
  down = false;
  t.clock.await_sleepers(1);
  t.clock.advance(10s);
  b.join();
  CHECK(b.held);
  CHECK(!t.pool.last_error().code);
  CHECK(t.home->attempts == 3);
}

TEST_CASE("P12: who times out is told what the factory's last failure was") {
  watchdog const guard("P12");
  by_hand<tideover::constant_backoff> t({.max_size = 1}, tideover::constant_backoff{10s});
  t.home->on_connect = [&](deadline const&) { throw server_down(); };
  borrower b(t.pool, 5s);
  t.clock.await_sleepers(1);
  t.clock.advance(5s);
  b.join();
  CHECK(b.why.code == errc::timed_out);
  CHECK_THROWS_AS(std::rethrow_exception(b.why.cause), server_down);
}

TEST_CASE("P12: the backoff is drawn from a ceiling that doubles, and a success resets it") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    by_hand<tideover::exponential_backoff> t({.min_size = 1, .max_size = 1},
                                             tideover::exponential_backoff{1s, 8s}, tideover::xoshiro(seed));
    bool down = true;
    t.home->on_connect = [&](deadline const&) {
      if (down) throw server_down();
    };
    auto const attempt = [&] {
      int const before = t.home->attempts;
      t.pool.tick();
      REQUIRE(t.home->attempts == before + 1);
    };
    auto const rests = [&](std::chrono::nanoseconds most) {
      auto const wait = t.pool.next_deadline() - t.clock.now();
      CHECK((wait >= 0s && wait < most));
      t.clock.advance(wait);
    };
    for (auto const most : {1s, 2s, 4s, 8s, 8s}) {
      attempt();
      rests(most);
    }
    down = false;
    attempt();
    down = true;
    t.pool.acquire().discard();
    attempt();
    rests(1s);
  }
}

TEST_CASE("P12: a connect that returns a failure as a value is one that failed") {
  struct factory {
    using connection = int;
    int* attempts;
    tideover::result<int> connect(deadline const&) {
      if (++*attempts < 3)
        return tideover::failure{.code = std::make_error_code(std::errc::connection_refused)};
      return 7;
    }
  };
  int attempts = 0;
  connection_pool<factory, tideover::hand_driven, manual_clock, tideover::no_backoff> pool(
      factory{&attempts});
  CHECK(*pool.acquire() == 7);
  CHECK(attempts == 3);
  CHECK(pool.stats().open_failures == 2);
}

TEST_CASE("P13: while the breaker is open, acquires fail at once; a half-open one lets one connect through") {
  watchdog const guard("P13");
  manual_clock clock;
  tideover::circuit_breaker<manual_clock> breaker({.failure_threshold = 2, .recovery_timeout = 30s}, clock);
  auto home = std::make_shared<back_end>();
  bool down = true;
  home->on_connect = [&](deadline const&) {
    if (down) throw server_down();
  };
  using guarded = tideover::fail_fast<tideover::circuit_breaker<manual_clock>>;
  connection_pool<fake_factory, guarded, manual_clock, tideover::hand_driven, tideover::no_backoff> pool(
      fake_factory{home}, {.max_size = 2}, clock, tideover::fail_fast(breaker));
  // The breaker opens on the second failure, and whoever waits is told.
  auto const r = pool.try_acquire_for(1h);
  CHECK(r.code() == errc::factory_error);
  CHECK(home->attempts == 2);
  for (int i = 0; i < 5; ++i) {
    auto const again = pool.try_acquire_for(1h);
    CHECK(again.code() == errc::factory_error);
    CHECK(again.retry_after() == 30s);
  }
  CHECK(home->attempts == 2);
  clock.advance(30s);
  CHECK(pool.try_acquire_for(1h).code() == errc::factory_error);  // the one probe failed
  CHECK(home->attempts == 3);
  clock.advance(30s);
  down = false;
  auto held = pool.acquire();
  CHECK(home->attempts == 4);
  CHECK(breaker.state() == tideover::breaker_state::closed);
  // What is idle is lent whatever the breaker says.
  held.release();
  breaker.force_open();
  CHECK(pool.try_acquire_for(1h).has_value());
}

TEST_CASE("P13: a breaker that is closed by hand is believed before the time that it had named") {
  watchdog const guard("P13", 30s);
  manual_clock clock;
  using breaker_type = tideover::circuit_breaker<manual_clock>;
  breaker_type breaker({.failure_threshold = 2, .recovery_timeout = 1h}, clock);
  auto home = std::make_shared<back_end>();
  home->on_connect = [&](deadline const&) {
    if (home->attempts <= 2) throw server_down();
  };
  connection_pool<fake_factory, tideover::fail_fast<breaker_type>, manual_clock, tideover::hand_driven,
                  tideover::no_backoff>
      pool(fake_factory{home}, {.max_size = 2}, clock, tideover::fail_fast(breaker));
  CHECK(pool.try_acquire_for(2h).code() == errc::factory_error);
  CHECK(pool.try_acquire_for(2h).code() == errc::factory_error);
  CHECK(home->attempts == 2);
  breaker.reset();
  CHECK(pool.try_acquire_for(5s).has_value());
}

TEST_CASE("P13: whoever guards the acquire in turn sees that nothing was asked; the last error stays") {
  watchdog const guard("P13");
  manual_clock clock;
  using breaker = tideover::circuit_breaker<manual_clock>;
  breaker inner({.failure_threshold = 1, .recovery_timeout = 30s}, clock),
      outer({.failure_threshold = 2}, clock);
  auto home = std::make_shared<back_end>();
  home->on_connect = [&](deadline const&) { throw server_down(); };
  connection_pool<fake_factory, tideover::fail_fast<breaker>, manual_clock, tideover::hand_driven,
                  tideover::no_backoff>
      pool(fake_factory{home}, {.max_size = 2}, clock, tideover::fail_fast(inner));
  auto const take = [&] { return pool.try_acquire_for(1h).has_value(); };
  CHECK(!take());  // the one that opens the inner breaker
  CHECK(inner.state() == tideover::breaker_state::open);
  for (int i = 0; i < 5; ++i) {
    CHECK_THROWS_AS(outer.call([&] { return pool.acquire(deadline::after(clock, 1h))->id; }),
                    tideover::error);
    CHECK(outer.try_call([&] { return pool.try_acquire_for(1h); }).code() == errc::factory_error);
  }
  CHECK(outer.stats().ignored == 10);
  CHECK_THROWS_AS(std::rethrow_exception(pool.last_error().cause), server_down);
}

namespace {
/// Not ours, and without a word about when to come back.
struct plain_breaker {
  struct permit {
    void succeed() {}
    void fail() {}
  };
  bool closed = true;
  std::optional<permit> try_acquire() { return closed ? std::optional<permit>(permit{}) : std::nullopt; }
};
}  // namespace

TEST_CASE("P13: anything that models a breaker will do") {
  plain_breaker breaker{false};
  auto home = std::make_shared<back_end>();
  connection_pool<fake_factory, tideover::fail_fast<plain_breaker>, tideover::hand_driven> pool(
      fake_factory{home}, {}, tideover::fail_fast(breaker));
  CHECK(pool.try_acquire_for(1h).code() == errc::factory_error);
  breaker.closed = true;
  CHECK(pool.try_acquire_for(1h).has_value());
}
