// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "cache/oracle.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

/// Random walks: a subject (the real cache, or a toy with seeded bugs) and the oracle go through the same
/// operations on one manual clock; after each step the oracle judges.
namespace tideover_test {

struct walk_plan {
  std::size_t steps;
  std::uint64_t seed;
  int keys;                      ///< keys are 0 .. keys - 1
  std::size_t max_capacity;      ///< set_capacity goes up to here; 0: never called
  bool calm = false;             ///< nothing that empties it and no leap in time: a large cache stays full
  std::size_t totals_every = 1;  ///< steps between two looks at size and stats
};

/// Thrown by the walk's own computations.
struct walk_failure : std::exception {};

/// What is walked. Virtual, so that the walk itself is compiled once and not for each of many caches.
class walked {
 public:
  using nanoseconds = std::chrono::nanoseconds;

  walked() = default;
  walked(walked const&) = delete;
  walked& operator=(walked const&) = delete;
  virtual ~walked() = default;

  virtual bool put(int key, std::int64_t value, std::optional<nanoseconds> ttl) = 0;
  virtual std::optional<std::int64_t> get(int key) = 0;
  virtual std::optional<std::int64_t> peek(int key) = 0;
  virtual bool contains(int key) = 0;
  virtual bool visit(int key, std::function<void(std::int64_t const&)> const& visitor) = 0;
  virtual bool erase(int key) = 0;
  virtual std::int64_t get_or_compute(int key, std::function<std::int64_t()> const& compute) = 0;
  virtual void clear() = 0;
  virtual void new_generation() = 0;
  virtual std::size_t erase_if(std::function<bool(int const&, std::int64_t const&)> const& condition) = 0;
  virtual void for_each(std::function<void(int const&, std::int64_t const&)> const& f) = 0;
  virtual std::size_t maintain() = 0;
  virtual void set_capacity(std::size_t n) = 0;
  virtual std::size_t size() = 0;
  virtual std::size_t weight() = 0;
  virtual tideover::cache_stats stats() = 0;
  /// What the listener heard since it was last asked.
  virtual departures drain() = 0;
};

class walker {
 public:
  walker(walked& subject, oracle& judge, tideover::manual_clock clock, walk_plan plan)
      : subject_(subject), judge_(judge), clock_(std::move(clock)), plan_(plan), random_(plan.seed) {}

  /// Empty, or what went wrong, at which step and with which seed.
  std::string run() {
    for (std::size_t step = 1; step <= plan_.steps; ++step) {
      std::string problem = one_step();
      if (problem.empty() && step % plan_.totals_every == 0)
        problem = judge_.judge_totals(subject_.size(), subject_.weight(), subject_.stats());
      if (problem.empty()) continue;
      return "step " + std::to_string(step) + ", " + doing_ + ": " + problem + " (seed " +
             std::to_string(plan_.seed) + ")";
    }
    return {};
  }

 private:
  using nanoseconds = std::chrono::nanoseconds;

  std::uint64_t below(std::uint64_t n) { return random_() % n; }

  std::string one_step() {
    int const key = int(below(std::uint64_t(plan_.keys)));
    std::uint64_t const dice = below(1000);
    if (dice < 230) return put(key, std::nullopt);
    if (dice < 290) return put(key, some_ttl());
    if (dice < 510) return get(key);
    if (dice < 550) return peek(key);
    if (dice < 590) return contains(key);
    if (dice < 650) return visit(key);
    if (dice < 700) return erase(key);
    if (dice < 805) return compute(key, false, nanoseconds(0));
    if (dice < 815) return compute(key, true, nanoseconds(0));
    if (dice < 825) return compute(key, below(4) == 0, nanoseconds(below(40'000'000)));
    if (dice < 837) return maintain();
    if (dice < 840) return erase_if();
    if (dice < 843) return for_each();
    if (dice < 846) return set_capacity();
    if (dice < 847) return clear();
    if (dice < 850) return new_generation();
    return let_time_pass();
  }

  std::string put(int key, std::optional<nanoseconds> ttl) {
    doing_ = "put " + std::to_string(key) + (ttl ? " for " + std::to_string(ttl->count()) + " ns" : "");
    std::int64_t const value = next_value_++;
    bool const stored = subject_.put(key, value, ttl);
    return judge_.judge_put(key, value, ttl, stored, subject_.drain());
  }
  std::string get(int key) {
    doing_ = "get " + std::to_string(key);
    auto const got = subject_.get(key);
    return judge_.judge_get(key, got, subject_.drain());
  }
  std::string peek(int key) {
    doing_ = "peek " + std::to_string(key);
    auto const got = subject_.peek(key);
    return judge_.judge_peek(key, got, subject_.drain());
  }
  std::string contains(int key) {
    doing_ = "contains " + std::to_string(key);
    bool const found = subject_.contains(key);
    return judge_.judge_contains(key, found, subject_.drain());
  }
  std::string visit(int key) {
    doing_ = "visit " + std::to_string(key);
    std::optional<std::int64_t> seen;
    bool const found = subject_.visit(key, [&](std::int64_t const& value) { seen = value; });
    return judge_.judge_visit(key, found, seen, subject_.drain());
  }
  std::string erase(int key) {
    doing_ = "erase " + std::to_string(key);
    bool const erased = subject_.erase(key);
    return judge_.judge_erase(key, erased, subject_.drain());
  }
  std::string compute(int key, bool fails, nanoseconds takes) {
    doing_ = "get_or_compute " + std::to_string(key) + (fails ? " (throws)" : "") + " taking " +
             std::to_string(takes.count()) + " ns";
    tideover::instant const start = clock_.now();
    std::int64_t const value = next_value_++;
    std::size_t calls = 0;
    std::optional<std::int64_t> got;
    try {
      got = subject_.get_or_compute(key, [&] {
        ++calls;
        if (takes.count() > 0) clock_.advance(takes);
        if (fails) throw walk_failure();
        return value;
      });
    } catch (walk_failure const&) {
    }
    auto const computed = calls != 0 && !fails ? std::optional(value) : std::nullopt;
    return judge_.judge_compute(key, start, calls, computed, got, subject_.drain());
  }
  std::string maintain() {
    doing_ = "maintain";
    std::size_t const freed = subject_.maintain();
    return judge_.judge_maintain(freed, subject_.drain());
  }
  std::string erase_if() {
    doing_ = "erase_if";
    std::int64_t const rest = std::int64_t(below(3));
    auto const condition = [rest](int key, std::int64_t value) { return (key + value) % 3 == rest; };
    std::vector<std::pair<int, std::int64_t>> asked;
    std::size_t const erased = subject_.erase_if([&](int const& key, std::int64_t const& value) {
      asked.emplace_back(key, value);
      return condition(key, value);
    });
    return judge_.judge_erase_if(condition, asked, erased, subject_.drain());
  }
  std::string for_each() {
    doing_ = "for_each";
    std::vector<std::pair<int, std::int64_t>> seen;
    subject_.for_each([&](int const& key, std::int64_t const& value) { seen.emplace_back(key, value); });
    return judge_.judge_for_each(seen, subject_.drain());
  }
  std::string set_capacity() {
    if (plan_.max_capacity == 0) return {};
    std::size_t const capacity = below(3) == 0 ? plan_.max_capacity : 1 + below(plan_.max_capacity);
    doing_ = "set_capacity " + std::to_string(capacity);
    subject_.set_capacity(capacity);
    return judge_.judge_set_capacity(capacity, subject_.drain());
  }
  std::string clear() {
    if (plan_.calm) return {};
    doing_ = "clear";
    subject_.clear();
    return judge_.judge_clear(subject_.drain());
  }

  std::string new_generation() {
    if (plan_.calm) return {};
    doing_ = "new_generation";
    subject_.new_generation();
    return judge_.judge_new_generation(subject_.drain());
  }

  /// Mostly small steps; often onto a deadline or one nanosecond before or after it; now and then far ahead,
  /// but so that 10^6 steps stay within 200 years.
  std::string let_time_pass() {
    std::uint64_t const dice = below(100);
    if (plan_.calm) {
      tideover::instant const next = judge_.next_deadline();
      if (dice < 10 && next > clock_.now()) clock_.set(next);
      if (dice >= 10) clock_.advance(nanoseconds(below(400'000)));
    } else if (dice < 45) {
      tideover::instant const deadline = judge_.some_deadline(below(1000));
      tideover::instant const aim = deadline + nanoseconds(int(below(3)) - 1);
      constexpr std::int64_t day = 86'400'000'000'000;
      if (aim > clock_.now() && aim.ns - clock_.now().ns < day) clock_.set(aim);
    } else if (dice < 60) {
      clock_.advance(nanoseconds(below(3)));
    } else if (dice < 98) {
      clock_.advance(nanoseconds(below(20'000'000)));
    } else if (below(10) != 0) {
      clock_.advance(std::chrono::seconds(below(3600)));
    } else {
      clock_.advance(std::chrono::hours(24) * int(below(10)));
    }
    return {};
  }

  nanoseconds some_ttl() {
    switch (below(9)) {
      case 0:
        return nanoseconds(0);
      case 1:
        return nanoseconds(-5);
      case 2:
        return nanoseconds(1);
      case 3:
        return nanoseconds(1 << 20);
      case 4:
        return std::chrono::milliseconds(1 + below(60));
      case 5:
        return std::chrono::seconds(1 + below(100));
      case 6:
        return std::chrono::hours(24) * 3650;
      case 7:
        return nanoseconds::max();
      default:
        return nanoseconds(1 + below(30'000'000));
    }
  }

  walked& subject_;
  oracle& judge_;
  tideover::manual_clock clock_;
  walk_plan plan_;
  std::mt19937_64 random_;
  std::int64_t next_value_ = 1;
  std::string doing_;
};

}  // namespace tideover_test
