// SPDX-License-Identifier: BSL-1.0
#include "pool/walk.hpp"
#include "support/catch.hpp"

namespace {
using namespace tideover_test;
template <class Store, bool Barging, bool Drops>
void walk_all(bool oldest_first) {
  using rules = machinery::pool_rules<Barging, Drops>;
  std::size_t const steps = number_from("TIDEOVER_MODEL_STEPS", 100'000) / 3;
  std::map<std::string, std::size_t> seen;
  std::size_t fast = 0;
  constexpr std::size_t length = 5'000;  // then another pool
  for (auto const& o : walk_options()) {
    for (std::size_t done = 0, n = 0; done < steps; done += length, ++n) {
      auto const seed = run_seed() + n;
      walked_machine<Store, rules> subject(o, 40ms);
      pool_oracle judge(o, {oldest_first, Barging, Drops, 40ms});
      auto const report = walk(subject, judge, o, true, seed, std::min(length, steps));
      INFO("seed " << seed);
      INFO("min_size " << o.min_size << " count_closing " << o.count_closing);
      REQUIRE(report.problem == "");
      for (auto const& [what, times] : report.seen) seen[what] += times;
      fast += std::min(subject.fast_takes, subject.fast_puts);
    }
  }
  if (steps < 5'000) return;
  for (char const* what :
       {"acquire",   "acquire_n",  "try_acquire",   "return",     "discard",  "late",
        "cancel",    "claim",      "opened",        "failed",     "checked",  "check_failed",
        "destroyed", "tick",       "reconfigure",   "invalidate", "warm",     "granted",
        "timed_out", "queue_full", "factory_error", "invalid",    "lifetime", "idle",
        "surplus",   "shrunk",     "discarded",     "close",      "closed"}) {
    INFO(what);
    CHECK(seen[what] > 0);
  }
  CHECK((fast > 0) == Store::is_fast);
}
}  // namespace

TEST_CASE("model: the stack of idle objects, beside the oracle") {
  walk_all<machinery::pool_stack_store, false, true>(false);
}
TEST_CASE("model: checks of suspects, newcomers that pass") {
  walk_all<machinery::pool_stack_store, true, false>(false);
}
TEST_CASE("model: the oldest first, under the lock") {
  walk_all<machinery::pool_locked_store<true>, false, true>(true);
}
