// SPDX-License-Identifier: BSL-1.0
// What is computed while one of its tags is erased.
#include "cache/computing.hpp"

#include <tideover/policy/negative.hpp>
#include <tideover/policy/tagging.hpp>

#include <functional>
#include <string>

namespace {

struct by_value {
  tideover::tag_list operator()(int const&, int const& value) const {
    return {"value " + std::to_string(value), "computed"};
  }
};
using cache_type = int_cache<tideover::tagged_by<by_value>>;

}  // namespace

TEST_CASE("C6: a tag that is erased during the computation wins: delivered, not stored", "[C6]") {
  manual_clock clock;
  cache_type cache(sized(100), clock);
  CHECK(cache.get_or_compute(1, [&] { return cache.erase_tag("value 5"), 5; }) == 5);
  CHECK_FALSE(cache.contains(1));
  CHECK(cache.stats().discarded == 1);
  int seen = 0;
  CHECK(cache
            .try_visit_or_compute(
                1, [&] { return cache.erase_tag("computed"), 5; }, [&](int const& v) { seen = v; })
            .has_value());
  CHECK(seen == 5);
  CHECK_FALSE(cache.contains(1));
  CHECK(cache.get_or_compute(1, [] { return 5; }) == 5);
  CHECK(cache.contains(1));
  CHECK(cache.erase_tag("value 5") == 1);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C6: an erased tag that the result has not keeps it from nothing", "[C6]") {
  manual_clock clock;
  cache_type cache(sized(100), clock);
  // One in 256 pairs of tags is taken for one; nobody knows which.
  int stored = 0;
  for (int key = 0; key < 100; ++key) {
    cache.get_or_compute(key, [&] { return cache.erase_tag("other " + std::to_string(key)), key; });
    stored += cache.contains(key) ? 1 : 0;
  }
  CHECK(stored > 90);
  CHECK(cache.stats().discarded == 100u - unsigned(stored));
}

TEST_CASE("C6: who waited before the tag was erased is given the result, who calls afterwards is not",
          "[C6]") {
  watchdog const dog("a tag erased while others wait");
  manual_clock clock;
  cache_type cache(sized(100), clock);
  gate door;
  asking leader([&] { return cache.get_or_compute(1, [&] { return door.pass(), 5; }); });
  door.await_arrivals(1);
  asking before([&] { return cache.get_or_compute(1, [] { return 6; }); });
  await_joined(cache, 1);
  cache.erase_tag("value 5");
  asking after([&] { return cache.get_or_compute(1, [] { return 7; }); });
  await_joined(cache, 2);
  door.open();
  CHECK(leader.got().is(5));
  CHECK(before.got().is(5));
  CHECK(after.got().is(7));
  CHECK(cache.peek(1) == 7);
}

namespace {

/// A manual_clock that does something each time a thread reads it, to be between two steps of a call.
struct busy_clock : manual_clock {
  static inline thread_local std::function<void()> at_each_look;
  tideover::instant now() const noexcept {
    if (at_each_look) at_each_look();
    return manual_clock::now();
  }
};
struct always_tagged {
  tideover::tag_list operator()(int const&, int const&) const { return "computed"; }
  tideover::tag_list operator()(int const&) const { return "computed"; }
};

}  // namespace

TEMPLATE_TEST_CASE("C8: who waited in vain, and then finds that there is nothing, is counted once", "[C8]",
                   tideover::sharded<>, tideover::one_mutex) {
  watchdog const dog("nothing after a tag was erased");
  auto options = sized(100);
  options.negative_ttl = 1h;
  tideover::ttl_cache<int, int, busy_clock, tideover::negative_results, tideover::tagged_by<always_tagged>,
                      TestType>
      cache(options);
  auto const nothing = [](int) -> std::optional<int> { return std::nullopt; };
  gate door;
  asking leader(
      [&] { return cache.get_or_compute(1, [&](int) { return door.pass(), nothing(1); }).value_or(-1); });
  door.await_arrivals(1);
  cache.erase_tag("computed");
  asking after([&] {
    // The second look is that of the second try: between the two, somebody computes.
    int looks = 0;
    busy_clock::at_each_look = [&] {
      if (++looks == 2) cache.get_or_compute(1, nothing);
    };
    int const found = cache.get_or_compute(1, nothing).value_or(-1);
    busy_clock::at_each_look = nullptr;
    return found;
  });
  await_joined(cache, 1);
  door.open();
  CHECK(leader.got().is(-1));
  CHECK(after.got().is(-1));
  auto const s = cache.stats();
  CHECK(s.gets == 3);
  CHECK(s.misses == 3);
  CHECK(s.negative_hits == 0);
  CHECK(s.computations == 2);
  CHECK(adds_up(s));
}

TEMPLATE_TEST_CASE("C6: who calls after a tag was erased is not given that there was nothing before", "[C6]",
                   tideover::values_only, tideover::negative_results) {
  watchdog const dog("nothing before a tag was erased");
  manual_clock clock;
  int_cache<tideover::tagged_by<always_tagged>, TestType> cache(sized(100), clock);
  gate door;
  asking leader([&] {
    return cache.get_or_compute(1, [&](int) { return door.pass(), std::optional<int>(); }).value_or(-1);
  });
  door.await_arrivals(1);
  asking before(
      [&] { return cache.get_or_compute(1, [](int) { return std::optional<int>(6); }).value_or(-1); });
  await_joined(cache, 1);
  cache.erase_tag("computed");
  asking after(
      [&] { return cache.get_or_compute(1, [](int) { return std::optional<int>(7); }).value_or(-1); });
  await_joined(cache, 2);
  door.open();
  CHECK(leader.got().is(-1));
  CHECK(before.got().is(-1));
  CHECK(after.got().is(7));
}

TEST_CASE("C6: who calls after an erasure that the result does not have waits for it like everyone", "[C6]") {
  watchdog const dog("another tag erased while others wait");
  manual_clock clock;
  cache_type cache(sized(100), clock);
  int given = 0;
  for (int key = 0; key < 20; ++key) {
    gate door;
    asking leader([&] { return cache.get_or_compute(key, [&] { return door.pass(), 5; }); });
    door.await_arrivals(1);
    cache.erase_tag("other " + std::to_string(key));
    std::size_t const joined = cache.stats().coalesced;
    asking after([&] { return cache.get_or_compute(key, [] { return 7; }); });
    await_joined(cache, joined + 1);
    door.open();
    CHECK(leader.got().is(5));
    given += after.got().is(5) ? 1 : 0;
  }
  CHECK(given > 15);  // one in 256 computes in vain
}

TEST_CASE("C6: a computation that fails tells its exception, whatever was erased", "[C6]") {
  manual_clock clock;
  cache_type cache(sized(100), clock);
  CHECK_THROWS_AS(cache.get_or_compute(1,
                                       [&]() -> int {
                                         cache.erase_tag("computed");
                                         throw std::runtime_error("down");
                                       }),
                  std::runtime_error);
  CHECK(cache.stats().computations_failed == 1);
}
