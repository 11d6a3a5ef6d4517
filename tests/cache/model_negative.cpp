// SPDX-License-Identifier: BSL-1.0
#include "cache/common.hpp"
#include "cache/naive_negative.hpp"
#include "cache/subject.hpp"

#include <tideover/policy/negative.hpp>

#include <random>

namespace {

struct gives_up : std::exception {};

template <class Expiry, class Locking>
struct negative_walk {
  static constexpr bool renews = std::is_same_v<Expiry, tideover::after_access>;
  using cache_type = tideover::ttl_cache<int, std::int64_t, manual_clock, tideover::unbounded, Expiry,
                                         Locking, tideover::negative_results>;
  using maybe = std::optional<std::int64_t>;

  static tideover::ttl_cache_options options() {
    tideover::ttl_cache_options o = sized(64, 50ms);
    o.negative_ttl = 15ms;
    return o;
  }

  std::mt19937_64 random;
  manual_clock clock{};
  cache_type cache{options(), clock};
  naive_negative judge{options(), renews, clock};
  std::int64_t next_value = 1;
  std::size_t nothings = 0, overruled = 0, failures = 0;

  std::uint64_t below(std::uint64_t n) { return random() % n; }

  bool step() {
    int const key = static_cast<int>(below(24));
    switch (below(12)) {
      case 0: {
        std::optional<std::chrono::nanoseconds> ttl;
        if (below(3) == 0) ttl = std::chrono::nanoseconds(below(4) == 0 ? 0 : below(30'000'000));
        judge.put(key, next_value, ttl);
        tideover::put_options o;
        o.ttl = ttl;
        return cache.put(key, next_value++, o) == (!ttl || ttl->count() > 0);
      }
      case 1:
        return cache.erase(key) == judge.erase(key);
      case 2:
        return cache.get(key) == judge.get(key);
      case 3:
        return cache.peek(key) == judge.peek(key) && cache.contains(key) == judge.peek(key).has_value();
      case 4: {
        maybe seen;
        bool const found = cache.visit(key, [&](std::int64_t const& v) { seen = v; });
        return seen == judge.get(key) && found == seen.has_value();
      }
      case 5:
        cache.maintain();
        return cache.size() >= judge.resident(0ns) &&
               cache.size() <= judge.resident(std::chrono::nanoseconds(1 << 20));
      case 6:
        if (below(100) == 0) cache.clear(), judge.clear();
        return true;
      case 7:
      case 8:
        let_time_pass();
        return true;
      case 9:
        return compute(key, false);
      default:
        return compute(key, true);
    }
  }

  bool compute(int key, bool may_find_nothing) {
    bool const must = judge.must_compute(key, may_find_nothing);
    bool const fails = below(8) == 0;
    bool const changes = below(16) == 0;  // the key is erased while the function runs
    maybe const value = may_find_nothing && below(2) == 0 ? maybe() : maybe(next_value++);
    bool called = false, threw = false;
    auto const work = [&] {
      called = true;
      if (changes) judge.erase(key), cache.erase(key);
      if (below(8) == 0) clock.advance(std::chrono::nanoseconds(below(20'000'000)));
      if (fails) throw gives_up();
    };
    maybe got;
    try {
      if (may_find_nothing) {
        got = cache.get_or_compute(key, [&]() -> maybe { return work(), value; });
      } else {
        if (must && !judge.must_compute(key, true)) ++overruled;
        got = cache.get_or_compute(key, [&]() -> std::int64_t { return work(), *value; });
      }
    } catch (gives_up const&) {
      threw = true;
    }
    if (called != must || threw != (must && fails)) return false;
    if (!must) return got == judge.known(key);
    if (threw) return ++failures, judge.failed(), true;
    if (!value) ++nothings;
    if (changes) {
      judge.failed();  // delivered and not stored
    } else {
      judge.computed(key, value);
    }
    return got == value;
  }

  void let_time_pass() {
    if (below(2) == 0) {
      tideover::instant const aim =
          judge.some_deadline(below(64)) + std::chrono::nanoseconds(int(below(3)) - 1);
      if (aim > clock.now() && aim - clock.now() < 1s) clock.set(aim);
    } else {
      clock.advance(std::chrono::nanoseconds(below(4'000'000)));
    }
  }

  bool counts_agree() {
    auto const s = cache.stats();
    return s.hits == judge.hits && s.misses == judge.misses && s.negative_hits == judge.negative_hits &&
           adds_up(s);
  }
};

}  // namespace

TEMPLATE_TEST_CASE("C6: a random walk of negative results agrees with a naive oracle", "[model]",
                   (negative_walk<tideover::after_write, tideover::single_threaded>),
                   (negative_walk<tideover::after_access, tideover::single_threaded>),
                   (negative_walk<tideover::after_write, tideover::sharded<>>),
                   (negative_walk<tideover::after_access, tideover::sharded<>>)) {
  TestType walk{std::mt19937_64(run_seed())};
  for (std::size_t i = 0; i < model_steps(); ++i) {
    INFO("step " << i << " seed " << run_seed());
    if (!walk.step()) FAIL("they disagree");
    if (i % 16 == 0 && !walk.counts_agree()) FAIL("the counts disagree");
  }
  if (model_steps() < 4000) return;
  CHECK(walk.nothings > 0);
  CHECK(walk.overruled > 0);
  CHECK(walk.failures > 0);
  CHECK(walk.judge.negative_hits > 0);
}
