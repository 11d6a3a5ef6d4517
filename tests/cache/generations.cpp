// SPDX-License-Identifier: BSL-1.0
#include "cache/computing.hpp"
#include "cache/failing.hpp"
#include "cache/listening.hpp"
#include "support/event_log.hpp"

#include <tideover/policy/eviction/lru.hpp>
#include <tideover/policy/negative.hpp>
#include <tideover/policy/weigher.hpp>

#include <algorithm>
#include <deque>
#include <vector>

namespace {

using event_log_of = event_log<int, int>;

}  // namespace

TEMPLATE_TEST_CASE("C2: after new_generation nothing that was there is returned", "[C2]",
                   tideover::single_threaded, tideover::one_mutex, tideover::sharded<>) {
  int_cache<TestType> cache(sized(10'000));
  for (int key = 0; key < 6; ++key) cache.put(key, key);
  CHECK(cache.generation() == 0);
  CHECK(cache.new_generation() == 1);
  CHECK(cache.generation() == 1);
  CHECK_FALSE(cache.get(0));
  CHECK_FALSE(cache.peek(1));
  CHECK_FALSE(cache.contains(1));
  CHECK_FALSE(cache.remaining_life(1));
  CHECK_FALSE(cache.visit(2, [](int const&) {}));
  CHECK(cache.get_or_compute(3, [] { return -3; }) == -3);
  CHECK_FALSE(cache.erase(4));
  int seen = 0;
  cache.for_each([&](int const&, int const&) { ++seen; });
  CHECK(seen == 1);
  CHECK(cache.erase_if([](int const&, int const&) { return true; }) == 1);
  CHECK(cache.put(5, 50));
  CHECK(cache.get(5) == 50);
  auto const stats = cache.stats();
  CHECK(stats.generations == 1);
  CHECK(stats.replaced == 0);
  CHECK(adds_up(stats));
}

TEST_CASE("C5: entries of an older generation are told as cleared, once, by whoever meets them", "[C5]") {
  manual_clock clock;
  event_log_of heard;
  int_cache<event_log_of, tideover::one_mutex> cache(sized(100, 60s), clock, heard);
  auto const only = [&](int key) {
    return heard.take() == std::vector<event_log_of::event>{{key, key, removal_cause::cleared}};
  };
  for (int key = 0; key < 6; ++key) cache.put(key, key);
  cache.new_generation();
  CHECK(heard.take().empty());  // O(1): nobody has been met yet
  CHECK(cache.size() == 6);
  cache.get(0);
  CHECK(only(0));
  cache.visit(1, [](int const&) {});
  CHECK(only(1));
  cache.erase(2);
  CHECK(only(2));
  cache.get_or_compute(3, [] { return 3; });
  auto told = heard.take();  // the write frees the rest
  CHECK(told.size() == 3);
  CHECK(cache.size() == 1);
  CHECK(cache.stats().cleared == 6);

  // Expired besides: it is gone for the reason that came first to be looked at, and is told once.
  for (int key = 10; key < 14; ++key) cache.put(key, key);
  heard.take();
  clock.advance(60s + 2ms);
  cache.new_generation();
  CHECK(cache.maintain() == 5);
  told = heard.take();
  CHECK(told.size() == 5);
  CHECK(
      std::all_of(told.begin(), told.end(), [](auto const& e) { return e.cause == removal_cause::cleared; }));
  CHECK(adds_up(cache.stats()));
}

TEMPLATE_TEST_CASE("C3: maintain frees what is of an older generation, a little at a time if asked", "[C3]",
                   tideover::after_write, tideover::never) {
  int_cache<TestType> cache(sized(20'000));
  for (int key = 0; key < 10'000; ++key) cache.put(key, key);
  cache.new_generation();
  for (int key = 5'000; key < 5'010; ++key) cache.get_or_compute(key, [] { return 1; });
  std::size_t const before = cache.size();
  CHECK(before > 9'000);
  int calls = 0;
  for (bool done = false; !done; ++calls) {
    std::size_t const held = cache.size();
    done = cache.maintain_some(100);
    REQUIRE(held - cache.size() <= 100);
    REQUIRE(calls < 1000);
  }
  CHECK(calls >= 50);
  CHECK(cache.size() == 10);
  for (int i = 0; i < 3; ++i) cache.new_generation();
  CHECK(cache.maintain() == 10);
  CHECK(cache.maintain() == 0);
  CHECK(cache.stats().cleared == 10'010 - cache.stats().replaced);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C3: writes free an older generation, and evict nothing that lives before it is gone", "[C3]") {
  int_cache<tideover::lru, tideover::one_mutex> cache(sized(1000));
  for (int key = 0; key < 1000; ++key) cache.put(key, key);
  cache.new_generation();
  for (int key = 1000; key < 1900; ++key) cache.put(key, key);
  CHECK(cache.stats().evicted == 0);
  CHECK(cache.stats().cleared == 1000);
  CHECK(cache.size() == 900);
}

TEST_CASE("C6: what is computed when a new generation begins is delivered and not stored", "[C6]") {
  int_cache<> cache(sized(10));
  CHECK(cache.get_or_compute(1, [&] { return cache.new_generation(), 10; }) == 10);
  CHECK_FALSE(cache.contains(1));
  CHECK(cache.stats().discarded == 1);
  // A call that begins after the change computes anew, even while the older computation runs.
  int const got = cache.get_or_compute(2, [&] {
    cache.new_generation();
    CHECK(cache.get_or_compute(2, [] { return 22; }) == 22);
    return 2;
  });
  CHECK(got == 2);
  CHECK(cache.get(2) == 22);
  CHECK(cache.stats().discarded == 2);
  CHECK(cache.stats().recursions == 0);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C6: who waits for a computation of an older generation gets its result", "[C6]") {
  watchdog const dog("waiting over a new generation");
  int_cache<tideover::one_mutex> cache(sized(10));
  gate door, second_door;
  auto const slow = [&] { return door.pass(), 1; };
  auto const anew = [&] { return second_door.pass(), 2; };
  std::deque<asking> old_callers, new_callers;
  for (int i = 0; i < 3; ++i) old_callers.emplace_back([&] { return cache.get_or_compute(1, slow); });
  await_joined(cache, 2);
  cache.new_generation();
  for (int i = 0; i < 3; ++i) new_callers.emplace_back([&] { return cache.get_or_compute(1, anew); });
  await_joined(cache, 4);
  door.open();
  for (asking& caller : old_callers) CHECK(caller.got().is(1));
  CHECK_FALSE(cache.contains(1));
  second_door.open();
  for (asking& caller : new_callers) CHECK(caller.got().is(2));
  CHECK(cache.get(1) == 2);
  CHECK(cache.stats().computations == 2);
}

TEST_CASE("C9: a value that is visited when a new generation begins stays until the visitor returns",
          "[C9]") {
  int_cache<> cache(sized(10));
  cache.put(1, 7);
  CHECK(cache.visit(1, [&](int const& value) {
    cache.new_generation();
    cache.maintain();
    CHECK(cache.size() == 0);
    CHECK(value == 7);
  }));
  cache.put(1, 1), cache.put(2, 2);
  CHECK(cache.erase_if([&](int const&, int const&) { return cache.new_generation() != 0; }) == 0);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C6: that nothing is there is forgotten by a new generation too", "[C6]") {
  tideover::ttl_cache_options options = sized(10);
  options.negative_ttl = 1h;
  int_cache<tideover::negative_results> cache(options);
  int asked = 0;
  auto const find = [&]() -> std::optional<int> { return ++asked, std::nullopt; };
  cache.get_or_compute(1, find);
  cache.new_generation();
  cache.get_or_compute(1, find);
  CHECK(asked == 2);
  // And what a sure function goes over may become outdated while it runs.
  CHECK(cache.get_or_compute(1, [&] { return cache.new_generation(), cache.maintain(), 4; }) == 4);
  CHECK_FALSE(cache.contains(1));
  CHECK(cache.size() == 0);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C1: with a weigher an older generation makes room before anything that lives", "[C1]") {
  struct itself {
    std::size_t operator()(int const&, int const& value) const { return std::size_t(value); }
  };
  tideover::ttl_cache_options options = sized(100);
  options.max_weight = 100;
  int_cache<tideover::weigh_by<itself>> cache(options);
  for (int key = 0; key < 10; ++key) cache.put(key, 10);
  cache.new_generation();
  CHECK(cache.weight() == 100);
  CHECK(cache.put(50, 60));
  CHECK(cache.put(51, 40));
  CHECK(cache.contains(50));
  CHECK(cache.weight() == 100);
  CHECK(cache.stats().evicted == 0);
  CHECK(cache.stats().cleared == 10);
}

namespace {

/// Of all entries the newest must go: so that nothing but the generation keeps it.
class newest_goes {
 public:
  using policy_axis = tideover::axis::eviction;
  struct hook {
    tideover::entry_links links;
  };
  template <class Hooks>
  void on_insert(Hooks hooks, tideover::entry_id id) noexcept {
    all_.push_front(links(hooks), id);
  }
  template <class Hooks>
  void on_hit(Hooks, tideover::entry_id) noexcept {}
  template <class Hooks>
  void on_remove(Hooks hooks, tideover::entry_id id) noexcept {
    all_.remove(links(hooks), id);
  }
  template <class Hooks>
  tideover::entry_id victim(Hooks) noexcept {
    return all_.front();
  }

 private:
  template <class Hooks>
  static auto links(Hooks hooks) noexcept {
    return [hooks](tideover::entry_id id) noexcept -> tideover::entry_links& { return hooks[id].links; };
  }
  tideover::entry_list all_;
};

}  // namespace

TEST_CASE("C1: whatever the eviction policy, an older generation goes before what lives", "[C1]") {
  int_cache<newest_goes, tideover::one_mutex> cache(sized(100));
  for (int key = 0; key < 90; ++key) cache.put(key, key);
  cache.new_generation();
  for (int key = 100; key < 103; ++key) cache.put(key, key);
  cache.set_capacity(3);
  CHECK(cache.size() == 3);
  for (int key = 100; key < 103; ++key) CHECK(cache.contains(key));
  CHECK(cache.stats().evicted == 0);
}

namespace {

/// A cache whose keys 1 to `filled` and -1 are of an older generation, and 10 and 20 of this one.
template <class... Policies>
struct outdated_cache : fragile_cache<Policies...> {
  explicit outdated_cache(tideover::ttl_cache_options options, int filled = 4)
      : fragile_cache<Policies...>(options, filled) {
    this->cache.new_generation();
    for (int const key : {10, 20}) this->cache.put(fragile(key), fragile(key));
    for (int key = 1; key <= filled; ++key)
      this->cache.get_or_compute(fragile(key), [] { return fragile(0); });
    this->before = this->held();
    this->cache.new_generation();
    for (int const key : {10, 20}) this->cache.put(fragile(key), fragile(key));
    this->before = this->held();
  }
};

}  // namespace

TEST_CASE("C7: over an older generation a call that throws at any point has changed nothing", "[C7]") {
  using fixture = outdated_cache<>;
  CHECK(hold_to_the_strong_guarantee<fixture>(
            sized(100), 30, [](auto& cache) { cache.put(fragile(29), fragile(5)); },
            [](auto& t) { return t.at(29) == 5 && t.held().size() == 3; }) > 0);
  CHECK(hold_to_the_strong_guarantee<fixture>(
            sized(100), 30, [](auto& cache) { cache.get_or_compute(fragile(30), [] { return fragile(5); }); },
            [](auto& t) { return t.at(30) == 5 || t.held() == t.before; }) > 0);
  CHECK(hold_to_the_strong_guarantee<fixture>(
            sized(100), 30, [](auto& cache) { cache.get(fragile(30)); },
            [](auto& t) { return t.held() == t.before; }) > 0);
}

namespace {

/// One thread, where each new generation is 2^Bits further: what only a part of the number tells apart.
template <unsigned Bits>
struct leaping : tideover::single_threaded {
  template <class T>
  struct cell : tideover::single_threaded::cell<T> {
    using tideover::single_threaded::cell<T>::cell;
    T fetch_add(T n, std::memory_order order) noexcept {
      using plain = tideover::single_threaded::cell<T>;
      if constexpr (sizeof(T) != 8) return plain::fetch_add(n, order);
      T const leap = static_cast<T>(std::uint64_t(n) << Bits);
      return static_cast<T>(plain::fetch_add(leap, order) + leap - n);  // as if it had been so far already
    }
  };
};

}  // namespace

TEST_CASE("C2: 65,536 generations later an entry is not taken for a new one", "[C2]") {
  int_cache<leaping<16>> cache(sized(10));
  cache.put(1, 1);
  CHECK(cache.new_generation() != 0);
  CHECK(cache.generation() == std::uint64_t{1} << 16);
  CHECK(cache.size() == 1);
  CHECK_FALSE(cache.contains(1));
  CHECK_FALSE(cache.get(1));
}

TEST_CASE("C2: a million generations later no entry is left that could be taken for a new one", "[C2]") {
  int_cache<leaping<20>> cache(sized(10));
  cache.put(1, 1);
  CHECK(cache.new_generation() == std::uint64_t{1} << 20);
  CHECK(cache.size() == 0);
  CHECK(cache.stats().cleared == 1);
}

TEST_CASE("C8: the sums hold over several shards and generations", "[C8]") {
  int_cache<> cache(sized(3 * 2048));
  REQUIRE(cache.shards() > 1);
  std::vector<bool> of_this_generation(8000, false);
  for (int round = 0; round < 20; ++round) {
    cache.new_generation();
    of_this_generation.assign(8000, false);
    for (int i = 0; i < 3000; ++i) {
      int const key = (i * 7919 + round * 101) % 8000;
      if (i % 3 == 0) {
        cache.put(key, round);
        of_this_generation[std::size_t(key)] = true;
      } else if (auto const got = cache.get(key)) {
        REQUIRE(of_this_generation[std::size_t(key)]);
        REQUIRE(*got == round);
      }
    }
    REQUIRE(adds_up(cache.stats()));
  }
  cache.new_generation();
  cache.maintain();
  CHECK(cache.size() == 0);
  CHECK(cache.stats().generations == 21);
  CHECK(adds_up(cache.stats()));
}
