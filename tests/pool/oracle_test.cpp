// SPDX-License-Identifier: BSL-1.0
// Would the oracle see a bug? Walks of oracles that have one each.
#include "pool/walk.hpp"
#include "support/catch.hpp"

namespace {
using namespace tideover_test;
std::string walk_with(pool_flaw f, oracle_rules rules, std::size_t pools) {
  for (std::size_t n = 0; n < pools; ++n) {
    for (auto const& o : walk_options()) {
      oracle_rules flawed = rules;
      flawed.flaw = f;
      pool_oracle subject(o, flawed), judge(o, rules);
      auto const report = walk(subject, judge, o, true, run_seed() + n, 4'000);
      if (!report.problem.empty()) return report.problem;
    }
  }
  return {};
}
}  // namespace

TEST_CASE("the oracle finds no fault with itself") {
  CHECK(walk_with(pool_flaw::none, {.backoff = 40ms}, 3).empty());
  CHECK(walk_with(pool_flaw::none, {true, true, false, 40ms}, 3).empty());
}

TEST_CASE("the oracle finds each of fifteen seeded bugs") {
  for (int i = 1; i < static_cast<int>(pool_flaw::count_); ++i) {
    INFO("flaw " << i);
    CHECK(!walk_with(static_cast<pool_flaw>(i), {.backoff = 40ms}, 20).empty());
  }
}
