// SPDX-License-Identifier: BSL-1.0
#include "stampede/common.hpp"

#include <atomic>
#include <functional>

namespace {
/// Runs `disturb` in the middle of a computation of key 1 that gives 10, which a second caller has joined.
struct disturbed {
  manual_clock clock;
  plain_guard guard{sized(10), usual(), clock};

  template <class F>
  void by(F disturb) {
    watchdog const dog("a disturbed computation");
    gate door;
    asking leader([&] { return guard.get_or_compute(1, [&] { return door.pass(), 10; }); });
    door.await_arrivals(1);
    asking joined([&] { return guard.get_or_compute(1, [] { return -1; }); });
    await_joined(guard, 1);
    disturb();
    door.open();
    CHECK(leader.got().is(10));  // delivered to those who asked before
    CHECK(joined.got().is(10));
    CHECK(guard.stats().rejected_writes == 1);
  }
};
}  // namespace

TEST_CASE("S7: a computation that began before an invalidation is delivered and not stored", "[S7]") {
  disturbed t;
  t.by([&] { t.guard.invalidate(1); });
  CHECK(t.guard.get(1) == std::nullopt);
}

TEST_CASE("S7: one that began before a put does not overwrite it", "[S7]") {
  disturbed t;
  t.by([&] { t.guard.put(1, 99); });
  CHECK(t.guard.get(1) == 99);
}

TEST_CASE("S7: one that began before clear, a new generation or an adopted entry is not stored", "[S7]") {
  SECTION("clear") {
    disturbed t;
    t.by([&] { t.guard.clear(); });
    CHECK(t.guard.get(1) == std::nullopt);
  }
  SECTION("a new generation, by the guard") {
    disturbed t;
    t.by([&] { CHECK(t.guard.new_generation() == 1); });
    CHECK(t.guard.get(1) == std::nullopt);
  }
  SECTION("a new generation, by the store's owner") {
    disturbed t;
    t.by([&] { t.guard.store().new_generation(); });
    CHECK(t.guard.get(1) == std::nullopt);
  }
  SECTION("adopt") {
    disturbed t;
    t.by([&] { t.guard.adopt(1, cached<int>{77, t.clock.now(), t.clock.now() + 1s, t.clock.now() + 1s}); });
    CHECK(t.guard.get(1) == 77);
  }
}

TEST_CASE("S7: writing another key of the same shard disturbs nothing", "[S7]") {
  watchdog const dog("another key");
  manual_clock clock;
  int_guard<tideover::one_mutex, tideover::no_early_refresh> guard(sized(10), usual(), clock);
  gate door;
  asking leader([&] { return guard.get_or_compute(1, [&] { return door.pass(), 10; }); });
  door.await_arrivals(1);
  for (int key = 2; key < 9; ++key) guard.put(key, 1), guard.invalidate(key);
  door.open();
  CHECK(leader.got().is(10));
  CHECK(guard.get(1) == 10);
  CHECK(guard.stats().rejected_writes == 0);
}

TEST_CASE("S7: who asks after an invalidation computes anew, even while the older one runs", "[S7]") {
  disturbed t;
  t.by([&] {
    t.guard.invalidate(1);
    CHECK(t.guard.get_or_compute(1, [] { return 20; }) == 20);
  });
  CHECK(t.guard.get(1) == 20);  // and the older one has not taken it away
  CHECK(t.guard.stats().computations.miss == 2);
}

TEST_CASE("S7: who asks after a new generation is given nothing of an older one", "[S7]") {
  disturbed t;
  t.by([&] {
    t.guard.new_generation();
    CHECK(t.guard.get_or_compute(1, [] { return 20; }) == 20);
  });
  CHECK(t.guard.get(1) == 20);
}

TEST_CASE("S7: an invalidation inside of the computation itself counts too", "[S7]") {
  manual_clock clock;
  plain_guard guard(sized(10), usual(), clock);
  CHECK(guard.get_or_compute(1, [&] { return guard.invalidate(1), 10; }) == 10);
  CHECK(guard.get(1) == std::nullopt);
  CHECK(guard.get_or_compute(1, [&] { return guard.put(1, 5), 10; }) == 10);
  CHECK(guard.get(1) == 5);
}

namespace {
/// A store whose put stops at a door, or calls a function of the test.
struct slow_store {
  using key_type = int;
  using mapped_type = cached<int>;
  using clock_type = manual_clock;
  struct plan {
    std::function<void(int)> before_put;  // is given the value
    std::function<void()> after_put, before_get, before_erase;
  };
  int_store inner;
  plan& what;
  slow_store(plan& p, manual_clock const& clock) : inner(sized(10), clock), what(p) {}
  std::optional<cached<int>> get(int const& key) {
    if (what.before_get) what.before_get();
    return inner.get(key);
  }
  bool put(int const& key, cached<int> const& e, tideover::put_options const& o = {}) {
    if (what.before_put) what.before_put(e.value);
    bool const stored = inner.put(key, e, o);
    if (what.after_put) what.after_put();
    return stored;
  }
  bool erase(int const& key) {
    if (what.before_erase) what.before_erase();
    return inner.erase(key);
  }
  void clear() {
    if (what.before_erase) what.before_erase();
    inner.clear();
  }
};
using slow_guard = tideover::stampede_guard<slow_store, tideover::no_early_refresh, tideover::no_backoff>;
}  // namespace

TEST_CASE("S7: a write that comes while the result is being stored comes after it", "[S7]") {
  watchdog const dog("a write during a store");
  for (bool const puts : {true, false}) {
    manual_clock clock;
    slow_store::plan plan;
    slow_guard guard(plan, usual(), clock);
    gate door;
    std::atomic<bool> first{true};
    plan.before_put = [&](int) {
      if (first.exchange(false)) door.pass();
    };
    asking leader([&] { return guard.get_or_compute(1, [] { return 10; }); });
    door.await_arrivals(1);
    asking writer([&] { return puts ? guard.put(1, 99) : (guard.invalidate(1), true); });
    clock.await_sleepers(1);  // it waits for what is being stored
    door.open();
    CHECK(leader.got().is(10));
    writer.got();
    CHECK(guard.get(1) == (puts ? std::optional(99) : std::nullopt));
  }
}

TEST_CASE("S7: a write wins over a computation that begins while it writes, and is stored behind it",
          "[S7]") {
  watchdog const dog("a computation during a write");
  enum class verb { put, adopt, invalidate, clear };
  for (verb const v : {verb::put, verb::adopt, verb::invalidate, verb::clear}) {
    manual_clock clock;
    slow_store::plan plan;
    slow_guard guard(plan, usual(), clock);
    gate writes, stores;
    // The writer has told the computations under way, of which there is none, and is about to write.
    plan.before_erase = [&] { writes.pass(); };
    plan.before_put = [&](int value) { (value == 99 ? writes : stores).pass(); };
    asking writer([&] {
      switch (v) {
        case verb::put:
          return int{guard.put(1, 99)};
        case verb::adopt:
          return int{guard.adopt(1, cached<int>{99, clock.now(), clock.now() + 5s, clock.now() + 5s})};
        case verb::invalidate:
          return int{guard.invalidate(1)};
        case verb::clear:
          break;
      }
      guard.clear();
      return 1;
    });
    writes.await_arrivals(1);
    asking leader([&] { return guard.get_or_compute(1, [] { return 10; }); });
    stores.await_arrivals(1);  // computed, and about to be stored
    writes.open();
    clock.await_sleepers(1);  // the writer has written, and waits for what is being stored
    stores.open();
    CHECK(leader.got().is(10));
    CHECK(writer.got().value.has_value());
    bool const stays = v == verb::put || v == verb::adopt;
    CHECK(guard.get(1) == (stays ? std::optional(99) : std::nullopt));
    CHECK(guard.stats().running == 0);
  }
}

TEST_CASE("S7: a write by a function that the store calls does not wait for itself", "[S7]") {
  watchdog const dog("a write within a store");
  manual_clock clock;
  slow_store::plan plan;
  slow_guard guard(plan, usual(), clock);
  plan.after_put = [&] {
    plan.after_put = nullptr;
    guard.invalidate(1);
  };
  CHECK(guard.get_or_compute(1, [] { return 10; }) == 10);
  CHECK(guard.get(1) == std::nullopt);
}

TEST_CASE("S7: what the store throws around a computation costs no caller its value, and is counted",
          "[S7]") {
  manual_clock clock;
  slow_store::plan plan;
  slow_guard guard(plan, usual(), clock);
  plan.before_put = [](int) { throw std::runtime_error("no connection"); };
  CHECK(guard.get_or_compute(1, [] { return 10; }) == 10);
  CHECK(guard.stats().store_failures == 1);
  CHECK(guard.stats().running == 0);
  plan.before_put = nullptr;
  int calls = 0;
  plan.before_get = [&] {
    if (++calls == 2) throw std::runtime_error("no connection");  // the second look
  };
  CHECK(guard.get_or_compute(1, [] { return 11; }) == 11);
  CHECK(guard.stats().store_failures == 2);
  calls = 1;
  CHECK_THROWS_AS(guard.get_or_compute(1, [] { return 12; }), std::runtime_error);  // the store's own answer
}

TEST_CASE("S7: a caller that comes late to an ended computation takes what it left", "[S7]") {
  // Between this caller's look at the store and its turn another has computed and stored.
  manual_clock clock;
  slow_store::plan plan;
  slow_guard guard(plan, usual(), clock);
  int calls = 0;
  plan.before_get = [&] {
    if (++calls != 2) return;  // the second look of the first caller: now the other has been there
    guard.store().inner.put(1, cached<int>{10, clock.now(), clock.now() + 10s, clock.now() + 10s});
  };
  auto const got = guard.serve(1, []() -> int { throw std::logic_error("computed twice"); });
  CHECK(got.value == 10);
  CHECK(got.how == serving::fresh);
  CHECK(guard.stats().found_refreshed == 1);
  CHECK(guard.stats().computations.total() == 0);
}
