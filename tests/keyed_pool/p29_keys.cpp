// SPDX-License-Identifier: BSL-1.0
#include "keyed_pool/common.hpp"
#include "support/hashes.hpp"

#include <optional>

TEST_CASE("P29: keys are pools of their own: what one does is no other's") {
  keyed_by_hand<> t(plain(4, 100));
  { auto const a = t.pool.acquire("a"); }
  { auto const b = t.pool.acquire("b"); }
  CHECK(t.pool.size() == 2);
  CHECK(t.pool.invalidate("a"));
  CHECK(!t.pool.invalidate("never seen"));
  CHECK(t.pool.stats("a").idle == 0);
  CHECK(t.pool.stats("b").idle == 1);
  CHECK(t.pool.try_acquire("b").has_value());
  t.pool.invalidate_all();
  CHECK(t.pool.stats("b").idle == 0);
  CHECK(t.closed.of("a", pool_close_reason::invalidated) == 1);
  CHECK(t.closed.of("b", pool_close_reason::invalidated) == 1);
  // A failing host does not keep another waiting.
  t.home->on_connect = [](std::string const& key, deadline const&) {
    if (key == "a") throw std::runtime_error("down");
  };
  auto until = deadline::after(t.clock, 0s);
  CHECK(!t.pool.try_acquire_until("a", until));
  CHECK(t.pool.acquire("b")->key == "b");
}

TEST_CASE("P29: a key without objects is forgotten after a while, and its counts are kept") {
  auto o = plain(4, 100);
  o.each.max_idle_time = 10s;
  o.forget_after = 60s;
  keyed_by_hand<> t(o);
  { auto const a = t.pool.acquire("a"); }
  auto b = t.pool.acquire("b");
  CHECK(t.pool.next_deadline() == t.clock.now() + 10s);
  t.clock.advance(10s + 1ns);
  t.pool.tick();
  CHECK(t.closed.of("a", pool_close_reason::idle) == 1);
  CHECK(t.pool.size() == 2);
  t.clock.advance(50s);
  t.pool.tick();
  CHECK(t.pool.size() == 1);  // b is lent
  CHECK(t.pool.stats().forgotten == 1);
  CHECK(t.pool.stats().all.created == 2);
  CHECK(t.pool.stats("a").created == 0);
  check_sums(t.pool.stats());
  b.release();
  CHECK(t.pool.acquire("a")->key == "a");
  CHECK(t.pool.stats().all.created == 3);
}

TEST_CASE("P29: with max_keys known, the one used least recently goes that nobody needs") {
  auto o = plain(4, 100);
  o.max_keys = 2;
  keyed_by_hand<> t(o);
  { t.pool.acquire("a").discard(); }
  t.clock.advance(1s);
  { t.pool.acquire("b").discard(); }
  t.clock.advance(1s);
  CHECK(t.pool.stats("a").created == 1);  // looking is no use of it
  auto c = t.pool.acquire("c");
  CHECK(t.pool.stats("a").created == 0);
  CHECK(t.pool.stats("b").created == 1);
  auto b = t.pool.acquire("b");
  auto const d = t.pool.try_acquire_for("d", 1s);
  REQUIRE(!d);
  CHECK(d.error().code == errc::queue_full);
  CHECK(t.pool.size() == 2);
  b.discard();
  CHECK(t.pool.try_acquire_for("d", 1s).has_value());
  CHECK(t.pool.stats("b").created == 0);
}

TEST_CASE("P24: close tells who waits, closes what is idle, and counts what is out; no key comes after it") {
  keyed_by_hand<> t(plain(1, 3));
  watchdog const limit("close");
  auto a = t.pool.acquire("a");
  { auto const b = t.pool.acquire("b"); }
  caller waits(t.pool, "a", 1h);
  await_waiting(t.pool, "a", 1);
  CHECK(t.pool.close() == 1);
  waits.join();
  CHECK(waits.why == errc::closed);
  CHECK(t.home->open_at("b") == 0);
  CHECK(t.pool.try_acquire_for("a", 1s).error().code == errc::closed);
  CHECK(t.pool.try_acquire("new").error().code == errc::closed);
  a.release();
  CHECK(t.home->open_at("a") == 0);
  CHECK(t.pool.close() == 0);
  CHECK(t.pool.stats().used == 0);
}

TEST_CASE("P25: leases outlive the keyed pool, and keep the budget they count in") {
  lease<wire> a, b;
  auto const home = std::make_shared<hosts>();
  {
    keyed_pool<std::string, wire_factory> pool(wire_factory{home}, plain(2, 2));
    a = pool.acquire("a");
    b = pool.acquire("b");
    {
      std::thread([moved = std::move(b)] {}).join();
    }
  }
  CHECK(home->all == 1);
  CHECK(a->key == "a");
  a.release();
  CHECK(home->all == 0);
}

TEST_CASE("P30: threads of its own open, keep up and forget without anybody's tick") {
  auto const home = std::make_shared<hosts>();
  auto o = plain(2, 8);
  o.each.max_idle_time = 10s;
  o.forget_after = 60s;
  o.max_connecting = 2;
  manual_clock const clock;
  watchdog const limit("upkeep");
  keyed_pool<std::string, wire_factory, manual_clock> pool(wire_factory{home}, o, clock);
  for (auto const* key : {"a", "b", "c"}) {
    auto const held = pool.acquire(key);
    CHECK(held->key == key);
  }
  CHECK(pool.stats().all.idle == 3);
  // Each time it sleeps it knows what is due next.
  await([&] {
    clock.advance(1s);
    return pool.stats().all.idle == 0;
  });
  await([&] {
    clock.advance(1s);
    return pool.size() == 0;
  });
  CHECK(pool.stats().forgotten == 3);
  CHECK(home->all == 0);
}

namespace {

/// As slow as a hash can be, and one that says so.
struct one_bucket {
  using is_transparent = void;
  std::size_t operator()(std::string_view) const noexcept { return 7; }
};

}  // namespace

TEST_CASE("P29: keys are hashed and compared as they are told") {
  auto const home = std::make_shared<hosts>();
  keyed_pool<std::string, wire_factory, tideover::hash_by<one_bucket>, tideover::hand_driven> pool(
      wire_factory{home}, plain(1, 9));
  for (int i = 0; i < 9; ++i) CHECK(pool.acquire(std::to_string(i))->key == std::to_string(i));
  CHECK(pool.size() == 9);
  CHECK(pool.acquire(std::string_view("5"))->key == "5");
  CHECK(home->made == 9);
}

TEST_CASE("P29: options out of bounds are named") {
  auto const refused = [](keyed_pool_options const& o) -> std::string {
    try {
      keyed_pool<std::string, wire_factory, tideover::hand_driven> pool(
          wire_factory{std::make_shared<hosts>()}, o);
    } catch (tideover::error const& e) {
      CHECK(e.code() == errc::invalid_argument);
      return e.what();
    }
    return "";
  };
  using Catch::Matchers::Contains;
  CHECK_THAT(refused({.max_total = 0}), Contains("keyed_pool_options.max_total"));
  CHECK_THAT(refused({.max_keys = 0}), Contains("keyed_pool_options.max_keys"));
  CHECK_THAT(refused({.max_connecting = 0}), Contains("keyed_pool_options.max_connecting"));
  CHECK_THAT(refused({.max_connecting = 1'001}), Contains("between 1 and 1000"));
  CHECK_THAT(refused({.forget_after = -1ns}), Contains("keyed_pool_options.forget_after"));
  CHECK_THAT(refused({.each = {.max_size = 0}}), Contains("pool_options.max_size"));
  CHECK(refused(tideover::presets::keyed_pool::http).empty());
}
