// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "stampede/common.hpp"

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <vector>

/// A cache with one computation per key as people write it, each time with one of the mistakes that were made
/// in libraries that many use. The tests of the bug classes run on it as a control: each must notice its
/// mistake.
namespace tideover_test {

enum class flaw {
  none,
  waiters_forgotten_on_exception,
  waiters_forgotten_on_unwinding,
  failure_told_as_success,
  leaders_token_cancels_all,
  waiters_leaving_ends_the_flight,
  dropped_task_keeps_the_key,
  waits_have_no_end,
  key_locks_by_slot,
  stale_ttl_leaks,
  stale_value_withheld,
  no_rest_after_failure,
  stuck_refresh_serves_forever,
  late_result_overwrites,
  no_second_look,
  locks_pile_up,
  erased_by_key,
};

using computing = std::function<int(std::stop_token)>;

/// What a scenario asks of either.
struct asked {
  std::optional<int> value;
  std::error_code code{};
};

class naive_guard {
 public:
  naive_guard(flaw f, manual_clock const& time) : clock(time), flaw_(f) {}

  manual_clock clock;

  asked ask(int key, computing const& compute, tideover::deadline const& until = {}) {
    if (flaw_ == flaw::key_locks_by_slot) {
      // A lock for each of a few slots, held while computing.
      std::unique_lock slot(slots_[std::size_t(key) % 2], std::try_to_lock);
      if (!slot.owns_lock()) return {std::nullopt, errc::timed_out};  // it would wait, perhaps for itself
      return obtain(key, compute, until);
    }
    return obtain(key, compute, until);
  }

  void put(int key, int value) {
    std::lock_guard lock(mutex_);
    write(key, value, ttl);
  }
  void invalidate(int key) {
    std::lock_guard lock(mutex_);
    entries_.erase(key);
    auto const running = calls_.find(key);
    if (running == calls_.end()) return;
    if (flaw_ != flaw::late_result_overwrites) running->second->outdated = true;
    calls_.erase(running);
  }
  /// A refresh that an executor is to run, which the executor then throws away.
  void refresh_and_drop(int key) {
    std::lock_guard lock(mutex_);
    if (flaw_ == flaw::dropped_task_keeps_the_key) calls_[key] = std::make_shared<call>();
  }
  std::size_t locks() {
    std::lock_guard lock(mutex_);
    return locks_.size() + calls_.size();
  }
  /// As if the caller had looked before another refreshed: with the old entry in hand.
  asked ask_late(int key, computing const& compute, std::function<void()> const& meanwhile) {
    meanwhile();
    std::unique_lock lock(mutex_);
    auto const found = entries_.find(key);
    if (flaw_ != flaw::no_second_look && found != entries_.end() && clock.now() < found->second.soft) {
      return {found->second.value};
    }
    lock.unlock();
    return lead(key, compute, std::make_shared<call>(), {}, std::nullopt);
  }

  static constexpr auto ttl = 10s;
  static constexpr auto revalidate = 5s;
  static constexpr auto if_error = 60s;

 private:
  struct entry {
    int value;
    tideover::instant soft, hard;
  };
  struct call {
    bool done = false, failed = false, outdated = false, cancelled = false;
    int value = 0;
    std::error_code why{};
    std::condition_variable changed;
  };

  void write(int key, int value, std::chrono::nanoseconds life) {
    entries_[key] = {value, clock.now() + life, clock.now() + life + if_error};
  }

  asked obtain(int key, computing const& compute, tideover::deadline const& until) {
    std::unique_lock lock(mutex_);
    if (flaw_ == flaw::locks_pile_up) locks_.insert(key);
    auto const t = clock.now();
    std::optional<entry> seen;
    if (auto const found = entries_.find(key); found != entries_.end()) seen = found->second;
    if (seen && t < seen->soft) return {seen->value};
    auto const running = calls_.find(key);
    bool const old_enough = seen && t < seen->soft + revalidate;
    if (seen && running != calls_.end() && (old_enough || flaw_ == flaw::stuck_refresh_serves_forever)) {
      return {seen->value};
    }
    if (seen && t >= seen->hard) seen.reset();
    if (running == calls_.end()) {
      if (auto const rests = resting_.find(key); rests != resting_.end() && t < rests->second) {
        if (seen && flaw_ != flaw::stale_value_withheld) return {seen->value};
        return {std::nullopt, errc::computation_failed};
      }
      auto const mine = calls_[key] = std::make_shared<call>();
      lock.unlock();
      return lead(key, compute, mine, until.stop, seen);
    }
    std::shared_ptr<call> const other = running->second;
    lock.unlock();
    // With the mutex, or it would be told before it waits; and gone after the mutex, which it may be waiting
    // for.
    std::stop_callback const on_stop(until.stop, [&] {
      { std::lock_guard turn(mutex_); }
      other->changed.notify_all();
    });
    std::unique_lock again(mutex_);
    while (!other->done) {
      if (until.stop.stop_requested()) {
        if (flaw_ == flaw::waiters_leaving_ends_the_flight) calls_.erase(key);
        return {std::nullopt, errc::cancelled};
      }
      bool const ends = flaw_ != flaw::waits_have_no_end || clock.now() >= patience_of_the_test;
      if (ends && until.passed(clock.now())) {
        if (seen && clock.now() < seen->hard) return {seen->value};
        return {std::nullopt, errc::timed_out};
      }
      clock.wait_until(other->changed, again, ends ? until.at : patience_of_the_test);
    }
    if (other->failed && flaw_ != flaw::failure_told_as_success) {
      if (seen && clock.now() < seen->hard) return {seen->value};
      return {std::nullopt, other->why};
    }
    return {other->value};
  }

  asked lead(int key, computing const& compute, std::shared_ptr<call> const& mine, std::stop_token stop,
             std::optional<entry> const& seen) {
    struct cleaner {
      naive_guard& self;
      call& c;
      bool armed;
      ~cleaner() {
        if (!armed) return;
        std::lock_guard lock(self.mutex_);
        c.done = c.failed = true;
        c.why = errc::flight_abandoned;
        c.changed.notify_all();
      }
    } unwinding{*this, *mine, flaw_ != flaw::waiters_forgotten_on_unwinding};
    try {
      int const value = compute(flaw_ == flaw::leaders_token_cancels_all ? stop : std::stop_token());
      unwinding.armed = false;
      std::lock_guard lock(mutex_);
      mine->done = true;
      mine->value = value;
      mine->changed.notify_all();
      if (!mine->outdated) write(key, value, seen && flaw_ == flaw::stale_ttl_leaks ? revalidate : ttl);
      finish(key, mine);
      return {value};
    } catch (std::exception const&) {
      unwinding.armed = false;
      std::lock_guard lock(mutex_);
      if (flaw_ != flaw::waiters_forgotten_on_exception) {
        mine->done = mine->failed = true;
        mine->why = errc::computation_failed;
        mine->changed.notify_all();
        finish(key, mine);
      }
      if (flaw_ != flaw::no_rest_after_failure) resting_[key] = clock.now() + 1s;
      if (seen && flaw_ != flaw::stale_value_withheld && clock.now() < seen->hard) return {seen->value};
      return {std::nullopt, errc::computation_failed};
    }
  }
  void finish(int key, std::shared_ptr<call> const& mine) {
    auto const found = calls_.find(key);
    if (found != calls_.end() && (found->second == mine || flaw_ == flaw::erased_by_key)) calls_.erase(found);
  }

  flaw flaw_;
  std::mutex mutex_;
  std::mutex slots_[2];
  std::map<int, entry> entries_;
  std::map<int, std::shared_ptr<call>> calls_;
  std::map<int, tideover::instant> resting_;
  std::set<int> locks_;
  tideover::instant const patience_of_the_test = clock.now() + 1000h;
};

inline auto with_token(computing const& compute) {
  return [compute](int const&, std::stop_token const& token) { return compute(token); };
}
inline asked of(tideover::result<int> const& r) {
  if (r) return {*r};
  return {std::nullopt, r.code()};
}
/// An executor that may lose what it was given.
struct losing {
  using policy_axis = tideover::axis::executor;
  std::shared_ptr<std::vector<tideover::task>> tasks = std::make_shared<std::vector<tideover::task>>();
  bool try_post(tideover::task& work) {
    tasks->push_back(std::move(work));
    return true;
  }
  std::size_t pending() const { return tasks->size(); }
  void drop() { tasks->pop_back(); }
};
/// The guard's store, in which something happens between a caller's first look and its second.
struct late_store {
  using key_type = int;
  using mapped_type = cached<int>;
  using clock_type = manual_clock;
  int_store& inner;
  inline static std::function<void()> plan{};
  std::optional<cached<int>> get(int const& key) {
    auto found = inner.get(key);
    if (plan) std::exchange(plan, nullptr)();
    return found;
  }
  bool put(int const& key, cached<int> const& e, tideover::put_options const& o = {}) {
    return inner.put(key, e, o);
  }
  bool erase(int const& key) { return inner.erase(key); }
};

/// Ours, with the same face.
class our_guard {
 public:
  using guard_type = int_guard<tideover::no_early_refresh, tideover::constant_backoff>;
  explicit our_guard(manual_clock const& time)
      : clock(time),
        queue(),
        guard(sized(1000), living(10s, 5s, 60s), clock, tideover::constant_backoff{1s}),
        posting(guard.store(), living(10s, 5s, 60s), clock, queue) {}

  manual_clock clock;

  asked ask(int key, computing const& compute, tideover::deadline const& until = {}) {
    return of(guard.try_get_or_compute(key, with_token(compute), until));
  }
  void put(int key, int value) { guard.put(key, value); }
  void invalidate(int key) { guard.invalidate(key); }
  void refresh_and_drop(int key) {
    posting.get_or_compute(key, [] { return -1; });
    REQUIRE(queue.pending() == 1);
    CHECK(posting.stats().running == 1);
    tideover::task dropped;
    while (queue.pending() != 0) queue.drop();
    CHECK(posting.stats().running == 0);
  }
  std::size_t locks() { return std::size_t(guard.stats().running + guard.stats().failing); }
  asked ask_late(int key, computing const& compute, std::function<void()> const& meanwhile) {
    late_store::plan = meanwhile;
    return of(late.try_get_or_compute(key, with_token(compute)));
  }

 private:
  losing queue;

 public:
  guard_type guard;
  tideover::stampede_guard<int_store&, tideover::no_early_refresh, losing> posting;

 private:
  tideover::stampede_guard<late_store, tideover::no_early_refresh> late{
      [this] { return late_store{guard.store()}; }, living(10s, 5s, 60s), clock};
};

}  // namespace tideover_test
