// SPDX-License-Identifier: BSL-1.0
#include "cache/subject.hpp"
#include "support/catch.hpp"

#include <tideover/policy/eviction/lru.hpp>
#include <tideover/policy/expiry/after_access.hpp>
#include <tideover/policy/expiry/after_write.hpp>
#include <tideover/policy/expiry/after_write_or_access.hpp>
#include <tideover/policy/locking.hpp>

using namespace tideover_test;

namespace {

template <class Expiry>
void check_walk(ages expiry) {
  using cache = walked_cache<tideover::lru, Expiry, tideover::sharded<16>>;
  tideover::ttl_cache_options options;
  options.capacity = 3 * 2048 + 17;  // shards come with 2048 entries each, and this does not divide evenly
  options.ttl = std::chrono::seconds(1);
  if (expiry == ages::after_write_or_access) options.idle_ttl = std::chrono::milliseconds(300);
  tideover::manual_clock clock;
  subject<cache> under_test(options, clock, run_seed());
  oracle judge({.expiry = expiry, .one_shard = false}, options, clock);
  // Filled first: a walk alone would take most of its steps to come to the capacity.
  for (int key = 0; key < 7000; ++key) {
    bool const stored = under_test.put(key, -key, std::nullopt);
    REQUIRE(judge.judge_put(key, -key, std::nullopt, stored, under_test.drain()) == "");
  }
  walk_plan plan{};
  plan.steps = model_steps();
  plan.seed = run_seed();
  plan.keys = 9000;
  plan.calm = true;
  plan.totals_every = 16;
  std::string const problem = walker(under_test, judge, clock, plan).run();
  INFO(problem);
  CHECK(problem.empty());
  CHECK(judge.tally().evicted > 0);
  CHECK(judge.tally().hits > 0);
}

}  // namespace

// Which of the shards is full, and so who must go, is the cache's own affair; all else is judged.
TEST_CASE("a random walk over several shards agrees with the oracle", "[model]") {
  check_walk<tideover::after_write>(ages::after_write);
  check_walk<tideover::after_access>(ages::after_access);
  check_walk<tideover::after_write_or_access>(ages::after_write_or_access);
}
