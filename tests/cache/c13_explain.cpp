// SPDX-License-Identifier: BSL-1.0
#include "cache/computing.hpp"
#include "cache/failing.hpp"

#include <tideover/policy/negative.hpp>
#include <tideover/policy/tagging.hpp>
#include <tideover/policy/weigher.hpp>

#include <string>

namespace {

using namespace tideover;

struct by_value {
  std::size_t operator()(int, int value) const { return std::size_t(value); }
};

}  // namespace

TEST_CASE("C13: explain tells of a live entry what is known, and changes nothing", "[C13]") {
  manual_clock clock;
  ttl_cache_options options = sized(100);
  options.max_weight = 1000;
  int_cache<tagged, weigh_by<by_value>> cache(options, clock);
  cache.new_generation();
  cache.put(1, 7, {.ttl = 20s, .tags = {"acme"}});
  cache.get(1), cache.get(1);
  clock.advance(5s);
  auto const before = cache.stats();
  cache_explanation const e = cache.explain(1);
  CHECK(e.state == entry_state::live);
  CHECK(std::string(to_string(e.state)) == "live");
  CHECK_FALSE(e.computing);
  CHECK_FALSE(e.in_use);
  CHECK(e.shard == 0);
  CHECK(e.generation == 1);
  CHECK(e.entry_generation == 1);
  CHECK(e.details.remaining_life == 15s);
  CHECK(e.details.weight == 7);
  CHECK(e.details.tags == tag_list("acme"));
  CHECK_FALSE(e.unused_for);
  CHECK(std::string(e.queue) == "window");
  CHECK(e.turn == 1);  // used
  CHECK(e.frequency == 2u);
  CHECK(cache.stats().gets == before.gets);
  bool visited = false;
  cache.visit(1, [&](int const&) { visited = cache.explain(1).in_use; });
  CHECK(visited);
  CHECK_FALSE(cache.explain(1).in_use);
}

TEST_CASE("C13: explain tells why a key is missing", "[C13]") {
  manual_clock clock;
  ttl_cache_options options = sized(100);
  options.negative_ttl = 10s;
  int_cache<negative_results, sharded<>> cache(options, clock);
  CHECK(cache.explain(1).state == entry_state::absent);
  CHECK(std::string(cache.explain(1).queue).empty());
  CHECK(cache.explain(1).details.weight == 0);
  cache.get_or_compute(1, []() -> std::optional<int> { return std::nullopt; });
  CHECK(cache.explain(1).state == entry_state::nothing);
  CHECK(cache.explain(1).details.remaining_life == 10s);
  cache.put(2, 2, living(5s));
  clock.advance(8s);
  cache_explanation const expired = cache.explain(2);
  CHECK(expired.state == entry_state::expired);
  CHECK(expired.details.remaining_life == -3s);
  CHECK(cache.size() == 2);  // nothing was freed
  cache.put(3, 3);
  cache.new_generation(), cache.new_generation();
  cache_explanation const older = cache.explain(3);
  CHECK(older.state == entry_state::older_generation);
  CHECK(older.generation == 2);
  CHECK(older.entry_generation == 0);
  bool computing = false;
  cache.get_or_compute(4, [&] {
    computing = cache.explain(4).computing && cache.explain(4).state == entry_state::absent;
    return 4;
  });
  CHECK(computing);
  CHECK_FALSE(cache.explain(4).computing);
  cache.get_or_compute(4, [] { return 4; });
  cache.put(5, 5), clock.advance(61s);
  cache.get_or_compute(5, [&] {  // the expired one was freed by the call that computes
    CHECK(cache.explain(5).computing);
    return 5;
  });
  for (auto const state : {entry_state::absent, entry_state::live, entry_state::nothing, entry_state::expired,
                           entry_state::older_generation})
    CHECK(std::string(to_string(state)) != "unknown");
}

TEMPLATE_TEST_CASE("C13: explain knows the last use where the expiry policy keeps it", "[C13]", after_access,
                   after_write_or_access) {
  manual_clock clock;
  ttl_cache_options options = sized(100, 60s);
  if (std::is_same_v<TestType, after_write_or_access>) options.idle_ttl = 20s;
  int_cache<TestType> cache(options, clock);
  cache.put(1, 1);
  clock.advance(5s);
  cache.get(1);
  clock.advance(3s);
  CHECK(cache.explain(1).unused_for == 3s);
  if (std::is_same_v<TestType, after_write_or_access>) {
    for (int i = 0; i < 3; ++i) clock.advance(15s), cache.get(1);
    CHECK_FALSE(cache.explain(1).unused_for);  // the write ends it before
    CHECK(cache.explain(1).details.remaining_life == 7s);
  }
}

TEMPLATE_TEST_CASE("C13: explain names the queue of every stock policy", "[C13]", steered, w_tinylfu,
                   w_tinylfu_fixed<1>, s3_fifo, sieve, lru, fifo, unbounded) {
  manual_clock clock;
  int_cache<TestType, never> cache(sized(100), clock);
  for (int round = 0; round < 3; ++round) {
    for (int key = 0; key < 150; ++key) {
      if (!cache.get(key % 60)) cache.put(key % 60, 1);
      cache.put(key, key), cache.get(key);
    }
  }
  std::size_t live = 0;
  for (int key = 0; key < 150; ++key) {
    cache_explanation const e = cache.explain(key);
    if (e.state == entry_state::absent) continue;
    ++live;
    CHECK(e.details.remaining_life == std::chrono::nanoseconds::max());
    bool const ordered = !std::is_same_v<TestType, unbounded>;
    CHECK((*e.queue != 0) == ordered);
    CHECK(e.turn < TestType::turns);
    bool const counts = ordered && TestType::turns > 2;
    CHECK(e.frequency.has_value() == counts);
  }
  CHECK(live == cache.size());
}

TEST_CASE("C13: entries are explained by the keys that find them", "[C13]") {
  ttl_cache<std::string, int> cache({});
  cache.put("a", 1);
  CHECK(cache.explain(std::string_view("a")).state == entry_state::live);
  CHECK(cache.explain("b").state == entry_state::absent);
}

TEST_CASE("C7: explain that fails at any point has changed nothing", "[C7]") {
  CHECK(hold_to_the_strong_guarantee<fragile_cache<tagged>>(
            sized(100), 20, [](auto& cache) { cache.explain(fragile(3)); },
            [](auto& t) { return t.held() == t.before; }) > 2);
}
