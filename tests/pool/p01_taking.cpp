// SPDX-License-Identifier: BSL-1.0
#include "pool/common.hpp"

#include <type_traits>

TEST_CASE("P1: there are never more objects than max_size, connects under way included") {
  watchdog const guard("P1");
  auto home = std::make_shared<back_end>();
  connection_pool<fake_factory> pool(fake_factory{home},
                                     {.max_size = 3, .max_connecting = 3, .count_closing = true});
  std::vector<std::thread> threads;
  std::atomic<bool> too_many{false};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        auto held = pool.acquire();
        if (home->alive > 3 || pool.stats().size() > 3) too_many = true;
        if (i % 8 == 0) held.discard();
      }
    });
  }
  for (auto& t : threads) t.join();
  CHECK(!too_many);
  CHECK(home->made > 3);
}

TEST_CASE("P1: with count_closing an object counts until it is destroyed") {
  for (bool const counts : {false, true}) {
    by_hand<> t({.max_size = 1, .count_closing = counts});
    bool could_take = false;
    std::size_t closing = 0;
    t.home->on_destroy = [&](int id) {
      if (id != 1) return;
      closing = t.pool.stats().closing;
      could_take = t.pool.try_acquire_for(counts ? 0s : 1s).has_value();
    };
    t.pool.acquire().discard();
    CHECK(could_take == !counts);
    CHECK(closing == (counts ? 1 : 0));
    CHECK(t.home->most == (counts ? 1 : 2));
    check_sums(t.pool.stats());
  }
}

TEST_CASE("P2: an object is in one lease at most, and comes back once") {
  static_assert(!std::is_copy_constructible_v<lease<fake>> &&
                std::is_nothrow_move_constructible_v<lease<fake>>);
  static_assert(!std::is_copy_assignable_v<lease<fake>> && std::is_nothrow_move_assignable_v<lease<fake>>);
  by_hand<> t({.max_size = 2});
  auto a = t.pool.acquire();
  int const id = a->id;
  auto b = std::move(a);
  CHECK(!a);  // NOLINT(bugprone-use-after-move): it holds nothing
  CHECK(a.get() == nullptr);
  CHECK(b->id == id);
  a.release();
  a.discard();
  CHECK(t.pool.stats().leased == 1);
  auto c = t.pool.acquire();
  CHECK(c->id != id);
  c = std::move(b);  // what c had comes back
  CHECK(c->id == id);
  CHECK(t.pool.stats().leased == 1);
  CHECK(t.pool.stats().idle == 1);
  c.release();
  c.release();
  CHECK(!c);
  CHECK(t.pool.stats().idle == 2);
  CHECK(t.home->resets == 2);
}

TEST_CASE("P3: an acquire ends once: lease, timed_out, cancelled, closed, queue_full or factory_error") {
  watchdog const guard("P3");
  by_hand<> t({.max_size = 1, .max_waiters = 3, .wait_through_errors = false});
  t.home->on_connect = [](deadline const&) { throw server_down(); };
  CHECK(t.pool.try_acquire_for(1s).code() == errc::factory_error);
  t.home->on_connect = [](deadline const&) {};
  t.clock.advance(1min);
  auto held = t.pool.acquire();
  std::stop_source stop;
  borrower cancelled(t.pool, 1h, stop.get_token()), late(t.pool, 1s), closed(t.pool, 1h);
  await_waiting(t.pool, 3);
  CHECK(t.pool.try_acquire_for(1h).code() == errc::queue_full);
  CHECK(t.pool.try_acquire().code() == errc::timed_out);
  stop.request_stop();
  cancelled.join();
  CHECK(cancelled.why.code == errc::cancelled);
  t.clock.await_sleepers(2);
  t.clock.advance(1s);
  late.join();
  CHECK(late.why.code == errc::timed_out);
  CHECK(t.pool.close() == 1);
  closed.join();
  CHECK(closed.why.code == errc::closed);
  CHECK(t.pool.try_acquire_for(1h).code() == errc::closed);
  auto const s = t.pool.stats();
  CHECK((s.granted == 1 && s.timed_out == 2 && s.cancelled == 1 && s.closed == 2 && s.rejected == 1));
  CHECK((s.errored == 1 && s.started == 8));
  check_sums(s);
}

TEST_CASE("P4: what comes back goes to the one who waits, in the same step") {
  watchdog const guard("P4");
  by_hand<> t({.max_size = 1});
  for (int i = 0; i < 50; ++i) {
    auto held = t.pool.acquire();
    borrower b(t.pool, 1h);
    await_waiting(t.pool, 1);
    held.release();
    // It is his already, whenever his thread finds that out.
    auto const s = t.pool.stats();
    CHECK((s.idle == 0 && s.leased == 1 && s.waiting == 0));
    CHECK(t.pool.try_acquire().code() == errc::timed_out);
    b.join();
    CHECK(b.held);
  }
  CHECK(t.home->made == 1);
}

TEST_CASE("P4: a place that becomes free is opened for the one who waits") {
  watchdog const guard("P4");
  by_hand<> t({.max_size = 1});
  auto held = t.pool.acquire();
  borrower b(t.pool, 1h);
  await_waiting(t.pool, 1);
  held.discard();
  b.join();
  CHECK(b.held->id == 2);
}

TEST_CASE("P5: a waiter past its deadline gets nothing; the object goes to the next") {
  watchdog const guard("P5");
  by_hand<> t({.max_size = 1});
  auto held = t.pool.acquire();
  borrower first(t.pool, 1s);
  await_waiting(t.pool, 1);
  borrower second(t.pool, 1h);
  await_waiting(t.pool, 2);
  t.clock.await_sleepers(2);
  t.clock.advance(1s);
  held.release();
  first.join();
  second.join();
  CHECK(first.why.code == errc::timed_out);
  CHECK(second.held);
  CHECK(t.pool.stats().granted == 2);
}

TEST_CASE("P5: a cancelled waiter gets nothing") {
  watchdog const guard("P5");
  by_hand<> t({.max_size = 1});
  auto held = t.pool.acquire();
  std::stop_source stop;
  borrower first(t.pool, 1h, stop.get_token());
  await_waiting(t.pool, 1);
  borrower second(t.pool, 1h);
  await_waiting(t.pool, 2);
  stop.request_stop();
  held.release();
  first.join();
  second.join();
  CHECK(first.why.code == errc::cancelled);
  CHECK(second.held);
  // Idle objects are for those who do not have to wait, whatever their token says.
  second.held.release();
  CHECK(t.pool.try_acquire_until({instant::max(), stop.get_token()}).has_value());
  auto again = t.pool.acquire();
  CHECK(t.pool.try_acquire_until({instant::max(), stop.get_token()}).code() == errc::cancelled);
}

TEST_CASE("P6: those who wait are served in the order in which they came") {
  watchdog const guard("P6");
  by_hand<> t({.max_size = 1});
  auto held = t.pool.acquire();
  std::vector<std::unique_ptr<borrower<decltype(t.pool)>>> line;
  for (std::size_t i = 0; i < 5; ++i) {
    line.push_back(std::make_unique<borrower<decltype(t.pool)>>(t.pool, 1h));
    await_waiting(t.pool, i + 1);
  }
  held.release();
  for (std::size_t i = 0; i < 5; ++i) {
    line[i]->join();
    CHECK(line[i]->held);
    CHECK(t.pool.stats().waiting == 4 - i);
    CHECK(!t.pool.try_acquire());
    line[i]->held.release();
  }
}

TEMPLATE_TEST_CASE("P6: a newcomer passes one who gathers several only with barging_waiters", "",
                   tideover::fifo_waiters, tideover::barging_waiters) {
  watchdog const guard("P6");
  by_hand<TestType> t({.max_size = 2});
  auto a = t.pool.acquire();
  auto b = t.pool.acquire();
  std::atomic<std::size_t> got{0};
  std::thread gathers([&] { got = t.pool.acquire_n(2, deadline::never()).size(); });
  await_waiting(t.pool, 1);
  a.release();
  CHECK(t.pool.stats().idle == 1);
  auto const newcomer = t.pool.try_acquire().has_value();
  CHECK(newcomer == TestType::newcomers_may_pass);
  b.release();
  gathers.join();
  CHECK(got == 2);
}

TEMPLATE_TEST_CASE("P7: which idle object is lent", "", tideover::lifo_idle, tideover::fifo_idle) {
  by_hand<TestType> t({.max_size = 4});
  std::vector<lease<fake>> all;
  for (int i = 0; i < 4; ++i) all.push_back(t.pool.acquire());
  for (int i : {2, 0, 3, 1}) {
    all[static_cast<std::size_t>(i)].release();
    t.clock.advance(1ms);
  }
  std::vector<int> order;
  for (auto& l : all) {
    l = t.pool.acquire();
    order.push_back(l->id - 1);
  }
  CHECK(order == (TestType::oldest_first ? std::vector{2, 0, 3, 1} : std::vector{1, 3, 0, 2}));
  all.clear();
  // Again and again the same one, or each in turn.
  int const once = t.pool.acquire()->id, twice = t.pool.acquire()->id;
  CHECK((once == twice) == !TestType::oldest_first);
}

TEST_CASE("P7: with thread_affinity a thread gets what it had last") {
  by_hand<tideover::thread_affinity> t({.max_size = 3});
  std::vector<lease<fake>> all;
  for (int i = 0; i < 3; ++i) all.push_back(t.pool.acquire());
  int const mine = all[2]->id;
  for (auto& l : all) l.release();
  for (int i = 0; i < 5; ++i) CHECK(t.pool.acquire()->id == mine);
  auto first = t.pool.acquire();
  auto other = t.pool.acquire();
  CHECK(first->id == mine);
  CHECK(other->id != mine);
  CHECK(t.pool.stats().leased == 2);
}

TEST_CASE("P8: one deadline over waiting and connecting; zero does not wait") {
  watchdog const guard("P8");
  by_hand<> t({.max_size = 2, .acquire_timeout = 3s, .connect_timeout = 10s});
  // Who connects on his own thread has the factory asked until his own deadline; he is told as soon as it is
  // back.
  instant asked_until{};
  t.home->on_connect = [&](deadline const& d) {
    asked_until = d.at;
    t.clock.advance(4s);
  };
  instant const begin = t.clock.now();
  CHECK(t.pool.try_acquire_for(3s).code() == errc::timed_out);
  CHECK(asked_until == begin + 3s);
  CHECK(t.pool.stats().idle == 1);  // and what was made stays
  t.home->on_connect = [](deadline const&) {};
  auto a = t.pool.acquire();
  CHECK(t.pool.try_acquire().code() == errc::timed_out);  // though another could be made
  CHECK(t.pool.try_acquire_for(0s).code() == errc::timed_out);
  CHECK(t.pool.try_acquire_for(-1s).code() == errc::timed_out);
  CHECK(t.home->made == 1);
  auto b = t.pool.acquire();
  // Woken for nothing it waits on, and its deadline stays.
  borrower c(t.pool, 3s);
  t.clock.await_sleepers(1);
  for (int i = 0; i < 5; ++i) {
    t.pool.tick();
    t.clock.advance(500ms);
    CHECK(!c.done);
  }
  t.clock.await_sleepers(1);
  t.clock.advance(500ms);
  c.join();
  CHECK(c.why.code == errc::timed_out);
}

TEST_CASE("P5: what is idle is lent at once; deadlines and tokens end a wait") {
  watchdog const guard("P5");
  by_hand<> t({.max_size = 1});
  CHECK(!t.pool.try_acquire());  // nobody connects for a caller who does not wait
  CHECK(!t.pool.try_acquire_for(0s));
  CHECK(t.home->made == 0);
  REQUIRE(t.pool.warm(1, 1s) == 1);
  std::stop_source stop;
  stop.request_stop();
  CHECK(t.pool.try_acquire_until({t.clock.now() - 1s, {}}).has_value());
  CHECK(t.pool.try_acquire_until({t.clock.now() + 1s, stop.get_token()}).has_value());
  auto const held = t.pool.acquire();
  CHECK(t.pool.try_acquire_until({t.clock.now() + 1s, stop.get_token()}).code() == errc::cancelled);
}
