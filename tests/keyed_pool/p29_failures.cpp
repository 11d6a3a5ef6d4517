// SPDX-License-Identifier: BSL-1.0
#include "keyed_pool/common.hpp"
#include "support/allocation_counter.hpp"
#include "support/fail_points.hpp"

namespace {

/// A key each copy of which may fail, and so may its hash and its comparison.
struct fragile {
  explicit fragile(int n) : number(n) {}
  fragile(fragile const& other) : number(other.number) { fail_point(); }
  fragile& operator=(fragile const&) = default;
  friend bool operator==(fragile const& a, fragile const& b) {
    fail_point();
    return a.number == b.number;
  }
  int number;
};
struct fragile_hash {
  std::size_t operator()(fragile const& f) const {
    fail_point();
    return static_cast<std::size_t>(f.number);
  }
};
struct fragile_factory {
  using connection = wire;
  std::shared_ptr<hosts> home;
  wire connect(fragile const& key, deadline const&) {
    fail_point();
    return wire(home, std::to_string(key.number));
  }
};
using fragile_pool = keyed_pool<fragile, fragile_factory, tideover::hash_by<fragile_hash>,
                                tideover::hand_driven, tideover::no_backoff, manual_clock>;

struct scene {
  std::shared_ptr<hosts> home = std::make_shared<hosts>();
  manual_clock clock;
  std::unique_ptr<fragile_pool> pool = std::make_unique<fragile_pool>(
      fragile_factory{home},
      [] {
        auto o = plain(2, 2);
        o.each.wait_through_errors = false;
        return o;
      }(),
      clock);
  std::vector<fragile_pool::lease_type> held;
};

}  // namespace

TEST_CASE("P29: whatever fails while a key is made, or while another gives way, no place is lost") {
  bool const other_gives_way = GENERATE(false, true);
  auto const points = fail_at_every_point(
      [&] {
        scene s;
        s.held.reserve(4);
        { auto const one = s.pool->acquire(fragile(1)); }
        if (other_gives_way) s.held.push_back(s.pool->acquire(fragile(2)));
        return s;
      },
      [](scene& s) {
        auto got = s.pool->try_acquire_for(fragile(3), 1s);
        if (got) s.held.push_back(std::move(*got));
      },
      [&](scene& s, attempt const&) {
        auto const now = s.pool->stats();
        CHECK(now.used == now.all.size());
        CHECK(now.used == static_cast<std::size_t>(s.home->all));
        CHECK(now.hungry == 0);
        CHECK(now.all.opening == 0);
        CHECK(s.home->most_of_all <= 2);
        // The next one gets what there is.
        s.held.clear();
        CHECK(s.pool->acquire(fragile(3))->key == "3");
        check_sums(s.pool->stats());
        s.pool.reset();
        CHECK(s.home->all == 0);
      });
  CHECK(points > 8);
}

TEST_CASE("P29: exceptions of check, reset and destroy cost the object its place, not the budget") {
  auto o = plain(2, 2);
  o.each.validate_after_idle = 0ns;
  keyed_by_hand<> t(o);
  t.home->on_reset = [](std::string const& key) {
    if (key == "reset") throw std::runtime_error("reset");
  };
  t.home->on_check = [](std::string const& key) -> bool {
    if (key == "check") throw std::runtime_error("check");
    return true;
  };
  t.home->on_destroy = [](std::string const&) { throw std::runtime_error("destroy"); };
  for (int round = 0; round < 3; ++round) {
    for (auto const* key : {"reset", "check", "fine", "other"}) {
      auto const held = t.pool.acquire(key);
      CHECK(held->key == key);
      t.clock.advance(1ns);
    }
  }
  auto const s = t.pool.stats();
  CHECK(s.all.reset_failures == 3);
  CHECK(s.all.destroy_failures == s.all.destroyed);
  CHECK(t.home->most_of_all == 2);
  check_sums(s);
  CHECK(t.pool.close() == 0);
  CHECK(t.pool.stats().used == 0);
}

TEST_CASE("P26: taking an idle object of a known key and giving it back allocates nothing") {
  keyed_by_hand<> t(plain(2, 4));
  std::string const key = "a host with a name that is too long for a small string";
  { auto const warm = t.pool.acquire(key); }
  REQUIRE(allocation_counter::works());
  allocation_counter const count;
  for (int i = 0; i < 100; ++i) {
    auto const held = t.pool.acquire(key);
    auto const viewed = t.pool.try_acquire(std::string_view(key));
    static_cast<void>(viewed);
  }
  CHECK(count.allocations() == 0);
}

TEST_CASE("P29: threads that were passed and kept by nobody else end with the pool, not on one of them") {
  watchdog const limit("the last copy of the threads");
  auto const home = std::make_shared<hosts>();
  std::atomic<bool> begun{false};
  home->on_connect = [&](std::string const&, deadline const& d) {
    begun = true;
    await([&] { return d.stop.stop_requested(); });
    for (int i = 0; i < 100; ++i) std::this_thread::yield();
  };
  {
    keyed_pool<std::string, wire_factory> pool(wire_factory{home},
                                               {.each = {.min_size = 1, .max_size = 1}, .max_total = 2},
                                               tideover::owned_threads(2));
    static_cast<void>(pool.try_acquire("a"));
    static_cast<void>(pool.try_acquire("b"));
    await([&] { return begun.load(); });
  }
  CHECK(home->all == 0);
}
