// SPDX-License-Identifier: BSL-1.0
// Would the oracle see a bug? Walks of subjects that have one each.
#include "breaker/walk.hpp"

namespace {
std::string walk_with(flaw f, oracle_rules rules, bool slow, std::size_t steps) {
  for (auto const& o : walk_options(slow)) {
    wayward_clock clock;
    auto flawed = rules;
    flawed.with = f;
    walked_oracle subject(o, flawed, clock), judge(o, rules, clock);
    auto const report = breaker_walk(subject, judge, clock, o, run_seed()).run(steps);
    if (!report.problem.empty()) return report.problem;
  }
  return {};
}
}  // namespace

TEST_CASE("the oracle finds no fault with itself") {
  CHECK(walk_with(flaw::none, {.trip = trips::in_a_row}, false, 5000).empty());
  CHECK(walk_with(flaw::none, {.trip = trips::over, .buckets = 5, .ramp_steps = 4}, true, 5000).empty());
}

TEST_CASE("the oracle finds each of ten seeded bugs") {
  for (int i = 1; i <= static_cast<int>(flaw::retry_after_missing); ++i) {
    INFO("flaw " << i);
    CHECK(!walk_with(static_cast<flaw>(i), {.trip = trips::in_a_row, .doubling = true, .limit = 60s}, false,
                     40'000)
               .empty());
  }
  CHECK(!walk_with(flaw::never_forgets, {.trip = trips::in_last, .last = 30}, true, 40'000).empty());
  CHECK(!walk_with(flaw::never_forgets, {.trip = trips::over, .buckets = 5}, true, 40'000).empty());
}
