// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "cache/oracle.hpp"
#include "cache/walk.hpp"
#include "support/environment.hpp"
#include "support/event_log.hpp"

#include <tideover/policy/hashing.hpp>
#include <tideover/policy/weigher.hpp>
#include <tideover/ttl_cache.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

/// The real cache as the walks see it.
namespace tideover_test {

using walk_log = event_log<int, std::int64_t>;

/// Weights from 0 to 10, of which 7 makes a bound of 6 refuse.
struct some_weight {
  std::size_t operator()(int const& key, std::int64_t const& value) const {
    return static_cast<std::size_t>(key + value) % 11;
  }
};

/// Lives of every kind, from none to without end.
struct some_life {
  std::chrono::nanoseconds operator()(int const& key, std::int64_t const& value) const {
    switch ((key + value) % 9) {
      case 0:
        return std::chrono::nanoseconds(key % 2 == 0 ? 0 : -1);
      case 1:
        return std::chrono::nanoseconds(1);
      case 2:
        return std::chrono::milliseconds(1);
      case 3:
        return std::chrono::hours(24) * 3650;
      case 4:
        return std::chrono::nanoseconds::max();
      default:
        return std::chrono::milliseconds(20 + key % 60);
    }
  }
};

template <class... Policies>
using walked_cache = tideover::ttl_cache<int, std::int64_t, tideover::manual_clock, walk_log, Policies...>;

template <class Cache>
class subject final : public walked {
 public:
  /// The hash is seeded too: with one of its own in each run a failure could not be repeated.
  subject(tideover::ttl_cache_options options, tideover::manual_clock clock, std::uint64_t seed)
      : cache_(options, clock, log_, hashing_of(seed)) {}

  bool put(int key, std::int64_t value, std::optional<nanoseconds> ttl) override {
    tideover::put_options options;
    options.ttl = ttl;
    return cache_.put(key, value, options);
  }
  std::optional<std::int64_t> get(int key) override { return cache_.get(key); }
  std::optional<std::int64_t> peek(int key) override { return std::as_const(cache_).peek(key); }
  bool contains(int key) override { return std::as_const(cache_).contains(key); }
  bool visit(int key, std::function<void(std::int64_t const&)> const& visitor) override {
    return cache_.visit(key, visitor);
  }
  bool erase(int key) override { return cache_.erase(key); }
  std::int64_t get_or_compute(int key, std::function<std::int64_t()> const& compute) override {
    return cache_.get_or_compute(key, compute);
  }
  void clear() override { cache_.clear(); }
  void new_generation() override { cache_.new_generation(); }
  std::size_t erase_if(std::function<bool(int const&, std::int64_t const&)> const& condition) override {
    return cache_.erase_if(condition);
  }
  void for_each(std::function<void(int const&, std::int64_t const&)> const& f) override {
    cache_.for_each(f);
  }
  std::size_t maintain() override { return cache_.maintain(); }
  void set_capacity(std::size_t n) override {
    if constexpr (!Cache::weigher_type::weighs) cache_.set_capacity(n);
  }
  std::size_t size() override { return cache_.size(); }
  std::size_t weight() override { return cache_.weight(); }
  tideover::cache_stats stats() override { return cache_.stats(); }
  departures drain() override {
    departures all;
    for (auto const& event : log_.take()) all.push_back({event.key, event.value, translated(event.cause)});
    return all;
  }

 private:
  using hashing = typename Cache::hashing_type;

  static hashing hashing_of(std::uint64_t seed) {
    if constexpr (std::is_same_v<hashing, tideover::seeded_hash>) {
      return tideover::seeded_hash(seed);
    } else {
      return hashing();
    }
  }

  static left translated(tideover::removal_cause cause) {
    switch (cause) {
      case tideover::removal_cause::expired:
        return left::expired;
      case tideover::removal_cause::evicted:
        return left::evicted;
      case tideover::removal_cause::replaced:
        return left::replaced;
      case tideover::removal_cause::erased:
        return left::erased;
      case tideover::removal_cause::cleared:
        return left::cleared;
    }
    return left::cleared;
  }

  walk_log log_;
  Cache cache_;
};

/// Steps of one walk. The default keeps a debug build quick and still takes each eviction policy and each
/// expiry policy beyond 100,000 steps over all their combinations.
inline std::size_t model_steps() {
#ifdef NDEBUG
  constexpr std::uint64_t otherwise = 100'000;
#else
  constexpr std::uint64_t otherwise = 30'000;
#endif
  return std::size_t(number_from("TIDEOVER_MODEL_STEPS", otherwise));
}

/// What a set of walks of one cache came to.
struct walk_report {
  std::string problem;
  oracle_tally tally;
};

/// Walks one type of cache at several small capacities, the steps shared among them.
template <class Cache>
walk_report walk_small(oracle_rules rules, std::size_t max_weight = 0) {
  walk_report report;
  std::size_t const capacities[] = {1, 2, 7, 64};
  for (std::size_t const capacity : capacities) {
    tideover::ttl_cache_options options;
    options.capacity = capacity;
    options.ttl = std::chrono::milliseconds(50);
    options.max_weight = max_weight;
    if (rules.expiry == ages::after_write_or_access) options.idle_ttl = std::chrono::milliseconds(20);
    tideover::manual_clock clock;
    subject<Cache> under_test(options, clock, run_seed());
    oracle judge(rules, options, clock);
    walk_plan plan{};
    plan.steps = model_steps() / std::size(capacities);
    plan.seed = run_seed() + capacity;
    plan.keys = int(capacity * 3 + 2);
    plan.max_capacity = rules.weigh ? 0 : capacity;
    plan.totals_every = 1;
    report.problem = walker(under_test, judge, clock, plan).run();
    report.tally += judge.tally();
    if (!report.problem.empty()) {
      report.problem = "capacity " + std::to_string(capacity) + ", " + report.problem;
      break;
    }
  }
  return report;
}

}  // namespace tideover_test
