// SPDX-License-Identifier: BSL-1.0
#include "cache/oracle.hpp"
#include "cache/toy_cache.hpp"
#include "cache/walk.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

using namespace tideover_test;

namespace {

/// What the oracle says of a toy cache with one mistake; the seed is fixed, so the answer is too.
std::string verdict_on(mistake wrong, oracle_rules const& rules) {
  tideover::ttl_cache_options options;
  options.capacity = 7;
  options.ttl = std::chrono::milliseconds(50);
  options.max_weight = rules.weigh ? 20 : 0;
  options.idle_ttl = std::chrono::milliseconds(rules.expiry == ages::after_write_or_access ? 20 : 0);
  tideover::manual_clock clock;
  toy_cache toy(wrong, rules, options, clock);
  oracle judge(rules, options, clock);
  walk_plan plan{};
  plan.steps = 4000;
  plan.seed = 20'240'229;
  plan.keys = 20;
  plan.max_capacity = rules.weigh ? 0 : 7;
  return walker(toy, judge, clock, plan).run();
}

oracle_rules weighed() {
  oracle_rules rules;
  rules.weigh = [](int key, std::int64_t value) { return static_cast<std::size_t>(key + value) % 23; };
  return rules;
}

/// Lives that the key and the value decide; some have none.
oracle_rules with_own_lives() {
  oracle_rules rules{.expiry = ages::per_entry};
  rules.live = [](int key, std::int64_t value) {
    return std::chrono::milliseconds((key + value) % 7 == 0 ? 0 : 10 + key * 5);
  };
  return rules;
}

}  // namespace

TEST_CASE("the oracle has nothing against a right cache", "[oracle]") {
  for (keeps const eviction : {keeps::lru, keeps::fifo, keeps::unbounded}) {
    for (ages const expiry :
         {ages::after_write, ages::after_access, ages::after_write_or_access, ages::never}) {
      CHECK(verdict_on(mistake::none, {.eviction = eviction, .expiry = expiry}) == "");
    }
  }
  CHECK(verdict_on(mistake::none, weighed()) == "");
  CHECK(verdict_on(mistake::none, with_own_lives()) == "");
}

TEST_CASE("the oracle catches each seeded bug, and says what it is", "[oracle]") {
  using texts = std::initializer_list<char const*>;  // which symptom comes first depends on the walk
  auto const blames = [](mistake wrong, texts symptoms, oracle_rules const& rules = {}) {
    std::string const verdict = verdict_on(wrong, rules);
    INFO("mistake " << int(wrong) << ": \"" << verdict << "\"");
    CHECK(std::any_of(symptoms.begin(), symptoms.end(),
                      [&](char const* text) { return verdict.find(text) != std::string::npos; }));
  };
  oracle_rules const access{.expiry = ages::after_access};

  blames(mistake::alive_on_the_deadline, {"found what is expired", "an expired entry left as"});
  blames(mistake::expires_early, {"live entry was not found", "expired before its deadline"});
  blames(mistake::access_revives, {"reading an expired entry left it resident"}, access);
  blames(mistake::own_ttl_ignored, {"live entry was not found", "found what is", "an expired entry left as"});
  blames(mistake::access_uses_default_ttl, {"live entry was not found", "expired before its deadline"},
         access);
  blames(mistake::evicts_the_newest, {"before key"});
  blames(mistake::peek_counts_as_use, {"before key"});
  blames(mistake::replacing_keeps_the_turn, {"before key"});
  blames(mistake::one_too_many, {"over capacity"});
  blames(mistake::evicts_before_need, {"although there was room"});
  blames(mistake::replacement_not_told, {"must leave once as replaced"});
  blames(mistake::eviction_told_twice,
         {"of what was not there", "although there was room", "one put evicted several"});
  blames(mistake::expired_told_as_evicted, {"an expired entry left as evicted"});
  blames(mistake::hits_off_by_one, {"stats.hits"});
  blames(mistake::weight_of_the_old_kept, {"weight is"}, weighed());
  blames(mistake::refused_put_leaves_the_old, {"must leave once as erased"});
  blames(mistake::failed_computation_stored, {"does not make", "size is"});
  blames(mistake::maintain_frees_nothing, {"expired long ago"});
  blames(mistake::erase_finds_the_expired, {"erased what was not there", "an expired entry left as erased"});
  blames(mistake::stale_value_returned, {"a wrong value"});

  oracle_rules const both{.expiry = ages::after_write_or_access};
  texts const wrong_life = {
      "live entry was not found", "found what is",           "expired before its deadline",
      "an expired entry left as", "refused a put that fits", "stored what must be",
      "expired long ago"};
  blames(mistake::use_outlives_the_write, wrong_life, both);
  blames(mistake::idle_time_ignored, wrong_life, both);
  blames(mistake::generations_ignored,
         {"found what is expired or was never there", "an entry of an older generation left as",
          "computed although", "must be called once on a miss", "left an entry of an older generation",
          "an expired entry was overwritten", "erased what was not there", "did not see each live entry"});
  blames(mistake::outdated_told_as_expired, {"an entry of an older generation left as expired"});
  blames(mistake::own_function_ignored, wrong_life, with_own_lives());
  blames(mistake::own_function_beats_the_put, wrong_life, with_own_lives());
}
