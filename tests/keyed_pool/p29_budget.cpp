// SPDX-License-Identifier: BSL-1.0
#include "keyed_pool/common.hpp"
#include "support/environment.hpp"

#include <tideover/detail/pool/budget.hpp>
#include <tideover/detail/pool/idle_store.hpp>
#include <tideover/detail/pool/machine.hpp>
#include <tideover/policy/backoff.hpp>
#include <tideover/policy/rng.hpp>

TEST_CASE("P29: never more objects than max_size of a key, nor than max_total of all") {
  keyed_by_hand<> t(plain(2, 3));
  auto a1 = t.pool.acquire("a"), a2 = t.pool.acquire("a");
  auto const a3 = t.pool.try_acquire_for("a", 0s);
  REQUIRE(!a3);
  CHECK(a3.error().code == errc::timed_out);
  auto b1 = t.pool.acquire("b");
  CHECK(t.pool.stats().used == 3);
  CHECK(!t.pool.try_acquire("b"));
  {
    watchdog const limit("nobody gives way");
    caller late(t.pool, "b", 1s);
    await_waiting(t.pool, "b", 1);
    CHECK(t.pool.stats().hungry == 1);
    t.clock.await_sleepers(1);
    t.clock.advance(1s);
    late.join();
    CHECK(late.why == errc::timed_out);
  }
  CHECK(t.pool.stats().hungry == 0);
  CHECK(t.home->most["a"] == 2);
  CHECK(t.home->most_of_all == 3);
  check_sums(t.pool.stats());
}

TEST_CASE("P29: an idle object of another key gives way, the one that was idle longest") {
  keyed_by_hand<> t(plain(3, 3));
  { auto const a = t.pool.acquire("a"); }
  t.clock.advance(1s);
  { auto const b = t.pool.acquire("b"); }
  t.clock.advance(1s);
  { auto const c = t.pool.acquire("c"); }
  auto d = t.pool.acquire("d");
  CHECK(t.closed.of("a", pool_close_reason::evicted) == 1);
  { auto const b = t.pool.acquire("b"); }  // younger than c's now
  t.clock.advance(1s);
  { auto const b = t.pool.acquire("b"); }
  auto e = t.pool.acquire("e");
  CHECK(t.closed.of("c", pool_close_reason::evicted) == 1);
  CHECK(t.closed.of("b", pool_close_reason::evicted) == 0);
  CHECK(t.pool.stats().evicted == 2);
  CHECK(t.home->made == 5);
  CHECK(t.home->most_of_all == 3);
  check_sums(t.pool.stats());
}

TEST_CASE("P29: keep_idle lets nothing idle go for another key") {
  keyed_by_hand<tideover::keep_idle> t(plain(3, 2));
  { auto const a = t.pool.acquire("a"); }
  auto b = t.pool.acquire("b");
  watchdog const limit("keep_idle");
  caller c(t.pool, "c", 1s);
  await_waiting(t.pool, "c", 1);
  t.clock.await_sleepers(1);
  CHECK(t.pool.stats("a").idle == 1);
  // What comes back to another key stays, too; what is destroyed makes room.
  { auto const again = t.pool.acquire("a"); }
  CHECK(t.pool.stats("a").idle == 1);
  b.discard();
  c.join();
  CHECK(c.held);
  CHECK(t.pool.stats().evicted == 0);
  CHECK(t.home->most_of_all == 2);
}

TEST_CASE("P29: an idle object is not taken from a key at which somebody waits") {
  auto o = plain(1, 2);
  o.each.validate_after_idle = 0ns;
  keyed_by_hand<> t(o);
  watchdog const limit("not from one who waits");
  // The object of a has to be checked for one who waits there; while that lasts it is nobody else's.
  { auto const a = t.pool.acquire("a"); }
  auto b = t.pool.acquire("b");
  t.clock.advance(1s);
  std::atomic<bool> checking{false}, go{false};
  t.home->on_check = [&](std::string const&) {
    checking = true;
    await([&] { return go.load(); });
    return true;
  };
  caller first(t.pool, "a", 1h);
  await([&] { return checking.load(); });
  caller other(t.pool, "c", 1h);
  await_waiting(t.pool, "c", 1);
  CHECK(t.pool.stats().evicted == 0);
  go = true;
  first.join();
  REQUIRE(first.held);
  CHECK(first.held->key == "a");
  CHECK(!other.done);
  // It comes back, and nobody of its own key waits.
  first.held.release();
  other.join();
  REQUIRE(other.held);
  CHECK(t.closed.of("a", pool_close_reason::evicted) == 1);
  CHECK(t.home->most_of_all == 2);
}

TEST_CASE("P29: what comes back goes to its own key's first waiter, and only else makes room for another") {
  keyed_by_hand<> t(plain(1, 1));
  watchdog const limit("own key first", 30s);
  auto a = t.pool.acquire("a");
  caller other(t.pool, "b", 1h);
  await_waiting(t.pool, "b", 1);
  caller own(t.pool, "a", 1h);
  await_waiting(t.pool, "a", 1);
  a.release();
  own.join();
  REQUIRE(own.held);
  CHECK(t.home->made == 1);
  CHECK(!other.done);
  own.held.release();
  other.join();
  REQUIRE(other.held);
  CHECK(other.held->key == "b");
  CHECK(t.home->made == 2);
  CHECK(t.home->most_of_all == 1);
}

TEST_CASE("P29: keys that wait for a place get them in turn") {
  keyed_by_hand<> t(plain(3, 3));
  watchdog const limit("in turn");
  std::vector<lease<wire>> held;
  for (int i = 0; i < 3; ++i) held.push_back(t.pool.acquire("x"));
  // Three of a wait before the first of b and c does.
  std::vector<std::unique_ptr<caller<decltype(t.pool)>>> a;
  for (int i = 0; i < 3; ++i) {
    a.push_back(std::make_unique<caller<decltype(t.pool)>>(t.pool, "a", 1h));
    await_waiting(t.pool, "a", a.size());
  }
  caller b(t.pool, "b", 1h);
  await_waiting(t.pool, "b", 1);
  caller c(t.pool, "c", 1h);
  await_waiting(t.pool, "c", 1);
  CHECK(t.pool.stats().hungry == 3);
  held[0].discard();
  a[0]->join();
  CHECK(a[0]->held);
  held[1].discard();
  b.join();
  CHECK(b.held);
  held[2].discard();
  c.join();
  CHECK(c.held);
  CHECK(!a[1]->done);
  b.held.release();  // idle at b, where nobody waits
  a[1]->join();
  CHECK(a[1]->held);
  c.held.discard();
  a[2]->join();
  CHECK(a[2]->held);
  CHECK(t.home->most_of_all == 3);
  check_sums(t.pool.stats());
}

namespace {

/// A key of which the budget is told what the test says.
struct puppet : tideover::detail::pool_member, std::enable_shared_from_this<puppet> {
  virtual ~puppet() = default;
  instant spare_since() noexcept override { return instant::max(); }
  bool spare_one() noexcept override { return false; }
  void use_offer() noexcept override { on_offer(); }
  std::shared_ptr<void> hold() noexcept override { return shared_from_this(); }
  std::function<void()> on_offer = [this] { ++offers; };
  int offers = 0;
};

}  // namespace

TEST_CASE("P29: a newcomer does not take the place that another key waits for") {
  tideover::detail::pool_budget budget(1, true);
  auto const waits = std::make_shared<puppet>(), other = std::make_shared<puppet>();
  budget.join(*waits);
  budget.join(*other);
  REQUIRE(budget.take(*other));
  CHECK(!budget.take(*waits));
  CHECK(budget.want(*waits, true));
  CHECK(!budget.want(*waits, true));
  budget.give();
  CHECK(!budget.take(*other));
  budget.dispatch();
  CHECK(waits->offers == 1);
  CHECK(budget.used() == 1);
  CHECK(budget.hungry() == 0);
  CHECK(!budget.take(*other));
  CHECK(budget.take(*waits));  // that was his
  CHECK(!budget.take(*waits));
  budget.give();
  CHECK(budget.take(*other));
  budget.leave(*waits);
  budget.leave(*other);
}

TEST_CASE("P29: what a key does between the offer of a place and its use does not have room made again") {
  namespace machinery = tideover::detail;
  // As the pool of a key would have it, but that the test says what comes in between.
  struct key final : puppet {
    machinery::pool_machine<machinery::pool_stack_store,
                            machinery::pool_rules<false, true, machinery::budget_share>, tideover::no_backoff,
                            tideover::xoshiro>
        machine{tideover::no_backoff{}, tideover::xoshiro{1}};
  };
  auto const budget = std::make_shared<machinery::pool_budget>(2, true);
  auto const other = std::make_shared<puppet>();
  auto const k = std::make_shared<key>();
  budget->join(*other);
  budget->join(*k);
  REQUIRE(budget->take(*other));
  REQUIRE(budget->take(*other));
  auto& machine = k->machine;
  machine.budget().belongs_to(budget, *k);
  machine.configure(plain(2, 2).each);
  instant const now{1};
  machinery::pool_ticket first;
  machinery::pool_effects fx;
  machine.acquire(first, now, fx);
  REQUIRE(machine.starves());
  REQUIRE(budget->want(*k, true));
  CHECK(budget->shortage() == 1);
  bool asked_again = true, evicts = true;
  std::size_t opening = 0;
  SECTION("a step that does not settle") {
    k->on_offer = [&] {
      asked_again = budget->want(*k, machine.starves());
      evicts = budget->evict(false);
      machine.use_offer(now, fx);
      opening = machine.opening();
    };
  }
  SECTION("a step that does") {
    k->on_offer = [&] {
      machine.tick(now, fx);
      opening = machine.opening();
      asked_again = budget->want(*k, machine.starves());
      evicts = budget->evict(false);
      machine.use_offer(now, fx);
    };
  }
  REQUIRE(budget->evict(false));  // of the other one
  budget->dispatch();
  CHECK(!asked_again);
  CHECK(!evicts);
  CHECK(opening == 1);
  CHECK(machine.opening() == 1);
  CHECK(budget->used() == 2);
  CHECK(budget->evicted() == 1);
  CHECK(!machine.starves());
  // A second need is one.
  machinery::pool_ticket second;
  machine.acquire(second, now, fx);
  CHECK(budget->want(*k, machine.starves()));
  CHECK(budget->shortage() == 1);
  machine.close(fx);
  budget->leave(*k);
  budget->leave(*other);
}

TEST_CASE("P29: a place is coming, or free, but never neither while its object is destroyed") {
  tideover::detail::pool_budget budget(2, true);
  auto const waits = std::make_shared<puppet>(), other = std::make_shared<puppet>();
  waits->on_offer = [&] {
    static_cast<void>(budget.take(*waits));
    ++waits->offers;
  };
  budget.join(*waits);
  budget.join(*other);
  REQUIRE(budget.take(*other));
  REQUIRE(budget.take(*other));
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> looks{0};
  std::uint64_t evictions = 0;
  std::thread looking([&] {
    for (; !over; ++looks) evictions += budget.evict(false) ? 1u : 0u;
  });
  std::uint64_t const rounds = 20 * number_from("TIDEOVER_STRESS_CALLS", 20'000);
  for (std::uint64_t i = 0; i < rounds || looks < rounds; ++i) {
    budget.begin_leaving();
    static_cast<void>(budget.want(*waits, true));
    budget.end_leaving();
    budget.dispatch();
  }
  over = true;
  looking.join();
  CHECK(evictions == 0);
  CHECK(waits->offers > 0);
  CHECK(budget.used() == 2);
  budget.leave(*waits);
  budget.leave(*other);
}

TEST_CASE("P29: who leaves is no longer hungry, and what was meant for him goes to the next") {
  keyed_by_hand<> t(plain(1, 1));
  watchdog const limit("leaving");
  auto x = t.pool.acquire("x");
  std::stop_source stop;
  caller b(t.pool, "b", 1h, stop.get_token());
  await_waiting(t.pool, "b", 1);
  caller c(t.pool, "c", 1h);
  await_waiting(t.pool, "c", 1);
  stop.request_stop();
  b.join();
  CHECK(b.why == errc::cancelled);
  CHECK(t.pool.stats().hungry == 1);
  x.release();
  c.join();
  CHECK(c.held);
  CHECK(t.pool.stats("b").created == 0);
}

TEST_CASE("P29: a place that a failed connect gives back goes to the key that waits for it") {
  keyed_by_hand<> t(plain(1, 1));
  watchdog const limit("failed connect", 30s);
  std::atomic<bool> connecting{false}, go{false};
  t.home->on_connect = [&](std::string const& key, deadline const&) {
    if (key != "bad") return;
    connecting = true;
    await([&] { return go.load(); });
    throw std::runtime_error("down");
  };
  caller bad(t.pool, "bad", 1s);
  await([&] { return connecting.load(); });
  caller good(t.pool, "good", 1h);
  await_waiting(t.pool, "good", 1);
  go = true;
  good.join();
  REQUIRE(good.held);
  CHECK(t.pool.stats("bad").open_failures == 1);
  t.clock.await_sleepers(1);
  t.clock.advance(1s);
  bad.join();
  CHECK(bad.why == errc::timed_out);
  CHECK(t.pool.last_error("bad").cause);
}

TEST_CASE("P29: with count_closing an object keeps its place until it is destroyed") {
  auto o = plain(2, 2);
  o.each.count_closing = true;
  std::size_t used = 0;
  int open = 0;
  keyed_by_hand<> t(o);
  { auto const a = t.pool.acquire("a"); }
  { auto const b = t.pool.acquire("b"); }
  t.home->on_destroy = [&](std::string const& key) {
    t.pool.tick();  // b looks whether it has to give way, too
    used = t.pool.stats().used;
    open = t.home->open_at(key);
  };
  auto c = t.pool.acquire("c");
  t.home->on_destroy = [](std::string const&) {};
  CHECK(used == 2);
  CHECK(open == 1);
  CHECK(t.home->most_of_all == 2);
  CHECK(t.pool.stats().evicted == 1);  // one was enough
  check_sums(t.pool.stats());
}
