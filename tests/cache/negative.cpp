// SPDX-License-Identifier: BSL-1.0
#include "cache/computing.hpp"
#include "cache/failing.hpp"
#include "support/event_log.hpp"

#include <tideover/policy/expiry/after_write_or_access.hpp>
#include <tideover/policy/expiry/per_entry.hpp>
#include <tideover/policy/negative.hpp>
#include <tideover/policy/weigher.hpp>

#include <atomic>
#include <deque>
#include <memory>
#include <stdexcept>
#include <vector>

namespace {

using tideover::negative_results;
using tideover::removal_cause;
using maybe = std::optional<int>;

tideover::ttl_cache_options believing(std::chrono::nanoseconds negative_ttl,
                                      std::chrono::nanoseconds ttl = 60s) {
  tideover::ttl_cache_options options = sized(10, ttl);
  options.negative_ttl = negative_ttl;
  return options;
}

/// A function that finds nothing, or what the test puts there, and counts how often it is asked.
struct origin {
  maybe held = std::nullopt;
  int asked = 0;
  auto function() {
    return [this]() -> maybe { return ++asked, held; };
  }
};

template <class... Policies>
using believer = int_cache<negative_results, Policies...>;

}  // namespace

TEMPLATE_TEST_CASE("C6: nothing is believed for its own time, and asked for again at its end", "[C6]",
                   tideover::single_threaded, tideover::one_mutex, tideover::sharded<>) {
  manual_clock clock;
  believer<TestType> cache(believing(5s), clock);
  origin from;
  CHECK(cache.get_or_compute(1, from.function()) == std::nullopt);
  CHECK(cache.get_or_compute(1, from.function()) == std::nullopt);
  CHECK(from.asked == 1);
  clock.advance(5s - 1ns);
  CHECK(cache.get_or_compute(1, from.function()) == std::nullopt);
  CHECK(from.asked == 1);
  from.held = 7;
  clock.advance(1ns);
  CHECK(cache.get_or_compute(1, from.function()) == 7);
  CHECK(from.asked == 2);
  clock.advance(60s - 1ns);
  CHECK(cache.get_or_compute(1, from.function()) == 7);  // a value has the other life
  CHECK(from.asked == 2);
  auto const stats = cache.stats();
  CHECK(stats.negative_hits == 2);
  CHECK(stats.hits == 3);
  CHECK(stats.misses == 2);
  CHECK(stats.expired == 1);
  CHECK(adds_up(stats));
}

TEST_CASE("C6: all forms of the call may find nothing", "[C6]") {
  believer<> cache(believing(5s));
  origin from;
  int visited = 0;
  auto const visitor = [&](int const& v) { return visited = v; };
  auto const silent = [&](int const& v) { visited = v; };
  CHECK_FALSE(cache.visit_or_compute(1, from.function(), visitor).has_value());
  CHECK_FALSE(cache.visit_or_compute(1, from.function(), silent));
  CHECK(cache.try_get_or_compute(1, from.function()).value() == std::nullopt);
  CHECK(cache.try_visit_or_compute(1, from.function(), visitor).value() == std::nullopt);
  CHECK(cache.try_visit_or_compute(1, from.function(), silent).value() == false);
  CHECK(from.asked == 1);
  CHECK(visited == 0);
  from.held = 7;
  cache.erase(1);
  CHECK(cache.visit_or_compute(1, from.function(), visitor) == 7);
  CHECK(cache.visit_or_compute(1, from.function(), silent));
  CHECK(cache.try_get_or_compute(1, from.function()).value() == 7);
  CHECK(cache.try_visit_or_compute(1, from.function(), visitor).value() == 7);
  CHECK(cache.try_visit_or_compute(1, from.function(), silent).value() == true);
  CHECK(from.asked == 2);

  auto const in_result = [&](int key) -> tideover::result<maybe> {
    if (key == 3) return tideover::errc::timed_out;
    return key == 2 ? maybe() : maybe(key);
  };
  CHECK(cache.get_or_compute(2, in_result) == std::nullopt);
  CHECK(cache.get_or_compute(2, [](int const&) { return maybe(-1); }) == std::nullopt);
  CHECK(cache.try_get_or_compute(3, in_result).error().code == errc::timed_out);
  CHECK(cache.get_or_compute(4, in_result) == 4);
}

TEST_CASE("C2: where nothing is known to be, reads find nothing, and looking does not see it", "[C2]") {
  believer<> cache(believing(5s));
  origin from;
  cache.get_or_compute(1, from.function());
  cache.put(2, 2);
  CHECK(cache.size() == 2);  // it takes its place all the same
  CHECK(cache.get(1) == std::nullopt);
  CHECK_FALSE(cache.visit(1, [](int const&) {}));
  CHECK(cache.peek(1) == std::nullopt);
  CHECK_FALSE(cache.contains(1));
  CHECK_FALSE(cache.remaining_life(1));
  std::vector<int> seen;
  cache.for_each([&](int const& key, int const&) { seen.push_back(key); });
  CHECK(cache.erase_if([&](int const& key, int const&) { return key == 1; }) == 0);
  CHECK(seen == std::vector<int>{2});
  CHECK(cache.stats().negative_hits == 2);  // get and visit: a hit that found nothing
  CHECK(cache.stats().hits == 2);
  CHECK(cache.stats().misses == 1);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C6: a put goes over nothing, and erase forgets it", "[C6]") {
  believer<> cache(believing(5s));
  origin from;
  cache.get_or_compute(1, from.function());
  CHECK(cache.put(1, 10));
  CHECK(cache.get(1) == 10);
  CHECK(cache.stats().replaced == 1);
  CHECK(cache.size() == 1);

  cache.get_or_compute(2, from.function());
  CHECK_FALSE(cache.erase(2));  // there was no value
  CHECK(cache.size() == 1);
  from.held = 5;
  CHECK(cache.get_or_compute(2, from.function()) == 5);
  CHECK(from.asked == 3);

  from.held = std::nullopt;
  cache.get_or_compute(3, from.function());
  CHECK_FALSE(cache.put(3, 3, living(0s)));
  cache.get_or_compute(3, from.function());
  CHECK(from.asked == 5);
  cache.clear();
  CHECK(cache.size() == 0);
  cache.get_or_compute(3, from.function());
  CHECK(from.asked == 6);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C6: to a function that always has a value nothing is no answer", "[C6]") {
  manual_clock clock;
  believer<> cache(believing(5s), clock);
  origin from;
  auto const knows = [&] {
    return cache.get_or_compute(1, from.function()) == std::nullopt && from.asked == 1;
  };
  CHECK(knows());
  CHECK_THROWS_AS(cache.get_or_compute(1, []() -> int { throw std::runtime_error("down"); }),
                  std::runtime_error);
  CHECK(knows());  // the failed call has changed nothing
  CHECK(cache.get_or_compute(1, [&] { return knows() ? 4 : -1; }) == 4);
  CHECK(cache.get(1) == 4);
  CHECK(cache.size() == 1);
  CHECK(cache.stats().replaced == 1);

  // What says so may leave while the function runs.
  for (int const how : {0, 1, 2}) {
    cache.clear();
    from = {};
    CHECK(knows());
    int const got = cache.get_or_compute(1, [&] {
      if (how == 0) clock.advance(5s);
      if (how == 1) cache.erase(1);
      if (how == 2) cache.put(1, 6);
      return 5;
    });
    CHECK(got == 5);
    CHECK(cache.get(1) == (how == 0 ? maybe(5) : how == 1 ? std::nullopt : maybe(6)));
    CHECK(adds_up(cache.stats()));
  }
}

TEST_CASE("C6: without a negative_ttl, or without the policy, nothing is asked for each time", "[C6]") {
  origin from;
  believer<> no_time(believing(0s));
  int_cache<> no_policy(sized(10));
  for (int i = 1; i <= 3; ++i) {
    CHECK(no_time.get_or_compute(1, from.function()) == std::nullopt);
    CHECK(no_policy.get_or_compute(1, from.function()) == std::nullopt);
    CHECK(from.asked == 2 * i);
  }
  CHECK(no_time.size() + no_policy.size() == 0);
  CHECK(no_time.stats().puts + no_policy.stats().puts == 0);
  CHECK(adds_up(no_time.stats()));
  from.held = 7;
  CHECK(no_policy.get_or_compute(1, from.function()) == 7);
  CHECK(no_policy.get(1) == 7);
}

TEMPLATE_TEST_CASE("C6: who waits for a computation that finds nothing is told so", "[C6]", believer<>,
                   int_cache<>) {
  watchdog const dog("waiting for nothing");
  tideover::ttl_cache_options options = sized(10);
  if (TestType::negative_type::remembers) options.negative_ttl = 5s;
  TestType cache(options);
  gate door;
  std::atomic<int> computations{0};
  auto const find = [&]() -> maybe {
    ++computations;
    door.pass();
    return std::nullopt;
  };
  std::deque<asking> callers;
  for (int i = 0; i < 5; ++i)
    callers.emplace_back([&] { return cache.get_or_compute(1, find).value_or(-1); });
  await_joined(cache, 4);
  asking sure([&] { return cache.get_or_compute(1, [] { return 3; }); });  // it has a value at any rate
  await_joined(cache, 5);
  door.open();
  for (asking& caller : callers) CHECK(caller.got().is(-1));
  CHECK(computations == 1);
  CHECK(sure.got().is(3));
  CHECK(cache.get(1) == 3);
  auto const stats = cache.stats();
  CHECK(stats.computations == 2);
  CHECK(stats.gets == 7);  // each call once, though one of them asked twice
  CHECK(adds_up(stats));
}

TEST_CASE("C6: an erase or put during a computation that finds nothing wins", "[C6]") {
  believer<> cache(believing(5s));
  CHECK(cache.get_or_compute(1, [&]() -> maybe { return cache.erase(1), std::nullopt; }) == std::nullopt);
  CHECK(cache.size() == 0);
  CHECK(cache.get_or_compute(1, [&]() -> maybe { return cache.put(1, 9), std::nullopt; }) == std::nullopt);
  CHECK(cache.get(1) == 9);
  CHECK(cache.stats().discarded == 2);
}

TEMPLATE_TEST_CASE("C4: asking for what is not there does not make it so for longer", "[C4]",
                   tideover::after_access, tideover::after_write_or_access) {
  manual_clock clock;
  tideover::ttl_cache_options options = believing(10s);
  if (tideover::idle_expiry_policy<TestType>) options.idle_ttl = 3s;
  believer<TestType> cache(options, clock);
  origin from;
  for (int second = 0; second < 10; ++second) {
    CHECK(cache.get_or_compute(1, from.function()) == std::nullopt);
    CHECK(cache.get(1) == std::nullopt);
    clock.advance(1s);
    CHECK(from.asked == 1);
  }
  cache.get_or_compute(1, from.function());
  CHECK(from.asked == 2);
}

TEST_CASE("C3: what says that nothing is there is freed without reads", "[C3]") {
  manual_clock clock;
  tideover::ttl_cache_options options = believing(5s, 1h);
  options.capacity = 2000;
  options.ttl_jitter = 0.5;
  believer<> cache(options, clock);
  origin from;
  for (int key = 0; key < 1000; ++key) cache.get_or_compute(key, from.function());
  clock.advance(2500ms - 2ms);
  CHECK(cache.maintain() == 0);
  clock.advance(1250ms);
  std::size_t const early = cache.maintain();  // jitter shortens these lives too
  CHECK(early > 400);
  CHECK(early < 600);
  clock.advance(1250ms + 4ms);
  CHECK(cache.maintain() == 1000 - early);
}

TEST_CASE("C1: what says that nothing is there takes room, and goes when it is needed", "[C1]") {
  believer<tideover::lru> cache(believing(5s));
  origin from;
  for (int key = 0; key < 100; ++key) cache.get_or_compute(key, from.function());
  CHECK(cache.size() == 10);
  for (int key = 0; key < 10; ++key) cache.put(1000 + key, key);
  CHECK(cache.size() == 10);
  CHECK(cache.contains(1000));
  CHECK(cache.stats().evicted == 100);
}

TEST_CASE("C1: with a weigher nothing weighs what the function says of its key, else one", "[C1]") {
  struct with_keys {
    std::size_t operator()(int const&, int const& value) const { return std::size_t(value); }
    std::size_t operator()(int const& key) const { return std::size_t(key); }
  };
  struct without_keys {
    std::size_t operator()(int const&, int const& value) const { return std::size_t(value); }
  };
  tideover::ttl_cache_options options = believing(5s);
  options.max_weight = 10;
  origin from;
  believer<tideover::weigh_by<with_keys>> one(options);
  one.get_or_compute(6, from.function());
  CHECK(one.weight() == 6);
  one.get_or_compute(4, from.function());
  one.get_or_compute(5, from.function());
  CHECK(one.weight() == 9);
  one.get_or_compute(11, from.function());
  CHECK(one.stats().refused == 1);
  believer<tideover::weigh_by<without_keys>> other(options);
  other.get_or_compute(6, from.function());
  CHECK(other.weight() == 1);
  other.put(6, 10);
  CHECK(other.weight() == 10);
  CHECK(other.get(6) == 10);
}

TEST_CASE("C5: a listener hears of values only", "[C5]") {
  using log = event_log<int, int>;
  manual_clock clock;
  log heard;
  believer<log> cache(believing(5s), clock, heard);
  origin from;
  cache.get_or_compute(1, from.function());
  cache.put(1, 10);  // over nothing
  cache.get_or_compute(2, from.function());
  cache.erase(2);
  cache.get_or_compute(3, from.function());
  clock.advance(5s);
  cache.get(3);
  cache.get_or_compute(4, from.function());
  cache.clear();
  CHECK(heard.take() == std::vector<log::event>{{1, 10, removal_cause::cleared}});
  CHECK(cache.stats().expired == 1);
  CHECK(cache.stats().erased == 1);
  CHECK(cache.stats().cleared == 2);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C9: values that cannot be copied may be missing as well", "[C9]") {
  tideover::ttl_cache<int, std::unique_ptr<int>, negative_results> cache(believing(5s));
  auto const sum = [](std::unique_ptr<int> const& p) { return *p + 1; };
  using maybe_pointer = std::optional<std::unique_ptr<int>>;
  CHECK(cache.visit_or_compute(
            1, []() -> maybe_pointer { return std::nullopt; }, sum) == std::nullopt);
  CHECK(cache.visit_or_compute(
            2, []() -> maybe_pointer { return std::make_unique<int>(3); }, sum) == 4);
  CHECK(cache.put(1, std::make_unique<int>(5)));
  CHECK(cache.visit_or_compute(
            1, []() -> maybe_pointer { return std::nullopt; }, sum) == 6);
}

TEST_CASE("a cache of optionals takes an optional for a value", "[negative]") {
  tideover::ttl_cache<int, maybe, negative_results> cache(believing(5s));
  int asked = 0;
  maybe const got = cache.get_or_compute(1, [&]() -> maybe { return ++asked, std::nullopt; });
  CHECK(got == std::nullopt);
  CHECK(cache.contains(1));
  CHECK(cache.get(1).has_value());
  std::optional<maybe> const none =
      cache.get_or_compute(2, [&]() -> std::optional<maybe> { return ++asked, std::nullopt; });
  CHECK_FALSE(none.has_value());
  CHECK_FALSE(cache.contains(2));
  CHECK(asked == 2);
}

TEST_CASE("C7: a call that may find nothing and throws at any point has changed nothing", "[C7]") {
  tideover::ttl_cache_options options = sized(1000);
  options.negative_ttl = 60s;
  using fixture = fragile_cache<negative_results>;
  auto const nothing = [](fragile const&) -> std::optional<fragile> {
    fail_point();
    return std::nullopt;
  };
  for (int const filled : {0, 4, 7, 8, 14, 28}) {
    CHECK(hold_to_the_strong_guarantee<fixture>(
              options, filled, [&](auto& cache) { cache.get_or_compute(fragile(99), nothing); },
              [](auto& t) { return !t.at(99) && t.held() == t.before; }) > 3);
    // Over nothing: by a put, and by a function that has a value.
    CHECK(hold_to_the_strong_guarantee<fixture>(
              options, filled,
              [&](auto& cache) {
                cache.get_or_compute(fragile(99), nothing);
                cache.put(fragile(99), fragile(990));
              },
              [](auto& t) { return t.at(99) == 990; }) > 3);
    CHECK(hold_to_the_strong_guarantee<fixture>(
              options, filled,
              [&](auto& cache) {
                cache.get_or_compute(fragile(99), nothing);
                cache.get_or_compute(fragile(99), [] { return fragile(990); });
              },
              [](auto& t) { return t.at(99) == 990 || t.held() == t.before; }) > 3);
  }
}

TEST_CASE("C11: a negative_ttl and the policy need one another", "[C11]") {
  auto const refusal = [](auto make) {
    try {
      make();
    } catch (tideover::error const& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(refusal([] { believer<> cache(believing(0s)); }).empty());
  CHECK(refusal([] { believer<> cache(believing(1ns)); }).empty());
  CHECK(refusal([] { believer<> cache(believing(-1ns)); }).find("ttl_cache_options.negative_ttl") !=
        std::string::npos);
  std::string const without = refusal([] { int_cache<> cache(believing(1s)); });
  CHECK(without.find("ttl_cache_options.negative_ttl") != std::string::npos);
  CHECK(without.find("tideover::negative_results") != std::string::npos);
}

TEST_CASE("C6: a value that is computed and refused leaves no word of its absence", "[C6]") {
  auto const nothing = [] { return maybe(); };
  auto const five = [] { return maybe(5); };

  tideover::weigh_by by_value([](int, int value) { return static_cast<std::size_t>(value); });
  auto options = believing(10s);
  options.max_weight = 10;
  believer<decltype(by_value)> heavy(options, by_value);
  CHECK_FALSE(heavy.get_or_compute(1, nothing).has_value());
  CHECK(heavy.get_or_compute(1, [] { return 100; }) == 100);  // heavier than the whole cache
  CHECK(heavy.get_or_compute(1, five) == 5);
  CHECK(heavy.stats().refused == 1);
  CHECK(heavy.stats().erased == 1);

  tideover::per_entry by_use([](int, int value) { return value == 100 ? 0s : 10s; });
  believer<decltype(by_use)> lifeless(believing(10s), by_use);
  CHECK_FALSE(lifeless.get_or_compute(1, nothing).has_value());
  CHECK(lifeless.get_or_compute(1, [] { return 100; }) == 100);
  CHECK(lifeless.get_or_compute(1, five) == 5);
}

TEST_CASE("C7: the weigher is not asked for a nothing that is not kept", "[C7]") {
  struct weigher {
    std::size_t operator()(int, int) const { return 1; }
    std::size_t operator()(int) const { throw std::runtime_error("asked"); }
  };
  auto options = sized(10, 60s);
  options.max_weight = 10;
  auto const nothing = [] { return maybe(); };
  int_cache<tideover::weigh_by<weigher>> values(options);
  CHECK_FALSE(values.get_or_compute(1, nothing).has_value());
  believer<tideover::weigh_by<weigher>> forgetful(options);  // negative_ttl is 0
  CHECK_FALSE(forgetful.get_or_compute(1, nothing).has_value());
  options.negative_ttl = 1s;
  believer<tideover::weigh_by<weigher>> keeping(options);
  CHECK_THROWS_AS(keeping.get_or_compute(1, nothing), std::runtime_error);
}
