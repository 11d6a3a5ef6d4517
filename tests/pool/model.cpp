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

TEST_CASE("P6: a thousand waiters on ten objects: in order, none past its deadline, none lost") {
  using subject_type = walked_machine<machinery::pool_stack_store, machinery::pool_rules<false, true>>;
  subject_type pool({.max_size = 10,
                     .max_idle_time = 0s,
                     .max_lifetime = 0s,
                     .validate_after_idle = -1ns,
                     .max_connecting = 10},
                    40ms);
  instant now = instant::at(1h);
  constexpr int all = 1'000;
  std::vector<instant> until{now};
  for (int t = 1; t <= all; ++t) {
    until.push_back(now + std::chrono::milliseconds(t % 3 == 0 ? 20 : 10'000));
    pool.acquire(t, 1, until.back(), now);
  }
  for (int n = 1; pool.jobs() != 0; ++n) pool.opened(pool.claim(n).number, now);
  int last = 0;
  std::size_t granted = 0, late = 0, wrong = 0;
  for (bool more = true; more; now = now + 1ms) {
    auto const ended = std::exchange(pool.ended, {});
    more = !ended.empty();
    for (auto const& e : ended) {
      if (e.how == "granted") {
        ++granted;
        // Settled a step ago, when it was a millisecond earlier.
        if (e.ticket <= std::exchange(last, e.ticket) ||
            until[static_cast<std::size_t>(e.ticket)] <= now - 1ms)
          ++wrong;
      } else if (e.how == "timed_out") {
        ++late;
        if (until[static_cast<std::size_t>(e.ticket)] > now) ++wrong;
      }
    }
    for (auto const& e : ended) {
      for (int id : e.objects) pool.give_back(id, false, false, now);
    }
  }
  CHECK(wrong == 0);
  CHECK(granted + late == all);
  CHECK(late > 100);
  CHECK(pool.stats().created == 10);
  CHECK(pool.stats().waiting == 0);
}
