// SPDX-License-Identifier: BSL-1.0
// A random walk of the guard beside the oracle: every answer, every count, after every step.
#include "stampede/common.hpp"
#include "stampede/oracle.hpp"
#include "support/environment.hpp"

#include <fmt/format.h>

#include <array>
#include <random>
#include <set>

namespace {

using half = tideover::refresh_after<std::ratio<1, 2>>;
struct lasting_error : std::runtime_error {
  lasting_error() : std::runtime_error("lasting") {}
};
bool may_pass(tideover::failure const& why) {
  try {
    if (why.cause) std::rethrow_exception(why.cause);
  } catch (lasting_error const&) {
    return false;
  } catch (...) {
  }
  return true;
}
using passing = tideover::retryable_if<bool (*)(tideover::failure const&)>;
using walked_store = tideover::ttl_cache<int, cached<int>, manual_clock, tideover::unbounded>;

/// What is wrong with the subject on purpose.
enum class seeded {
  nothing,
  ttl_a_nanosecond_longer,
  revalidates_longer,
  serves_errors_longer,
  rests_longer,
  refreshes_later,
  every_failure_may_pass,
  writes_around_the_guard,
  invalidates_around_the_guard,
  forgets_generations,
  clears_around_the_guard,
  runs_refreshes_at_once,
};

template <class Early>
class subject {
 public:
  using inline_guard = tideover::stampede_guard<walked_store, Early, tideover::constant_backoff, passing>;
  using queue_guard = tideover::stampede_guard<walked_store, Early, tideover::constant_backoff, passing,
                                               tideover::hand_driven>;

  subject(stampede_guard_options o, bool queues, seeded wrong) : wrong_(wrong) {
    if (wrong == seeded::ttl_a_nanosecond_longer) o.ttl += 1ns;
    if (wrong == seeded::revalidates_longer) o.stale_while_revalidate += 1ns;
    if (wrong == seeded::serves_errors_longer) o.stale_if_error += 1ns;
    tideover::constant_backoff const rest{std::chrono::nanoseconds(guard_oracle::rest) +
                                          (wrong == seeded::rests_longer ? 1ns : 0ns)};
    passing const p(wrong == seeded::every_failure_may_pass ? +[](tideover::failure const&) { return true; }
                                                            : &may_pass);
    if (queues && wrong != seeded::runs_refreshes_at_once) {
      queued_.emplace(sized(1000), o, clock, rest, p, queue);
    } else {
      inline_.emplace(sized(1000), o, clock, rest, p);
    }
  }

  manual_clock clock;
  tideover::hand_driven queue;

  template <class F>
  auto with(F f) {
    return queued_ ? f(*queued_) : f(*inline_);
  }

  observation ask(int key, computation_plan const& plan) {
    return with([&](auto& guard) {
      if (plan.how == ending::refill) {
        return observed(guard.try_serve(key, [this, key, plan]() -> cached<int> {
          run(key, plan);
          return {plan.value,
                  clock.now() - std::chrono::nanoseconds(plan.takes),
                  clock.now() + std::chrono::nanoseconds(plan.refill_soft),
                  clock.now() + std::chrono::nanoseconds(plan.refill_hard),
                  77ns,
                  0};
        }));
      }
      return observed(guard.try_serve(key, [this, key, plan] {
        run(key, plan);
        if (plan.how == ending::passing_failure) throw std::runtime_error("passing");
        if (plan.how == ending::lasting_failure) throw lasting_error();
        return plan.value;
      }));
    });
  }
  bool put(int key, int value, std::optional<std::int64_t> own) {
    tideover::put_options o;
    if (own) o.ttl = std::chrono::nanoseconds(*own);
    return with([&](auto& guard) {
      if (wrong_ == seeded::writes_around_the_guard) {
        auto const t = clock.now() + o.ttl.value_or(guard.configured().ttl);
        return guard.store().put(key, cached<int>{value, clock.now(), t, t, 0ns, guard.generation()});
      }
      return guard.put(key, value, o);
    });
  }
  void invalidate(int key) {
    with([&](auto& guard) {
      if (wrong_ == seeded::invalidates_around_the_guard) return guard.store().erase(key);
      return guard.invalidate(key);
    });
  }
  void clear() {
    with([&](auto& guard) {
      if (wrong_ == seeded::clears_around_the_guard) return guard.store().clear();
      guard.clear();
    });
  }
  void new_generation() {
    if (wrong_ == seeded::forgets_generations) return;
    with([](auto& guard) { return guard.new_generation(); });
  }
  guard_oracle::totals counted() {
    stampede_stats const s = with([](auto& guard) { return guard.stats(); });
    return {s.computations.miss,  s.computations.early,
            s.computations.stale, s.failed,
            s.rejected_writes,    s.stale_served.revalidate,
            s.stale_served.error, s.recursions,
            s.failed_fast,        s.refills,
            s.refresh_failures,   s.running};
  }

 private:
  static observation observed(tideover::result<tideover::served<int>> const& r) {
    if (r) return {to_string(r->how), r->value};
    if (r.code() == errc::recursive_computation) return {"recursive", 0};
    if (!r.error().cause) return {r.code().message(), 0};
    try {
      std::rethrow_exception(r.error().cause);
    } catch (tideover::error const& e) {
      return {e.code() == errc::recursive_computation ? "recursive" : e.what(), 0};
    } catch (std::exception const& e) {
      return {e.what(), 0};
    }
  }
  void run(int key, computation_plan const& plan) {
    computation_plan inner;
    inner.value = plan.other_value;
    auto const ask_inside = [&](int other) {
      if (ask(other, inner).what == "recursive") throw tideover::error(errc::recursive_computation, "inner");
    };
    switch (plan.meanwhile) {
      case disturbance::none:
        break;
      case disturbance::invalidate:
        invalidate(key);
        break;
      case disturbance::put:
        put(key, plan.other_value, std::nullopt);
        break;
      case disturbance::clear:
        clear();
        break;
      case disturbance::new_generation:
        new_generation();
        break;
      case disturbance::ask_itself:
        ask_inside(key);
        break;
      case disturbance::ask_another:
        ask_inside(plan.other_key);
    }
    clock.advance(std::chrono::nanoseconds(plan.takes));
  }

  seeded wrong_;
  std::optional<inline_guard> inline_;
  std::optional<queue_guard> queued_;
};

struct walk_end {
  std::string verdict;
  std::set<std::string> seen;
  guard_oracle::totals counted;
  std::size_t taken_over = 0, dropped = 0;
};

template <class Early>
walk_end walk(stampede_guard_options const& o, bool queues, std::size_t steps, std::uint64_t seed,
              seeded wrong) {
  subject<Early> real(o, queues, wrong);
  guard_oracle judge(o, queues, real.clock.now().ns);
  std::mt19937_64 random(seed);
  auto const below = [&](std::uint64_t n) { return static_cast<int>(random() % n); };
  constexpr int keys = 5;
  std::array const steps_in_time = {std::int64_t{0},
                                    std::int64_t{1},
                                    std::int64_t{500'000'000},
                                    std::int64_t{999'999'999},
                                    std::int64_t{1'000'000'000},
                                    std::int64_t{2'500'000'000},
                                    std::int64_t{5'000'000'000}};
  auto const some_time = [&] { return steps_in_time[std::size_t(below(steps_in_time.size()))]; };
  walk_end out;
  int value = 0;
  for (std::size_t step = 0; step < steps; ++step) {
    int const key = below(keys);
    int const what = below(100);
    std::string did;
    auto const differs = [&](auto const& got, auto const& expected, char const* of) {
      if (got == expected) return false;
      out.verdict = fmt::format("step {} ({}): {}", step, did, of);
      return true;
    };
    if (what < 60) {
      computation_plan plan;
      int const how = below(10);
      plan.how = how < 5   ? ending::value
                 : how < 7 ? ending::passing_failure
                 : how < 9 ? ending::lasting_failure
                           : ending::refill;
      plan.value = ++value;
      plan.takes = below(3) == 0 ? some_time() : 0;
      plan.meanwhile = below(4) == 0 ? static_cast<disturbance>(below(7)) : disturbance::none;
      plan.other_key = below(keys);
      plan.other_value = ++value;
      plan.refill_soft = some_time() - 1'000'000'000;
      plan.refill_hard = plan.refill_soft + some_time();
      did = fmt::format("ask {} how {} takes {} meanwhile {} other {}", key, int(plan.how), plan.takes,
                        int(plan.meanwhile), plan.other_key);
      observation const expected = judge.ask(key, plan);
      observation const got = real.ask(key, plan);
      out.seen.insert(expected.what);
      if (!(got == expected)) {
        out.verdict = fmt::format("step {} ({}): {} {} instead of {} {}", step, did, got.what, got.value,
                                  expected.what, expected.value);
        return out;
      }
    } else if (what < 80) {
      std::int64_t const by = some_time();
      judge.advance(by);
      real.clock.advance(std::chrono::nanoseconds(by));
    } else if (what < 86) {
      std::optional<std::int64_t> own;
      if (below(2) == 0) own = some_time();
      did = fmt::format("put {} for {}", key, own.value_or(-1));
      ++value;
      if (differs(real.put(key, value, own), judge.put(key, value, own), "put")) return out;
    } else if (what < 90) {
      did = fmt::format("invalidate {}", key);
      judge.invalidate(key);
      real.invalidate(key);
    } else if (what < 92) {
      std::int64_t const soft = some_time() - 1'000'000'000, hard = soft + some_time();
      did = fmt::format("adopt {} {} {}", key, soft, hard);
      bool const expected = judge.adopt(key, ++value, soft, hard);
      bool const got = real.with([&](auto& guard) {
        return guard.adopt(
            key, cached<int>{value, real.clock.now(), real.clock.now() + std::chrono::nanoseconds(soft),
                             real.clock.now() + std::chrono::nanoseconds(hard), 77ns, 0});
      });
      if (differs(got, expected, "adopt")) return out;
    } else if (what < 97) {
      did = "tick";
      judge.tick();
      real.queue.tick();
    } else if (what < 98) {
      did = "new_generation";
      judge.new_generation();
      real.new_generation();
    } else if (what < 99 && below(10) == 0) {
      did = "clear";
      judge.clear();
      real.clear();
    } else {
      did = fmt::format("get {}", key);
      if (differs(real.with([&](auto& guard) { return guard.get(key); }), judge.get(key), "get")) return out;
    }
    if (differs(real.clock.now().ns, judge.now(), "the time")) return out;
    if (differs(real.counted(), judge.counted, "the counts")) return out;
  }
  out.counted = judge.counted;
  out.taken_over = judge.taken_over;
  out.dropped = judge.dropped;
  return out;
}

stampede_guard_options walked_options(int which) {
  switch (which) {
    case 0:
      return living(4s, 2s, 6s);
    case 1:
      return living(4s, 6s, 2s);
    default:
      return living(5s, 0s, 0s);
  }
}

}  // namespace

TEST_CASE("S4: the guard does what the oracle says, refreshing inline and by a queue", "[model]") {
  std::size_t const steps = tideover_test::number_from("TIDEOVER_MODEL_STEPS", 120'000) / 6;
  std::uint64_t const seed = run_seed();
  for (bool const queues : {false, true}) {
    std::set<std::string> seen;
    guard_oracle::totals counted;
    for (int which = 0; which < 3; ++which) {
      auto const end =
          walk<half>(walked_options(which), queues, steps, seed + std::uint64_t(which), seeded::nothing);
      INFO("queues " << queues << " options " << which);
      REQUIRE(end.verdict == "");
      seen.insert(end.seen.begin(), end.seen.end());
      if (which == 0) counted = end.counted;
      // Every event has been met.
      if (queues && which == 1) {
        CHECK(end.taken_over + end.dropped > 0);
      }
    }
    CHECK(seen == std::set<std::string>{"fresh", "stale_while_revalidate", "computed", "stale_if_error",
                                        "passing", "lasting", "recursive"});
    for (std::uint64_t const n :
         {counted.miss, counted.early, counted.stale, counted.failed, counted.rejected, counted.revalidated,
          counted.error_served, counted.recursions, counted.failed_fast, counted.refills,
          counted.refresh_failures}) {
      CHECK(n > 0);
    }
  }
}

TEST_CASE("the guard's oracle catches each seeded bug", "[model]") {
  auto const caught = [](seeded wrong, bool queues) {
    return walk<half>(walked_options(0), queues, 20'000, 20'240'229, wrong).verdict;
  };
  CHECK(caught(seeded::nothing, true) == "");
  for (seeded const wrong :
       {seeded::ttl_a_nanosecond_longer, seeded::serves_errors_longer, seeded::rests_longer,
        seeded::every_failure_may_pass, seeded::writes_around_the_guard, seeded::invalidates_around_the_guard,
        seeded::forgets_generations, seeded::clears_around_the_guard}) {
    INFO("mistake " << int(wrong));
    CHECK(caught(wrong, false) != "");
    CHECK(caught(wrong, true) != "");
  }
  CHECK(caught(seeded::revalidates_longer, false) != "");
  CHECK(caught(seeded::runs_refreshes_at_once, true) != "");
  CHECK(walk<tideover::refresh_after<std::ratio<501, 1000>>>(walked_options(0), false, 20'000, 1,
                                                             seeded::nothing)
            .verdict != "");
}
