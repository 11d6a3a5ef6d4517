// SPDX-License-Identifier: BSL-1.0
// Whatever fails, at whichever point: hash, equality, copies, memory, the user's function. The call
// either does what it says or has changed nothing that a caller can see, and the guard works on.
#include "stampede/common.hpp"
#include "support/allocation_counter.hpp"
#include "support/fail_points.hpp"
#include "support/throwing.hpp"

#include <map>
#include <memory>

namespace {

// Moves excepted: a value whose move throws may have been stored when it is lost on its way to the caller.
using fragile = throwing<point::construct | point::copy | point::hash | point::equal>;
using fragile_store = tideover::ttl_cache<fragile, cached<fragile>, manual_clock, tideover::lru,
                                          tideover::single_threaded, tideover::hash_by<fragile::hasher>>;
using half = tideover::refresh_after<std::ratio<1, 2>>;

struct fixture {
  using guard_type = tideover::stampede_guard<fragile_store, half, tideover::no_backoff>;

  fixture() : guard(sized(20), usual(), clock) {
    for (int key = 1; key <= 3; ++key) guard.put(fragile(key), fragile(10 * key));
    clock.advance(6s);  // a refresh of these is due
    guard.put(fragile(4), fragile(40));
    before = held();
  }
  std::map<int, int> held() {
    std::map<int, int> all;
    guard.store().for_each([&](fragile const& key, auto const& e) { all[key.id()] = e.value.id(); });
    return all;
  }
  /// Nothing is under way, and each key can be computed.
  bool works() {
    if (guard.stats().running != 0) return false;
    for (int key = 1; key <= 8; ++key) {
      guard.invalidate(fragile(key));
      if (guard.get_or_compute(fragile(key), [&] { return fragile(100 + key); }).id() != 100 + key)
        return false;
      if (guard.get_or_compute(fragile(key), [] { return fragile(-1); }).id() != 100 + key) return false;
    }
    return true;
  }

  manual_clock clock;
  guard_type guard;
  std::map<int, int> before;
};

/// `sees`: what may be held after a run that did not throw; a run that threw must have left all as it was.
template <class Operation, class Sees>
std::size_t at_every_point(Operation operation, Sees sees) {
  std::size_t const points =
      fail_at_every_point([] { return std::make_unique<fixture>(); }, [&](auto& f) { operation(*f); },
                          [&](auto& f, attempt const& run) {
                            auto const held = f->held();
                            INFO("point " << run.point);
                            CHECK((held == f->before || (!run.threw && sees(held))));
                            CHECK(f->works());
                          });
  CHECK(fragile::live() == 0);
  return points;
}

}  // namespace

TEST_CASE("S5: whatever fails, a computation is stored or nothing has changed", "[exceptions]") {
  REQUIRE(allocation_counter::works());
  CHECK(at_every_point(
            [](fixture& f) {
              static_cast<void>(f.guard.get_or_compute(fragile(7), [] { return fragile(70); }));
            },
            [](auto const& held) { return held.at(7) == 70; }) > 10);
}

TEST_CASE("S4: whatever fails, a caller whose value is due for a refresh has a value", "[exceptions]") {
  CHECK(at_every_point(
            [](fixture& f) {
              int const got = f.guard.get_or_compute(fragile(1), [] { return fragile(11); }).id();
              CHECK((got == 10 || got == 11));
            },
            [](auto const& held) { return held.at(1) == 10 || held.at(1) == 11; }) > 10);
}

TEST_CASE("S4: whatever fails, so does a caller whose value is stale", "[exceptions]") {
  CHECK(at_every_point(
            [](fixture& f) {
              f.clock.advance(20s);
              f.before = f.held();
              int const got = f.guard.get_or_compute(fragile(1), [] { return fragile(11); }).id();
              CHECK((got == 10 || got == 11));
            },
            [](auto const& held) { return held.at(1) == 10 || held.at(1) == 11; }) > 10);
}

TEST_CASE("S7: whatever fails, a put or invalidation is done or nothing has changed", "[exceptions]") {
  CHECK(at_every_point([](fixture& f) { f.guard.put(fragile(1), fragile(11)); },
                       [](auto const& held) { return held.at(1) == 11; }) > 5);
  CHECK(at_every_point([](fixture& f) { f.guard.invalidate(fragile(1)); },
                       [](auto const& held) { return held.count(1) == 0; }) > 2);
  CHECK(at_every_point(
            [](fixture& f) {
              f.guard.adopt(fragile(1), cached<fragile>{fragile(11), f.clock.now(), f.clock.now() + 1s,
                                                        f.clock.now() + 1s});
            },
            [](auto const& held) { return held.at(1) == 11; }) > 5);
}

TEST_CASE("S4: whatever fails, a refresh by an executor costs nobody the value that is there",
          "[exceptions]") {
  struct state {
    manual_clock clock;
    tideover::hand_driven queue;
    tideover::stampede_guard<fragile_store, half, tideover::no_backoff, tideover::hand_driven> guard{
        sized(20), usual(), clock, queue};
    state() {
      guard.put(fragile(1), fragile(10));
      clock.advance(6s);
    }
  };
  std::size_t const points =
      fail_at_every_point([] { return std::make_unique<state>(); },
                          [](auto& s) {
                            static_cast<void>(s->guard.get_or_compute(
                                fragile(1), [made = fragile(11)] { return fragile(made); }));
                            s->queue.tick();
                          },
                          [](auto& s, attempt const&) {
                            s->queue.tick();
                            CHECK(s->guard.stats().running == 0);
                            CHECK(s->guard.get(fragile(1)).has_value());
                            CHECK(s->guard.get_or_compute(fragile(2), [] { return fragile(2); }).id() == 2);
                          });
  CHECK(points > 15);
}

TEST_CASE("S5: a plain hit allocates nothing", "[exceptions]") {
  REQUIRE(allocation_counter::works());
  manual_clock clock;
  plain_guard guard(sized(100), usual(), clock);
  for (int key = 0; key < 100; ++key) guard.put(key, key);
  allocation_counter const counter;
  int sum = 0;
  for (int key = 0; key < 100; ++key) sum += guard.get_or_compute(key, [] { return -1; });
  CHECK(counter.allocations() == 0);
  CHECK(sum == 4950);
}
