// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/stampede_guard_options.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// The judge of the guard: what one thread must see, written from the contract and sharing no code with it.
/// Early refresh is by half of the TTL and backoff a constant, so that nothing is left to chance; refreshes
/// run inline, or wait in a queue until the walk says so.
namespace tideover_test {

/// What happens inside of a computation, before its time passes.
enum class disturbance { none, invalidate, put, clear, new_generation, ask_itself, ask_another };
enum class ending { value, passing_failure, lasting_failure, refill };

struct computation_plan {
  ending how = ending::value;
  int value = 0;
  std::int64_t takes = 0;  ///< ns
  disturbance meanwhile = disturbance::none;
  int other_key = 0;
  int other_value = 0;
  std::int64_t refill_soft = 0, refill_hard = 0;  ///< from the end of the computation, ns
};

/// What a call comes to, in words that both sides can say.
struct observation {
  std::string what;  ///< "fresh", "stale_while_revalidate", "computed", "stale_if_error", or why it failed
  int value = 0;
  friend bool operator==(observation const&, observation const&) = default;
};

class guard_oracle {
 public:
  static constexpr std::int64_t never_set = -1;

  guard_oracle(tideover::stampede_guard_options o, bool queues, std::int64_t start)
      : ttl_(o.ttl.count()),
        revalidate_(o.stale_while_revalidate.count()),
        if_error_(o.stale_if_error.count()),
        queues_(queues),
        now_(start) {}

  std::int64_t now() const { return now_; }
  void advance(std::int64_t by) { now_ += by; }
  static constexpr std::int64_t rest = 1'000'000'000;

  struct totals {
    std::uint64_t miss = 0, early = 0, stale = 0, failed = 0, rejected = 0, revalidated = 0, error_served = 0,
                  recursions = 0, failed_fast = 0, refills = 0, refresh_failures = 0, running = 0;
    friend bool operator==(totals const&, totals const&) = default;
  } counted;
  std::size_t taken_over = 0, dropped = 0;

  observation ask(int key, computation_plan const& plan) {
    std::optional<entry> const seen = held(key);
    age const a = age_of(seen);
    bool const is_early = a == age::fresh && plan.how != ending::refill &&
                          2 * (seen->soft - now_) <= std::min(ttl_, seen->soft - seen->created);
    if (a == age::fresh && !is_early) return {"fresh", seen->value};
    flight* running = flight_of(key);
    bool const usable = a == age::fresh || a == age::revalidate;
    if (running == nullptr) {
      auto const failing = resting_.find(key);
      bool const rests = failing != resting_.end() && now_ < failing->second.until;
      if (rests && usable) return as_it_is(*seen, a);
      if (rests) {
        ++counted.failed_fast;
        // As for who saw it fail.
        bool const passes = failing->second.why != "lasting";
        return a == age::stale && passes ? instead(*seen) : observation{failing->second.why, 0};
      }
      flight& mine = flights_.emplace_back(flight{next_id_++, key, generation_, a, false, false});
      ++counted.running;
      if (queues_ && usable) {
        mine.queued = true;
        queue_.push_back({mine.id, key, plan, seen ? seen->delta : 0});
        return as_it_is(*seen, a);
      }
      return lead(mine.id, key, plan, seen, true);
    }
    if (usable) return as_it_is(*seen, a);
    if (running->queued) {
      running->queued = false;
      ++taken_over;
      return lead(running->id, key, plan, seen, true);
    }
    ++counted.recursions;
    return {"recursive", 0};
  }

  /// Runs what is queued now.
  void tick() {
    for (std::size_t n = queue_.size(); n != 0; --n) {
      refresh const next = queue_.front();
      queue_.pop_front();
      flight* const f = by_id(next.id);
      if (f == nullptr || !f->queued) continue;  // taken over
      if (f->outdated || f->generation != generation_) {
        ++dropped;
        --counted.running;
        forget(next.id);
        continue;
      }
      f->queued = false;
      std::optional<entry> prior;
      if (next.delta != 0) prior = entry{0, 0, 0, 0, next.delta, 0};
      if (lead(next.id, next.key, next.plan, prior, false).what != "computed") ++counted.refresh_failures;
    }
  }

  bool put(int key, int value, std::optional<std::int64_t> own) {
    std::int64_t const life = own ? *own : ttl_;
    overtake(key);
    if (life <= 0) {
      entries_.erase(key);
      return false;
    }
    auto const before = held(key);
    entries_[key] = {value,
                     now_,
                     now_ + life,
                     now_ + life + std::max(revalidate_, if_error_),
                     before ? before->delta : 0,
                     generation_};
    return true;
  }
  bool adopt(int key, int value, std::int64_t soft, std::int64_t hard) {
    overtake(key);
    entries_.erase(key);
    if (hard <= 0) return false;
    entries_[key] = {value, now_, now_ + soft, now_ + hard, 77, generation_};
    return true;
  }
  void invalidate(int key) {
    overtake(key);
    entries_.erase(key);
  }
  void clear() {
    for (flight& f : flights_) f.outdated = true;
    resting_.clear();
    entries_.clear();
  }
  void new_generation() { ++generation_; }
  std::optional<int> get(int key) {
    auto const e = held(key);
    age const a = age_of(e);
    if (a == age::fresh || a == age::revalidate) return e->value;
    return std::nullopt;
  }

 private:
  enum class age { fresh, revalidate, stale, absent };
  struct entry {
    int value;
    std::int64_t created, soft, hard, delta;
    std::uint64_t generation;
  };
  struct flight {
    std::uint64_t id;
    int key;
    std::uint64_t generation;
    age purpose;
    bool outdated, queued;
  };
  struct refresh {
    std::uint64_t id;
    int key;
    computation_plan plan;
    std::int64_t delta;
  };
  struct failure_of {
    std::int64_t until;
    std::string why;
  };

  /// What the store still has: nothing that has died, nothing of an older generation.
  std::optional<entry> held(int key) const {
    auto const found = entries_.find(key);
    if (found == entries_.end() || now_ >= found->second.hard || found->second.generation != generation_) {
      return std::nullopt;
    }
    return found->second;
  }
  age age_of(std::optional<entry> const& e) const {
    if (!e || now_ >= e->hard || e->generation != generation_) return age::absent;
    if (now_ < e->soft) return age::fresh;
    return now_ < e->soft + revalidate_ ? age::revalidate : age::stale;
  }
  flight* by_id(std::uint64_t id) {
    for (flight& f : flights_)
      if (f.id == id) return &f;
    return nullptr;
  }
  void forget(std::uint64_t id) {
    flights_.erase(
        std::remove_if(flights_.begin(), flights_.end(), [&](flight const& f) { return f.id == id; }),
        flights_.end());
  }
  /// The flight that a new caller would join; outdated ones are nobody's to join.
  flight* flight_of(int key) {
    flight* found = nullptr;
    for (flight& f : flights_) {
      if (f.key == key && !f.outdated && f.generation == generation_) found = &f;
    }
    return found;
  }
  void overtake(int key) {
    for (flight& f : flights_) f.outdated = f.outdated || f.key == key;
    resting_.erase(key);
  }

  observation as_it_is(entry const& e, age a) {
    if (a == age::revalidate) ++counted.revalidated;
    return {a == age::revalidate ? "stale_while_revalidate" : "fresh", e.value};
  }
  observation instead(entry const& e) {
    ++counted.error_served;
    return {"stale_if_error", e.value};
  }

  observation lead(std::uint64_t id, int key, computation_plan const& plan, std::optional<entry> const& seen,
                   bool answers) {
    switch (by_id(id)->purpose) {
      case age::fresh:
        ++counted.early;
        break;
      case age::absent:
        ++counted.miss;
        break;
      default:
        ++counted.stale;
    }
    std::int64_t const began = now_;
    std::string const trouble = disturb(key, plan);
    if (trouble.empty()) now_ += plan.takes;
    flight const mine = *by_id(id);
    --counted.running;
    forget(id);
    std::string why = trouble;
    if (why.empty() && plan.how == ending::passing_failure) why = "passing";
    if (why.empty() && plan.how == ending::lasting_failure) why = "lasting";
    if (why.empty()) {
      if (plan.how == ending::refill) ++counted.refills;
      bool const refill = plan.how == ending::refill;
      if (mine.outdated) {
        ++counted.rejected;
      } else if (refill ? plan.refill_hard <= 0 : ttl_ <= 0) {
      } else if (mine.generation != generation_) {
        ++counted.rejected;
      } else if (refill) {
        entries_[key] = {plan.value, began,      now_ + plan.refill_soft, now_ + plan.refill_hard,
                         77,         generation_};
      } else {
        std::int64_t const measured = now_ - began;
        std::int64_t const before = seen ? seen->delta : 0;
        std::int64_t const delta =
            before <= 0 ? measured
                        : before + static_cast<std::int64_t>(0.2 * static_cast<double>(measured - before));
        entries_[key] = {plan.value, began,      now_ + ttl_, now_ + ttl_ + std::max(revalidate_, if_error_),
                         delta,      generation_};
      }
      resting_.erase(key);
      return {"computed", plan.value};
    }
    ++counted.failed;
    if (why != "recursive") resting_[key] = {now_ + rest, why};
    if (!answers) return {why, 0};
    age const a = age_of(seen);
    if (a == age::fresh || a == age::revalidate) {
      ++counted.refresh_failures;
      return as_it_is(*seen, a);
    }
    if (a == age::stale && why != "lasting") return instead(*seen);
    return {why, 0};
  }

  /// Why the computation fails by it, if it does.
  std::string disturb(int key, computation_plan const& plan) {
    computation_plan inner;
    inner.value = plan.other_value;
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
        if (ask(key, inner).what == "recursive") return "recursive";
        break;
      case disturbance::ask_another:
        if (ask(plan.other_key, inner).what == "recursive") return "recursive";
        break;
    }
    return "";
  }

  std::int64_t ttl_, revalidate_, if_error_;
  bool queues_;
  std::int64_t now_;
  std::uint64_t generation_ = 0;
  std::uint64_t next_id_ = 1;
  std::map<int, entry> entries_;
  std::map<int, failure_of> resting_;
  std::vector<flight> flights_;
  std::deque<refresh> queue_;
};

}  // namespace tideover_test
