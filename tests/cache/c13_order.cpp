// SPDX-License-Identifier: BSL-1.0
#include "cache/common.hpp"
#include "cache/failing.hpp"
#include "support/environment.hpp"
#include "support/event_log.hpp"
#include "support/move_only.hpp"

#include <tideover/policy/negative.hpp>
#include <tideover/policy/tagging.hpp>
#include <tideover/policy/weigher.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace tideover;

static_assert(ordered_eviction_policy<steered> && ordered_eviction_policy<w_tinylfu> &&
              ordered_eviction_policy<w_tinylfu_fixed<1>> && ordered_eviction_policy<s3_fifo> &&
              ordered_eviction_policy<sieve> && ordered_eviction_policy<lru> &&
              ordered_eviction_policy<fifo> && ordered_eviction_policy<unbounded>);

using keys = std::vector<int>;
constexpr std::size_t everything = std::numeric_limits<std::size_t>::max();

template <class Cache>
keys coldest_keys(Cache& cache, std::size_t n) {
  keys all;
  cache.coldest(n, [&](int const& key, auto const&) { all.push_back(key); });
  return all;
}
template <class Cache>
keys hottest_keys(Cache& cache, std::size_t n) {
  keys all;
  cache.hottest(n, [&](int const& key, auto const&) { all.push_back(key); });
  return all;
}
keys first(keys const& all, std::size_t n) {
  return {all.begin(), all.begin() + std::ptrdiff_t(std::min(n, all.size()))};
}
keys reversed(keys all) {
  std::reverse(all.begin(), all.end());
  return all;
}

/// Skewed requests: a few keys are asked for often.
template <class Cache>
void use(Cache& cache, std::mt19937_64& random, int requests, int most) {
  for (int i = 0; i < requests; ++i) {
    double const u = double(random() % 100'000) / 100'000;
    int const key = int(double(most) * u * u * u);
    if (!cache.get(key)) cache.put(key, key);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("C13: coldest first and hottest first are one order, and n of it are its beginning",
                   "[C13]", steered, w_tinylfu, w_tinylfu_fixed<20>, s3_fifo, sieve, lru, fifo) {
  manual_clock clock;
  std::mt19937_64 random(run_seed());
  for (std::size_t const capacity : {1u, 2u, 3u, 100u, 256u, 257u, 1500u}) {
    int_cache<TestType, one_mutex> cache(sized(capacity), clock);
    CHECK(coldest_keys(cache, 10).empty());
    CHECK(hottest_keys(cache, 10).empty());
    use(cache, random, int(capacity) * 6, int(capacity) * 3);
    REQUIRE(cache.size() == capacity);
    auto const before = cache.stats();
    keys const all = coldest_keys(cache, everything);
    CHECK(all.size() == capacity);
    CHECK(std::set<int>(all.begin(), all.end()).size() == capacity);
    bool const one_order = hottest_keys(cache, everything) == reversed(all);
    CHECK(one_order);
    for (std::size_t const n : {std::size_t{0}, std::size_t{1}, std::size_t{2}, capacity / 3, capacity - 1}) {
      bool const begins =
          coldest_keys(cache, n) == first(all, n) && hottest_keys(cache, n) == first(reversed(all), n);
      CHECK(begins);
    }
    bool const the_same = coldest_keys(cache, everything) == all;  // looking changed nothing
    CHECK(the_same);
    auto const after = cache.stats();
    CHECK(after.gets == before.gets);
    CHECK(after.hits == before.hits);
    CHECK(after.resident == before.resident);
  }
}

TEMPLATE_TEST_CASE("C13: entries leave in the order that coldest says", "[C13]", sieve, lru, fifo) {
  manual_clock clock;
  event_log<int, int> log;
  std::mt19937_64 random(run_seed());
  int_cache<TestType, one_mutex, event_log<int, int>> cache(sized(600), clock, log);
  use(cache, random, 3000, 2000);
  for (int round = 0; round < 3; ++round) {  // the hand of sieve stands anywhere
    keys const expected = coldest_keys(cache, everything);
    std::set<int> const there(expected.begin(), expected.end());
    log.take();
    keys left;
    for (int key = 1'000'000 * (round + 1); left.size() != expected.size() && key % 1'000'000 < 5000; ++key) {
      cache.put(key, key);
      for (auto const& e : log.take()) {
        if (there.contains(e.key)) left.push_back(e.key);
      }
    }
    if (left != expected) FAIL("round " << round << ": another order");
    use(cache, random, 700, 2000);
  }
}

TEMPLATE_TEST_CASE("C13: those that leave next were among the coldest", "[C13]", steered, w_tinylfu,
                   w_tinylfu_fixed<1>, s3_fifo) {
  manual_clock clock;
  event_log<int, int> log;
  std::mt19937_64 random(run_seed());
  int_cache<TestType, one_mutex, event_log<int, int>> cache(sized(1000), clock, log);
  use(cache, random, 20'000, 4000);
  keys const order = coldest_keys(cache, everything);
  std::map<int, std::size_t> rank;
  for (std::size_t i = 0; i != order.size(); ++i) rank[order[i]] = i;
  log.take();
  // New keys that come back until they are let in.
  for (int round = 0; round < 8; ++round) {
    for (int key = 1'000'000; key < 1'000'400; ++key) {
      if (!cache.get(key)) cache.put(key, key);
    }
  }
  std::size_t left = 0, cold = 0;
  for (auto const& e : log.take()) {
    auto const at = rank.find(e.key);
    if (at == rank.end()) continue;
    ++left;
    cold += at->second < 500 ? 1u : 0u;
  }
  CHECK(left > 50);
  CHECK(cold * 10 > left * 8);
}

TEST_CASE("C13: a few of many take little memory, though all have to be looked at", "[C13]") {
  REQUIRE(allocation_counter::works());
  manual_clock clock;
  int_cache<s3_fifo, one_mutex> cache(sized(200'000), clock);
  for (int key = 0; key < 100'000; ++key) cache.put(key, key);
  for (int key = 0; key < 100'000; ++key) cache.get(key), cache.get(key);  // none leaves in the first turn
  keys cold;
  cold.reserve(5);
  allocation_counter const counter;
  cache.coldest(5, [&](int const& key, int const&) { cold.push_back(key); });
  CHECK(counter.bytes() < 100'000);
  CHECK(cold == keys{0, 1, 2, 3, 4});
}

TEST_CASE("C13: several shards give their first ones in turn", "[C13]") {
  manual_clock clock;
  int_cache<lru, sharded<4>> cache(sized(4 * 2048), clock);
  REQUIRE(cache.shards() == 4);
  for (int key = 0; key < 4000; ++key) cache.put(key, key);
  keys const cold = coldest_keys(cache, 400);
  CHECK(cold.size() == 400);
  // Shards get 100 each, whose oldest are among the oldest of all: chance decides how far.
  CHECK(*std::max_element(cold.begin(), cold.end()) < 800);
  keys const hot = hottest_keys(cache, 400);
  CHECK(*std::min_element(hot.begin(), hot.end()) >= 3200);
  keys const all = coldest_keys(cache, everything);
  CHECK(std::set<int>(all.begin(), all.end()).size() == 4000);
  CHECK(first(all, 400) == cold);
}

TEST_CASE("C13: unbounded has no order, and shows any n", "[C13]") {
  manual_clock clock;
  int_cache<unbounded> cache(sized(10'000), clock);
  for (int key = 0; key < 3000; ++key) cache.put(key, key);
  CHECK(coldest_keys(cache, 7).size() == 7);
  keys const all = hottest_keys(cache, everything);
  CHECK(std::set<int>(all.begin(), all.end()).size() == 3000);
}

TEST_CASE("C13: only live values are shown, as copies or in their places", "[C13]") {
  manual_clock clock;
  ttl_cache_options options = sized(10);
  options.negative_ttl = 1min;
  int_cache<lru, negative_results> cache(options, clock);
  cache.put(1, 10);
  cache.put(2, 20, living(1s));
  cache.get_or_compute(3, []() -> std::optional<int> { return std::nullopt; });
  cache.put(4, 40);
  clock.advance(1s);
  using pairs = std::vector<std::pair<int, int>>;
  CHECK(cache.coldest(10) == pairs{{1, 10}, {4, 40}});
  CHECK(cache.hottest(10) == pairs{{4, 40}, {1, 10}});
  CHECK(cache.hottest(1) == pairs{{4, 40}});
  CHECK(cache.coldest(1) == pairs{{1, 10}});
  cache.new_generation();
  CHECK(cache.hottest(10).empty());

  ttl_cache<int, move_only, lru, manual_clock> moved(sized(10), clock);
  moved.put(1, move_only(10)), moved.put(2, move_only(20));
  keys seen;
  CHECK(moved.hottest(5, [&](int const& key, move_only const& value) {
    seen.push_back(key), seen.push_back(value.id());
  }) == 2);
  CHECK(seen == keys{2, 20, 1, 10});
}

namespace {

struct by_number {
  std::size_t operator()(int key, int) const { return std::size_t(key); }
};

}  // namespace

TEST_CASE("C13: details go with the entries: what they have to live, weight and tags", "[C13]") {
  manual_clock clock;
  ttl_cache_options options = sized(10);
  options.max_weight = 100;
  int_cache<lru, tagged, weigh_by<by_number>> cache(options, clock);
  cache.put(3, 1, {.ttl = 20s, .tags = {"b", "a"}});
  cache.put(5, 1, {.ttl = std::chrono::nanoseconds::max(), .tags = {}});
  clock.advance(5s);
  std::vector<entry_details> all;
  CHECK(cache.coldest(9, [&](int const&, int const&, entry_details const& d) { all.push_back(d); }) == 2);
  REQUIRE(all.size() == 2);
  CHECK(all[0].remaining_life == 15s);
  CHECK(all[0].weight == 3);
  CHECK(all[0].tags == tag_list{"a", "b"});
  CHECK(all[1].remaining_life == std::chrono::nanoseconds::max());
  CHECK(all[1].weight == 5);
  CHECK(all[1].tags.empty());
}

TEST_CASE("C13: no lock is held: the function may call the cache, and what stays is met", "[C13]") {
  manual_clock clock;
  int_cache<lru, one_mutex> cache(sized(2000), clock);
  for (int key = 0; key < 1000; ++key) cache.put(key, key);
  std::set<int> met;
  std::size_t const shown = cache.coldest(everything, [&](int const& key, int const&) {
    met.insert(key);
    cache.get(key);  // it moves to the other end
    if (key % 3 == 1 && key > 0) cache.erase(key - 1), met.erase(key - 1);
    if (key < 100) cache.put(10'000 + key, key);
  });
  CHECK(shown <= 1100);
  for (int key = 0; key < 1000; ++key) {
    if (cache.contains(key) && met.count(key) != 1) FAIL("key " << key << " was not met");
  }
  struct stop {};
  CHECK_THROWS_AS(cache.hottest(5, [](int const&, int const&) { throw stop(); }), stop);
  CHECK(cache.erase_if([](int const&, int const&) { return true; }) > 0);  // nothing stayed pinned
  CHECK(cache.size() == 0);
}

TEST_CASE("C7: hottest and coldest that fail at any point have changed nothing", "[C7]") {
  CHECK(hold_to_the_strong_guarantee(
            sized(100), 20,
            [](auto& cache) {
              cache.hottest(3, [](fragile const&, fragile const&) { fail_point(); });
              static_cast<void>(cache.coldest(7));
            },
            [](auto& t) { return t.held() == t.before; }) > 10);
}
