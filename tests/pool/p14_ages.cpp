// SPDX-License-Identifier: BSL-1.0
#include "pool/common.hpp"

#include <algorithm>
#include <set>

TEST_CASE("P14: the end of an object is drawn at its birth, and it is not lent from then on") {
  std::set<std::int64_t> ends;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    by_hand<> t({.min_size = 1,
                 .max_size = 1,
                 .max_idle_time = 0s,
                 .max_lifetime = 100s,
                 .lifetime_jitter = 0.1,
                 .validate_after_idle = -1ns},
                tideover::xoshiro(seed));
    t.pool.tick();
    instant const born = t.clock.now();
    auto const life = t.pool.next_deadline() - born;
    CHECK((life > 90s && life <= 100s));
    ends.insert(life.count());
    for (int i = 0; i < 10; ++i) {  // uses do not put it off
      t.clock.advance(8s);
      CHECK(t.pool.acquire()->id == 1);
    }
    CHECK(t.pool.next_deadline() - born == life);
    t.clock.set(born + life - 1ns);
    CHECK(t.pool.try_acquire().has_value());
    t.clock.set(born + life);
    CHECK(!t.pool.try_acquire());
    CHECK(t.log.closed_for(pool_close_reason::lifetime) == 1);
  }
  CHECK(ends.size() > 25);
}

TEST_CASE("P14: a life as long as can be, less a share too small to tell, is as long") {
  by_hand<> t({.min_size = 1,
               .max_size = 1,
               .max_idle_time = 0s,
               .max_lifetime = std::chrono::nanoseconds::max(),
               .lifetime_jitter = 1e-30,
               .validate_after_idle = -1ns});
  t.pool.tick();
  t.clock.advance(100h);
  CHECK(t.pool.acquire()->id == 1);
}

TEST_CASE("P14: the end is looked at when it comes back and at a tick; a lent object is left alone") {
  by_hand<> t({.max_size = 2, .max_idle_time = 0s, .max_lifetime = 10s, .lifetime_jitter = 0});
  auto a = t.pool.acquire();
  auto b = t.pool.acquire();
  b.release();
  t.clock.advance(10s);
  t.pool.tick();
  CHECK(t.home->alive == 1);
  CHECK(a->uses == 0);  // it is there
  CHECK(t.pool.stats().leased == 1);
  a.release();
  CHECK(t.home->alive == 0);
  CHECK(t.log.closed_for(pool_close_reason::lifetime) == 2);
  CHECK(t.home->goodbyes == 2);
}

TEST_CASE("P14: lifetime zero is for ever, jitter zero is exact") {
  by_hand<> t({.max_size = 1, .max_idle_time = 0s, .max_lifetime = 0s});
  t.pool.acquire().release();
  t.clock.advance(std::chrono::hours(24 * 365 * 100));
  CHECK(t.pool.acquire()->id == 1);
}

TEST_CASE(
    "P15: what is idle too long goes at the next tick, not below min_size; lifetime may, and is refilled") {
  by_hand<> t({.min_size = 2, .max_size = 5, .max_idle_time = 60s, .max_lifetime = 1h, .lifetime_jitter = 0});
  std::vector<lease<fake>> all;
  for (int i = 0; i < 5; ++i) all.push_back(t.pool.acquire());
  int const newest = all[4]->id;
  for (auto& l : all) {
    l.release();
    t.clock.advance(1s);
  }
  t.clock.advance(55s);  // the first has been idle for exactly 60 s
  t.pool.tick();
  CHECK(t.home->alive == 5);
  CHECK(t.pool.next_deadline() == t.clock.now() + 1ns);
  t.clock.advance(1ns);
  t.pool.tick();
  CHECK(t.home->alive == 4);
  t.clock.advance(30min);
  t.pool.tick();
  CHECK(t.home->alive == 2);
  CHECK(t.log.closed_for(pool_close_reason::idle) == 3);
  CHECK(t.pool.acquire()->id == newest);  // the oldest went
  t.clock.advance(1h);
  CHECK(t.pool.tick() == 2);  // both are past their end, and made anew
  CHECK(t.log.closed_for(pool_close_reason::lifetime) == 2);
  CHECK(t.home->made == 7);
  CHECK(t.pool.stats().idle == 2);
}

TEST_CASE("P15: more than max_idle are closed when they come back") {
  by_hand<> t({.max_idle = 2, .max_size = 5});
  std::vector<lease<fake>> all;
  for (int i = 0; i < 5; ++i) all.push_back(t.pool.acquire());
  all.clear();
  CHECK(t.pool.stats().idle == 2);
  CHECK(t.log.closed_for(pool_close_reason::surplus) == 3);
  CHECK(t.pool.acquire()->id == 2);
}

TEST_CASE("P16: what was last used longer ago than validate_after_idle is checked before it is lent") {
  by_hand<> t({.max_size = 2, .validate_after_idle = 1s, .check_timeout = 500ms});
  auto a = t.pool.acquire();
  auto b = t.pool.acquire();
  a.release();
  b.release();
  t.clock.advance(1s);
  t.pool.acquire().release();
  CHECK(t.home->checks == 0);
  t.clock.advance(1001ms);
  instant until{};
  t.home->on_check = [&](int, deadline const& d) {
    until = d.at;
    CHECK(t.pool.stats().checking == 1);  // without a lock
    return true;
  };
  instant const now = t.clock.now();
  t.pool.acquire().release();
  CHECK(t.home->checks == 1);
  CHECK(until == now + 500ms);
  t.clock.advance(1001ms);
  CHECK(t.pool.try_acquire_for(200ms).has_value());
  CHECK(until == now + 1001ms + 200ms);  // the rest of the caller's time
  t.clock.advance(2s);
  t.home->on_check = [](int, deadline const&) -> bool { throw server_down(); };
  CHECK(t.pool.acquire()->id == 3);
  CHECK(t.pool.stats().check_failures == 1);
  CHECK(t.log.closed_for(pool_close_reason::check_failed) == 1);
  CHECK(t.home->most == 2);
}

TEST_CASE("P16: who does not wait is not given what has to be checked, and it is checked for the next one") {
  by_hand<> t({.max_size = 1});
  t.pool.acquire().release();
  t.clock.advance(2s);
  CHECK(t.pool.try_acquire().code() == errc::timed_out);
  CHECK(t.home->checks == 0);
  CHECK(t.pool.stats().checking == 1);
  CHECK(t.pool.tick() == 1);
  CHECK(t.home->checks == 1);
  CHECK(t.pool.try_acquire().has_value());
}

TEST_CASE("P16: a check that ends after the caller's deadline leaves him without, and the object idle") {
  by_hand<> t({.max_size = 1});
  t.pool.acquire().release();
  t.clock.advance(2s);
  t.home->on_check = [&](int, deadline const&) {
    t.clock.advance(10s);
    return true;
  };
  CHECK(t.pool.try_acquire_for(3s).code() == errc::timed_out);
  CHECK(t.pool.stats().idle == 1);
  CHECK(t.pool.try_acquire().has_value());
}

TEST_CASE("P16: nothing is checked with no_validation, or by a factory that cannot") {
  by_hand<tideover::no_validation> t({.max_size = 1, .max_idle_time = 0s, .max_lifetime = 0s});
  t.pool.acquire().release();
  t.clock.advance(1h);
  t.pool.tick();
  t.pool.acquire().release();
  CHECK(t.home->checks == 0);
  manual_clock clock;
  connection_pool pool(tideover::make_factory([] { return 1; }), pool_options{}, clock,
                       tideover::hand_driven{});
  pool.acquire().release();
  clock.advance(1min);
  CHECK(pool.try_acquire().has_value());
}

TEST_CASE("P16: a background check comes after health_check_interval, one at a time, and shifts no order") {
  by_hand<> t({.max_size = 3, .max_idle_time = 0s, .max_lifetime = 0s, .health_check_interval = 30s});
  std::vector<lease<fake>> all;
  for (int i = 0; i < 3; ++i) all.push_back(t.pool.acquire());
  for (auto& l : all) {
    l.release();
    t.clock.advance(1s);
  }
  CHECK(t.pool.next_deadline() == t.clock.now() + 27s);
  t.clock.advance(27s);
  std::size_t at_once = 0;
  std::vector<int> checked;
  t.home->on_check = [&](int id, deadline const&) {
    checked.push_back(id);
    at_once = std::max(at_once, t.pool.stats().checking);
    return true;
  };
  CHECK(t.pool.tick() == 1);
  t.clock.advance(5s);
  CHECK(t.pool.tick() == 2);
  CHECK(checked == std::vector{1, 2, 3});
  CHECK(at_once == 1);
  CHECK(t.pool.acquire()->id == 3);  // still the one that was used last
}

TEMPLATE_TEST_CASE("P17: after a failed check the others are suspect, and a caller pays one time-out in all",
                   "", tideover::drop_suspects, tideover::check_suspects) {
  by_hand<TestType> t({.max_size = 5, .max_idle_time = 0s, .validate_after_idle = 10s, .check_timeout = 2s});
  std::vector<lease<fake>> all;
  for (int i = 0; i < 4; ++i) all.push_back(t.pool.acquire());
  for (auto& l : all) l.release();
  t.clock.advance(11s);
  t.home->on_check = [&](int, deadline const& d) {
    t.clock.set(d.at);  // dead: the check runs into its time-out
    return false;
  };
  instant const begin = t.clock.now();
  auto held = t.pool.acquire();
  CHECK(held->id == 5);
  CHECK(t.clock.now() - begin <= 2s);
  CHECK(t.home->checks == 1);
  CHECK(t.home->alive == 1);
  CHECK(t.log.closed_for(pool_close_reason::suspect) == (TestType::drops_suspects ? 3 : 0));
}

TEST_CASE("P17: with check_suspects what was seen to work after the failure is no suspect") {
  by_hand<tideover::check_suspects> t({.max_size = 5, .validate_after_idle = 1h});
  auto a = t.pool.acquire();
  auto b = t.pool.acquire();
  auto c = t.pool.acquire();
  b.release();
  a.doubt();
  a.release();
  t.clock.advance(1s);
  t.home->on_check = [&](int id, deadline const&) { return id != 1; };
  // For two of them a is checked, too, and fails; so b is suspect, checked, and good.
  auto const two = t.pool.acquire_n(2);
  CHECK(two[0]->id + two[1]->id == 2 + 4);
  CHECK(t.home->checks == 2);
  c.release();  // it was with its user all the time
  CHECK(t.pool.acquire()->id == 3);
  CHECK(t.home->checks == 2);
}

TEST_CASE("P18: after invalidate() nothing older is lent: idle ones go now, lent ones when they come back") {
  by_hand<> t({.max_size = 4});
  auto a = t.pool.acquire();
  auto b = t.pool.acquire();
  b.release();
  t.pool.invalidate();
  CHECK(t.home->alive == 1);
  CHECK(t.pool.stats().generation == 1);
  auto c = t.pool.acquire();
  CHECK(c->id == 3);
  a.release();
  CHECK(t.home->alive == 1);
  CHECK(t.log.closed_for(pool_close_reason::invalidated) == 2);
  c.release();
  CHECK(t.pool.acquire()->id == 3);
}

TEST_CASE("P18: a connect or a check that began before invalidate() gives nothing that is lent") {
  by_hand<> t({.max_size = 1});
  int ids = 0;
  t.home->on_connect = [&](deadline const&) {
    if (ids++ == 0) t.pool.invalidate();
  };
  CHECK(t.pool.acquire()->id == 2);
  t.clock.advance(2s);
  bool first = true;
  t.home->on_check = [&](int, deadline const&) {
    if (std::exchange(first, false)) t.pool.invalidate();
    return true;
  };
  CHECK(t.pool.acquire()->id == 3);
  CHECK(t.log.closed_for(pool_close_reason::invalidated) == 2);
}

TEMPLATE_TEST_CASE("P18: a return that has looked before invalidate() does not slip through", "",
                   tideover::no_affinity, tideover::thread_affinity) {
  // The clock is asked after the lease has begun to return, and before it is back.
  struct meddling_clock : manual_clock {
    std::shared_ptr<std::function<void()>> meddle = std::make_shared<std::function<void()>>();
    instant now() const noexcept {
      if (*meddle) std::exchange(*meddle, nullptr)();
      return manual_clock::now();
    }
  };
  meddling_clock clock;
  auto home = std::make_shared<back_end>();
  connection_pool<fake_factory, meddling_clock, tideover::hand_driven, TestType> pool(fake_factory{home}, {},
                                                                                      clock);
  auto held = pool.acquire();
  *clock.meddle = [&] { pool.invalidate(); };
  held.release();
  CHECK(home->alive == 0);
  CHECK(pool.stats().idle == 0);
}

TEMPLATE_TEST_CASE(
    "P18: a put that was overtaken by an opening of the gate looks again, or goes the long way", "",
    tideover::detail::pool_stack_store, tideover::detail::pool_slot_store) {
  using namespace tideover::detail;
  pool_slots slots;
  slots.grow(3);
  TestType store;
  store.use(3);
  store.shut(slots);
  store.put(slots, slots[0]);
  store.put(slots, slots[1]);
  store.open(slots);
  pool_slot* const s = store.try_take(slots, no_slot);
  REQUIRE(s != nullptr);
  int looks = 0;
  bool const put = store.try_put(slots, *s, [&] {
    if (++looks == 1) {
      store.shut(slots);
      store.open(slots);
      return true;  // as it was before
    }
    return false;
  });
  REQUIRE(!put);
  store.shut(slots);
  CHECK(store.count(slots) == 1);
  CHECK(store.takes() == 1);
  store.open(slots);
  CHECK(store.try_put(slots, *s, [] { return true; }));
  store.shut(slots);
  CHECK(store.count(slots) == 2);
}
