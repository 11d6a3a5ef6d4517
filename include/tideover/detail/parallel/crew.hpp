// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/deadline.hpp>
#include <tideover/detail/computation.hpp>
#include <tideover/detail/parallel/plans.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/parallel_options.hpp>
#include <tideover/policy/executor.hpp>

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <system_error>
#include <type_traits>
#include <utility>

namespace tideover::inline v0::detail {

/// Those who work off one group of calls: the caller, and helpers on the executor's threads, each of which
/// takes the next call that its plan lets begin, until there is none.
///
/// Why nothing can be stuck: whatever has not begun the caller can begin itself, so it waits for nothing but
/// calls that run on other threads; a helper that the executor never runs is missed by nobody. A call that
/// waits for a group of its own is the caller of that group. So the waits form a tree, whose leaves run.
///
/// Why nothing dangles: `calls` and the executor belong to the caller, who does not leave before every helper
/// has that came inside; one that comes later finds the doors closed. It is kept alive by those helpers.
template <class Plan, class Calls, class Executor, class Clock>
class parallel_crew : public std::enable_shared_from_this<parallel_crew<Plan, Calls, Executor, Clock>> {
 public:
  /// `calls(unit, deadline)` makes one call and says whether it was good; it throws only when the thread
  /// ends.
  parallel_crew(Plan plan, Calls& calls, Executor& executor, Clock clock, parallel_options const& o,
                std::size_t workers)
      : plan_(std::move(plan)),
        calls_(calls),
        executor_(executor),
        clock_(std::move(clock)),
        until_(o.until),
        fails_fast_(o.errors == error_handling::fail_fast),
        helpers_wanted_(std::is_same_v<Executor, inline_run> ? 0 : workers - 1),
        stop_(make_stop()) {
    report_.calls = plan_.units();
  }

  /// What ended the group early: nothing, or a code for the calls that have not begun.
  std::error_code closed_by() const noexcept { return closed_by_; }
  /// Whether that was a call that failed.
  bool failed_first() const noexcept { return failed_first_; }
  /// Whether there are calls that have not begun.
  bool incomplete() const noexcept { return !plan_.exhausted(); }
  /// The item whose call failed first, if one did.
  std::optional<std::size_t> first_failed() const noexcept { return first_failed_; }
  parallel_report const& report() const noexcept { return report_; }

  /// By the caller, once. Returns when every call has ended that has begun, and none will any more.
  void work_off() {
    if (until_.stop.stop_possible()) {
      auto const on_stop = [this] { close_from_outside(errc::cancelled); };
      std::stop_callback<decltype(on_stop)> const stopped(until_.stop, on_stop);
      work_off_here();
    } else {
      work_off_here();
    }
  }

 private:
  using lock_type = std::unique_lock<std::mutex>;
  static constexpr bool tells = Calls::takes_deadline;
  struct nobody_listens {};
  using stop_type = std::conditional_t<tells, std::stop_source, nobody_listens>;

  static stop_type make_stop() { return stop_type{}; }

  /// However the caller leaves, its thread that ends among the ways, what it owns is used by nobody then.
  struct caller {
    parallel_crew& crew;
    ~caller() {
      lock_type lock(crew.mutex_);
      if (!crew.finished_) crew.close(lock, errc::cancelled);
      crew.idle_ = true;
      crew.changed_.wait(lock, [this] { return crew.inside_ == 0; });
      crew.report_.cancelled = crew.report_.calls - crew.report_.started;
    }
  };

  void work_off_here() {
    caller const leaving{*this};
    lock_type lock(mutex_);
    for (;;) {
      work(lock);
      if (inside_ == 0 && no_more_begin()) break;
      rest(lock);
    }
    finished_ = true;
  }

  /// Until there is something to begin, or nobody is left.
  void rest(lock_type& lock) {
    idle_ = true;
    bool const timed = closed_by_ == std::error_code() && until_.at != instant::max();
    auto const wanted = [&] { return may_begin() || inside_ == 0; };
    while (!wanted()) {
      if (!timed || closed_by_ != std::error_code()) {
        changed_.wait(lock);
      } else {
        clock_.wait_until(changed_, lock, until_.at);
        look_at_the_time(lock);
      }
    }
    idle_ = false;
  }

  void help() {
    lock_type lock(mutex_);
    --coming_;
    if (closed_by_ == std::error_code() && !finished_) {
      ++inside_;
      struct leaving {
        parallel_crew& crew;
        lock_type& lock;
        ~leaving() {
          if (!lock.owns_lock()) lock.lock();
          --crew.inside_;
          if (crew.idle_) crew.changed_.notify_one();
        }
      } const left{*this, lock};
      work(lock);
    }
    --hired_;
  }

  bool no_more_begin() const noexcept { return closed_by_ != std::error_code() || plan_.exhausted(); }
  bool may_begin() const noexcept { return closed_by_ == std::error_code() && plan_.ready() != 0; }

  /// Begins one call after the other while there is one that may.
  void work(lock_type& lock) {
    while (may_begin()) {
      recruit(lock);
      look_at_the_time(lock);
      if (!may_begin()) return;
      parallel_unit const unit = plan_.begin();
      ++report_.started;
      under_way now{*this, lock, unit};
      lock.unlock();
      if constexpr (tells) {
        now.good = calls_(unit, deadline{until_.at, stop_.get_token()});
      } else {
        now.good = calls_(unit, until_);
      }
    }
  }

  /// A call that has begun ends once, also when its thread goes away under it.
  struct under_way {
    parallel_crew& crew;
    lock_type& lock;
    parallel_unit unit;
    bool good = false;
    under_way(parallel_crew& c, lock_type& l, parallel_unit u) noexcept : crew(c), lock(l), unit(u) {}
    under_way(under_way const&) = delete;
    under_way& operator=(under_way const&) = delete;
    ~under_way() {
      lock.lock();
      crew.plan_.end(unit, good);
      if (!good) crew.count_failure(lock, unit);
      if (crew.idle_ && crew.may_begin()) crew.changed_.notify_one();
    }
  };

  void count_failure(lock_type& lock, parallel_unit unit) {
    ++report_.failed;
    if (!first_failed_) first_failed_ = unit.item;
    if (!fails_fast_ || closed_by_ != std::error_code()) return;
    failed_first_ = true;
    close(lock, errc::cancelled);
  }

  /// More helpers for what may begin besides this thread's own next call. Before that one begins, so that an
  /// executor that runs its work on the spot keeps the order of the calls.
  void recruit(lock_type& lock) {
    while (may_begin() && hired_ < helpers_wanted_ && plan_.ready() > 1 + coming_ + (idle_ ? 1U : 0U)) {
      ++hired_;
      ++coming_;
      ++report_.helpers;
      lock.unlock();
      bool const taken = post();
      lock.lock();
      if (taken) continue;
      --hired_;
      --coming_;
      --report_.helpers;
      ++report_.refused;
      return;
    }
  }
  /// An executor that has no memory for it has no room for it.
  bool post() {
#if TIDEOVER_EXCEPTIONS
    try {
#endif
      task work([self = this->shared_from_this()] { self->help(); });
      return executor_.try_post(work);
#if TIDEOVER_EXCEPTIONS
    } catch (...) {
      if (thread_goes_away()) throw;
      return false;
    }
#endif
  }

  void look_at_the_time(lock_type& lock) {
    if (until_.at == instant::max() || closed_by_ != std::error_code()) return;
    if (until_.passed(clock_.precise_now())) close(lock, errc::timed_out);
  }
  void close_from_outside(errc why) {
    lock_type lock(mutex_);
    close(lock, why);
    if (idle_) changed_.notify_one();
  }
  /// The first reason stays. Calls under way are told without the lock: what hears of it is the user's.
  void close(lock_type& lock, errc why) {
    if (closed_by_ != std::error_code()) return;
    closed_by_ = why;
    if constexpr (tells) {
      lock.unlock();
      stop_.request_stop();
      lock.lock();
    } else {
      static_cast<void>(lock);
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;  // the caller alone waits
  Plan plan_;
  Calls& calls_;
  Executor& executor_;
  Clock clock_;
  deadline until_;
  bool fails_fast_;
  bool idle_ = false;
  bool finished_ = false;
  bool failed_first_ = false;
  std::size_t helpers_wanted_;
  std::size_t hired_ = 0;   // helpers that were posted and have not left
  std::size_t coming_ = 0;  // of these, those that have not come yet
  std::size_t inside_ = 0;  // of these, those that have come
  std::error_code closed_by_{};
  std::optional<std::size_t> first_failed_{};
  parallel_report report_{};
  [[no_unique_address]] stop_type stop_;
};

}  // namespace tideover::inline v0::detail
