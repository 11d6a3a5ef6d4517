// SPDX-License-Identifier: BSL-1.0
#include "cache/failing.hpp"

#include <tideover/error.hpp>
#include <tideover/policy/expiry/per_entry.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>

namespace {

/// The value is the life, in milliseconds; asked counts the questions.
struct value_as_life {
  int* asked;
  std::chrono::milliseconds operator()(int const&, int const& value) const {
    ++*asked;
    return std::chrono::milliseconds(value);
  }
};

struct counted_lives {
  explicit counted_lives(tideover::ttl_cache_options options = sized(1000))
      : cache(options, clock, tideover::per_entry(value_as_life{&asked})) {}
  int asked = 0;
  manual_clock clock;
  int_cache<tideover::per_entry<value_as_life>> cache;
};

}  // namespace

TEST_CASE("C2: with per_entry the function decides each life, to the nanosecond", "[C2]") {
  counted_lives t;
  CHECK(t.cache.put(1, 1));
  CHECK(t.cache.put(2, 2000));
  CHECK(t.cache.get_or_compute(3, [] { return 5; }) == 5);
  CHECK(t.asked == 3);
  CHECK(t.cache.remaining_life(2) == 2s);
  t.clock.advance(1ms - 1ns);
  CHECK(t.cache.contains(1));
  t.clock.advance(1ns);
  CHECK_FALSE(t.cache.contains(1));
  t.clock.advance(4ms - 1ns);
  CHECK(t.cache.contains(3));
  t.clock.advance(1ns);
  CHECK_FALSE(t.cache.contains(3));
  CHECK(t.cache.put(2, 1));  // a new value, a new life
  t.clock.advance(1ms);
  CHECK_FALSE(t.cache.contains(2));
}

TEST_CASE("C2: with per_entry a put's own life goes before, and the function is not asked", "[C2]") {
  counted_lives t;
  CHECK(t.cache.put(1, 1, living(1h)));
  CHECK(t.asked == 0);
  t.clock.advance(1h - 1ns);
  CHECK(t.cache.contains(1));
  CHECK_FALSE(t.cache.put(1, 1'000'000, living(0s)));
  CHECK(t.asked == 0);
  CHECK_FALSE(t.cache.contains(1));
}

TEST_CASE("C2: with per_entry a life of zero or less is refused, as a put without life is", "[C2]") {
  counted_lives t;
  for (int const life : {0, -1}) {
    t.cache.put(1, 1000);
    CHECK_FALSE(t.cache.put(1, life));
    CHECK_FALSE(t.cache.contains(1));
    CHECK(t.cache.get_or_compute(2, [&] { return life; }) == life);  // delivered, not stored
    CHECK_FALSE(t.cache.contains(2));
  }
  CHECK(t.cache.stats().refused == 4);
  CHECK(t.cache.stats().erased == 2);
  CHECK(t.cache.stats().resident == 0);
  CHECK(adds_up(t.cache.stats()));
}

TEST_CASE("C3: with per_entry lives from 1 ms to 10 years are freed each in its time", "[C3]") {
  manual_clock clock;
  tideover::per_entry lives(
      [](int const& key, int const&) { return std::chrono::duration<double>(1e-3 * (1 << key)); });
  int_cache<decltype(lives)> cache(sized(1000), clock, lives);
  tideover::instant const start = clock.now();
  auto const life_of = [](int key) { return std::chrono::milliseconds(std::int64_t{1} << key); };
  constexpr int keys = 30;  // 2^29 ms: six days
  for (int key = 0; key < keys; ++key) CHECK(cache.put(key, key));
  CHECK(cache.put(keys, 0, living(24h * 3650)));
  for (int key = 0; key < keys; ++key) {
    clock.set(start + (life_of(key) - 1ns));
    cache.maintain();
    CHECK(cache.size() == std::size_t(keys - key + 1));
    clock.set(start + life_of(key) + 1050us);
    CHECK(cache.maintain() == 1);
  }
  clock.set(start + (24h * 3650 - 1ns));
  CHECK(cache.contains(keys));
  CHECK(cache.maintain() == 0);
  clock.advance(1050us);
  CHECK(cache.maintain() == 1);
}

TEST_CASE("C2: with per_entry a life too long to tell is for ever", "[C2]") {
  manual_clock clock;
  tideover::per_entry for_ever([](int const&, int const&) { return std::chrono::hours::max(); });
  tideover::ttl_cache_options options = sized(10);
  options.ttl_jitter = 0.5;  // and a life without end is not shortened
  int_cache<decltype(for_ever)> cache(options, clock, for_ever);
  cache.put(1, 1);
  CHECK(cache.remaining_life(1) == std::chrono::nanoseconds::max());
  clock.advance(24h * 365 * 290);
  CHECK(cache.get(1) == 1);
  CHECK(cache.maintain() == 0);
}

TEST_CASE("C2: with per_entry jitter shortens what the function says", "[C2]") {
  tideover::ttl_cache_options options = sized(2000);
  options.ttl_jitter = 0.5;
  counted_lives t(options);
  for (int key = 0; key < 1000; ++key) t.cache.put(key, 100'000);
  auto const left = [&] {
    int n = 0;
    t.cache.for_each([&](int const&, int const&) { ++n; });
    return n;
  };
  t.clock.advance(50s - 1ns);
  CHECK(left() == 1000);
  t.clock.advance(25s);
  CHECK(left() > 400);
  CHECK(left() < 600);
  t.clock.advance(25s + 1ns);
  CHECK(left() == 0);
}

namespace {

struct fragile_life {
  std::chrono::seconds operator()(fragile const&, fragile const&) const {
    fail_point();
    return 60s;
  }
};

struct outage : std::exception {};

}  // namespace

TEST_CASE("C7: a life function that throws at any point keeps the entry out and changes nothing", "[C7]") {
  using fixture = fragile_cache<tideover::per_entry<fragile_life>>;
  CHECK(hold_to_the_strong_guarantee<fixture>(
            sized(4), 4, [](auto& cache) { cache.put(fragile(99), fragile(990)); },
            [](auto& t) { return t.at(99) == 990 && t.held().size() == 4; }) > 0);
  CHECK(hold_to_the_strong_guarantee<fixture>(
            sized(4), 4, [](auto& cache) { cache.put(fragile(2), fragile(21)); },
            [](auto& t) { return t.at(2) == 21 && t.held().size() == 4; }) > 0);
  CHECK(hold_to_the_strong_guarantee<fixture>(
            sized(4), 4, [](auto& cache) { cache.get_or_compute(fragile(99), [] { return fragile(990); }); },
            [](auto& t) { return t.at(99) == 990 && t.held().size() == 4; }) > 0);
}

TEST_CASE("C7: what the life function throws passes through unchanged", "[C7]") {
  bool down = true;
  tideover::per_entry lives([&](int const&, int const&) {
    if (down) throw outage();
    return 1s;
  });
  int_cache<decltype(lives)> cache(sized(10), lives);
  CHECK_THROWS_AS(cache.put(1, 1), outage);
  CHECK_THROWS_AS(cache.get_or_compute(1, [] { return 1; }), outage);
  auto const tried = cache.try_get_or_compute(1, [] { return 1; });
  CHECK_FALSE(tried.has_value());
  CHECK(tried.error().code == tideover::errc::computation_failed);
  CHECK(cache.size() == 0);
  down = false;
  CHECK(cache.put(1, 1));
  CHECK(cache.get_or_compute(2, [] { return 2; }) == 2);
  CHECK(cache.size() == 2);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C6: the life function runs outside of every lock, and may call the cache", "[C6]") {
  using lives = tideover::per_entry<std::function<std::chrono::seconds(int const&, int const&)>>;
  using own = int_cache<lives, tideover::one_mutex>;  // one that is held would never be had again
  own* self = nullptr;
  manual_clock clock;
  own cache(sized(10), clock,
            lives([&](int const& key, int const&) { return self->contains(key) ? 2s : 1s; }));
  self = &cache;
  CHECK(cache.put(1, 1));
  CHECK(cache.remaining_life(1) == 1s);
  CHECK(cache.put(1, 2));
  CHECK(cache.remaining_life(1) == 2s);
  CHECK(cache.get_or_compute(5, [] { return 5; }) == 5);
  CHECK(cache.remaining_life(5) == 1s);
}

namespace {

/// A policy as a user would write it: what is stored is good until the next full hour, at most for its TTL,
/// and for a value of zero not at all.
struct until_the_hour {
  using policy_axis = tideover::axis::expiry;
  static constexpr bool expires = true;
  struct hook {
    tideover::instant deadline;
  };
  static void on_write(hook& h, tideover::instant now, std::chrono::nanoseconds life) noexcept {
    std::chrono::nanoseconds const hour = 1h;
    h.deadline = std::min(now + life, tideover::instant::at(hour * (now.since_epoch() / hour + 1)));
  }
  static void on_hit(hook&, tideover::instant) noexcept {}
  static tideover::instant deadline(hook const& h) noexcept { return h.deadline; }
  static std::chrono::nanoseconds life(int const&, int const& value) { return value == 0 ? 0min : 40min; }
};
static_assert(tideover::expiry_policy<until_the_hour>);
static_assert(tideover::life_giving_policy<until_the_hour, int, int>);

}  // namespace

TEST_CASE("C2: an expiry policy of a user's own is asked and obeyed as those of the library are", "[C2]") {
  manual_clock clock(tideover::instant::at(30min));
  int_cache<until_the_hour> cache(sized(10), clock);
  CHECK(cache.put(1, 1));
  CHECK_FALSE(cache.put(2, 0));
  CHECK(cache.put(3, 3, living(10min)));
  CHECK(cache.remaining_life(1) == 30min);
  CHECK(cache.remaining_life(3) == 10min);
  clock.advance(30min - 1ns);
  CHECK(cache.contains(1));
  clock.advance(1ns);
  CHECK_FALSE(cache.contains(1));
  CHECK(cache.put(1, 1));
  CHECK(cache.remaining_life(1) == 40min);
  clock.advance(41min);
  CHECK(cache.maintain() + cache.stats().expired >= 2);
  CHECK(cache.size() == 0);
}
