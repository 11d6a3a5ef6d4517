// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/circuit_breaker_options.hpp>
#include <tideover/config.hpp>
#include <tideover/deadline.hpp>
#include <tideover/detail/breaker/call.hpp>
#include <tideover/detail/breaker/event_queue.hpp>
#include <tideover/detail/breaker/machine.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/accounting.hpp>
#include <tideover/policy/classifier.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/listener.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/policy/open_duration.hpp>
#include <tideover/policy/policy.hpp>
#include <tideover/policy/recovery.hpp>
#include <tideover/policy/rng.hpp>
#include <tideover/policy/trip.hpp>
#include <tideover/policy/trip/adaptive_throttle.hpp>
#include <tideover/policy/trip/consecutive_failures.hpp>
#include <tideover/policy/trip/failure_rate_in_last.hpp>
#include <tideover/policy/trip/failure_rate_over.hpp>
#include <tideover/result.hpp>

#include <sched.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace tideover::inline v0 {

/// The axes of `circuit_breaker`.
using breaker_axes = axes<axis::trip, axis::open_duration, axis::recovery, axis::classifier, axis::clock,
                          axis::listener, axis::locking, axis::rng, axis::accounting>;

/// Stops calling what fails: after too many failures calls are rejected at once, until after a while a probe
/// shows that it works again.
///
///     tideover::circuit_breaker<> db({.name = "db", .failure_threshold = 5, .recovery_timeout = 30s});
///     row r = db.call([&] { return query(); });                 // throws errc::circuit_open when rejected
///     row s = db.call([&] { return query(); }, [&](std::error_code) { return cached_row(); });
///     tideover::result<row> t = db.try_call([&] { return query(); });           // a rejection is a value
///     if (auto permit = db.try_acquire()) start(std::move(*permit));            // for what ends elsewhere
///
/// Policies, in any order; objects of those with state are passed after the options:
///   trip           consecutive_failures (default), failure_rate_in_last<N>, failure_rate_over<buckets>,
///                  adaptive_throttle
///   open_duration  open_fixed (default), open_exponential, open_jittered
///   recovery       no_ramp (default), ramp<steps>
///   classifier     by_result (default), classify_by<F>
///   clock          coarse (default), steady, manual_clock
///   listener       silent (default), listen_by<F>, your own
///   locking        any: the breaker never locks; with single_threaded it has no atomics either
///   rng            xoshiro (default)
///   accounting     uncounted (default), counting
///
/// Outcomes  A call succeeds, fails, or says nothing (`call_outcome`); the classifier says which. What fails
///           while the caller's own deadline has passed, or its stop_token was triggered, says nothing.
/// Stale     What was let through before the breaker changed says nothing of its present state: such a report
///           is counted as `stale` and changes nothing.
/// Time      Its clock may be set back by ten years; 26 years after it was made a breaker that opens stays
/// so. Threads   All members may be called at once, but with `single_threaded`. No user function runs under a
///           lock; there is none.
/// Throws    What the callable or the fallback throws; `error` (errc::circuit_open) from `call`, `acquire`.
/// Cost      A call that passes a closed breaker: two loads more than the call itself; with a rate one atomic
///           exchange. A rejection: one load, the cheap clock, one counter. Nothing is allocated after the
///           construction.
///
/// A breaker must outlive its permits and the calls under way; debug builds assert it of permits.
/// `shared_breaker` lifts this.
template <class... Policies>
class alignas(cache_line) circuit_breaker {
  static_assert(breaker_axes::accept<Policies...>);

 public:
  using options = breaker_options;
  using trip_type = policy_for<axis::trip, consecutive_failures, Policies...>;
  using open_duration_type = policy_for<axis::open_duration, open_fixed, Policies...>;
  using recovery_type = policy_for<axis::recovery, no_ramp, Policies...>;
  using classifier_type = policy_for<axis::classifier, by_result, Policies...>;
  using clock_type = policy_for<axis::clock, coarse, Policies...>;
  using listener_type = policy_for<axis::listener, silent, Policies...>;
  using locking_type = policy_for<axis::locking, sharded<>, Policies...>;
  using rng_type = policy_for<axis::rng, xoshiro, Policies...>;
  using accounting_type = policy_for<axis::accounting, uncounted, Policies...>;

  static_assert(trip_policy<trip_type>,
                "tideover::circuit_breaker: see tideover::trip_policy in <tideover/policy/trip.hpp>");
  static_assert(open_duration_policy<open_duration_type>,
                "tideover::circuit_breaker: see tideover::open_duration_policy in "
                "<tideover/policy/open_duration.hpp>");
  static_assert(recovery_policy<recovery_type>,
                "tideover::circuit_breaker: see tideover::recovery_policy in <tideover/policy/recovery.hpp>");
  static_assert(classifier_policy<classifier_type>,
                "tideover::circuit_breaker: see tideover::classifier_policy in "
                "<tideover/policy/classifier.hpp>");
  static_assert(clock_policy<clock_type>,
                "tideover::circuit_breaker: see tideover::clock_policy in <tideover/policy/clock.hpp>");
  static_assert(breaker_listener<listener_type>,
                "tideover::circuit_breaker: see tideover::breaker_listener in "
                "<tideover/circuit_breaker_options.hpp>");
  static_assert(locking_policy<locking_type>,
                "tideover::circuit_breaker: see tideover::locking_policy in <tideover/policy/locking.hpp>");
  static_assert(rng_policy<rng_type>,
                "tideover::circuit_breaker: see tideover::rng_policy in <tideover/policy/rng.hpp>");
  static_assert(accounting_policy<accounting_type>,
                "tideover::circuit_breaker: see tideover::accounting_policy in "
                "<tideover/policy/accounting.hpp>");

  class permit;

  // ---- Making one -----------------------------------------------------------------------------------------

  /// The options, `({})` for the defaults, or a preset, then objects of the policies named above that have
  /// state, in any order. Throws `error` (errc::invalid_argument) naming field, value and bounds.
  template <class... P>
    requires(detail::is_one_of<P, trip_type, open_duration_type, recovery_type, classifier_type, clock_type,
                               listener_type, locking_type, rng_type, accounting_type>&&...)
  explicit circuit_breaker(options o, P&&... policies)
      : clock_(detail::take_policy<clock_type>(std::forward<P>(policies)...)),
        machine_(clock_.precise_now()),
        open_duration_(detail::take_policy<open_duration_type>(std::forward<P>(policies)...)),
        classifier_(detail::take_policy<classifier_type>(std::forward<P>(policies)...)),
        listener_(detail::take_policy<listener_type>(std::forward<P>(policies)...)),
        name_((check(o), o.name.empty() ? nullptr : std::make_unique<std::string const>(o.name))),
        draws_(first_draw(std::forward<P>(policies)...)) {
    store(o);
    surroundings{*this}.begin(machine_.look().generation());
  }
  circuit_breaker(circuit_breaker const&) = delete;
  circuit_breaker& operator=(circuit_breaker const&) = delete;
  ~circuit_breaker() {
    TIDEOVER_ASSERT(lent_.load(std::memory_order_relaxed) <= 0,
                    "tideover::circuit_breaker: it must outlive its permits");
  }

  // ---- Calls ----------------------------------------------------------------------------------------------
  //
  // `f` is called with no argument, or, if it takes one, with a `deadline`: `call_timeout` from now, or the
  // caller's own `until` if that is earlier, with its stop_token. The outcome is reported before anything
  // else happens. A fallback takes the std::error_code that says why there is no value: errc::circuit_open
  // when rejected, else that of the failure (errc::computation_failed where it has none). It is called in
  // place of a rejection, a failure, and a rejection further in; what else the call ends with passes through.

#if TIDEOVER_EXCEPTIONS
  /// What `f` returns. What it throws passes through unchanged. Throws errc::circuit_open when rejected.
  template <class F>
    requires detail::breaker_callable<F> detail::call_type<F> call(F&& f) {
      auto const head = enter_or_throw();
      return run_or_throw(std::forward<F>(f), head, detail::no_caller_deadline{});
    }
  template <class F>
    requires detail::breaker_callable<F> detail::call_type<F> call(F&& f, deadline const& until) {
      auto const head = enter_or_throw();
      return run_or_throw(std::forward<F>(f), head, until);
    }
#endif

  /// What `f` returns, or the fallback in its place.
  template <class F, class Fallback>
    requires(detail::breaker_callable<F> && !std::is_convertible_v<Fallback, deadline>)
  detail::call_type<F> call(F&& f, Fallback&& fallback) {
    check_fallback<F, Fallback>();
    return run_or_fall_back(std::forward<F>(f), std::forward<Fallback>(fallback),
                            detail::no_caller_deadline{});
  }
  template <class F, class Fallback>
    requires(detail::breaker_callable<F>)
  detail::call_type<F> call(F&& f, Fallback&& fallback, deadline const& until) {
    check_fallback<F, Fallback>();
    return run_or_fall_back(std::forward<F>(f), std::forward<Fallback>(fallback), until);
  }

  /// What `f` returns, as a `result` unless it is one; errc::circuit_open with `retry_after` when rejected;
  /// the exception of `f` as the cause of errc::computation_failed, or of its own code if it has one.
  template <class F>
    requires detail::breaker_callable<F> detail::try_type<F> try_call(F&& f) {
      return run_or_return(std::forward<F>(f), detail::no_caller_deadline{});
    }
  template <class F>
    requires detail::breaker_callable<F> detail::try_type<F> try_call(F&& f, deadline const& until) {
      return run_or_return(std::forward<F>(f), until);
    }

  /// The two-step face, for what does not end where it began: a permit, or errc::circuit_open with
  /// `retry_after` (0: unknown).
  result<permit> try_acquire() {
    entry const e = enter();
    if (!e.admitted) return rejection(e.retry_after);
    return permit(*this, e.head);
  }
#if TIDEOVER_EXCEPTIONS
  permit acquire() { return permit(*this, enter_or_throw()); }
#endif

  // ---- Operating ------------------------------------------------------------------------------------------
  //
  // Each is a new generation, unless nothing changes: permits that are out become stale.

  /// Closed and empty, out of every mode.
  void reset() {
    go(breaker_state::closed, breaker_cause::reset, [](breaker_state) { return false; });
  }
  /// Rejects all calls.
  void force_open() { set_mode(breaker_state::forced_open); }
  /// Lets all calls through and counts nothing.
  void disable() { set_mode(breaker_state::disabled); }
  /// Lets all calls through, counts, and tells the listener when it would have opened: once, until it is
  /// reset, reconfigured or set to another mode.
  void observe() { set_mode(breaker_state::observing); }
  /// Out of a mode: closed and empty. Nothing, if it is in none.
  void automatic() {
    go(breaker_state::closed, breaker_cause::mode_set, [](breaker_state s) {
      return s != breaker_state::forced_open && s != breaker_state::disabled && s != breaker_state::observing;
    });
  }
  /// Other numbers, the same name. The state stays, in a new generation with empty counts; an open breaker is
  /// open as long as it was to be. Throws as the constructor does; then nothing has changed. A call that ends
  /// at the same instant may be judged by the old numbers.
  void reconfigure(options o) {
    check(o);
    // Two of them may not mix their numbers. Nothing of the user's runs here but `configure` of a trip
    // policy.
    while (configuring_.exchange(true, std::memory_order_acquire)) ::sched_yield();
    store(o);
    surroundings around{*this};
    auto const change = machine_.renew(around);
    configuring_.store(false, std::memory_order_release);
    tell(change);
  }

  // ---- Observing ------------------------------------------------------------------------------------------

  /// Changes nothing: a breaker whose time has come is open until somebody calls.
  breaker_state state() const noexcept { return machine_.look().state(); }
  /// Grows by one, modulo 2^24, with each change.
  std::uint32_t generation() const noexcept { return machine_.look().generation(); }
  breaker_stats stats() const;
  std::string_view name() const noexcept { return name_ ? std::string_view(*name_) : std::string_view(); }
  clock_type const& clock() const noexcept { return clock_; }
  listener_type& listener() noexcept { return listener_; }

 private:
  template <class F, class Fallback>
  static constexpr void check_fallback() noexcept {
    static_assert(detail::breaker_fallback<Fallback, F>,
                  "tideover::circuit_breaker: a fallback takes a std::error_code and returns what the "
                  "function returns");
  }

  template <class T>
  using cell = typename locking_type::template cell<T>;
  using counter = cell<std::uint64_t>;
  using statistics_type = typename trip_type::template statistics<locking_type>;

  static constexpr bool in_word = trip_type::in_word;
  static constexpr bool sees_slow = trip_type::sees_slow;
  static constexpr bool throttles = trip_type::throttles;
  static constexpr bool ramps = recovery_type::steps > 0;
  static constexpr bool draws = ramps || throttles || open_duration_type::draws;
  static constexpr bool counts = accounting_type::counts;
  static constexpr bool listens = !std::is_same_v<listener_type, silent>;
  static constexpr bool own_classifier = !std::is_same_v<classifier_type, by_result>;
  static constexpr bool own_duration = !std::is_same_v<open_duration_type, open_fixed> &&
                                       !std::is_same_v<open_duration_type, open_exponential> &&
                                       !std::is_same_v<open_duration_type, open_jittered>;
  template <bool Present, class T, int Which>
  using only_if = std::conditional_t<Present, T, detail::absent<Which>>;
  using began_type = only_if<sees_slow, instant, 1>;
  static constexpr instant untimed = instant::min();  // when a call began that nobody will ask about

  struct entry {
    bool admitted;
    std::uint32_t head;
    std::chrono::nanoseconds retry_after;
  };

  /// What the machine asks for.
  struct surroundings {
    circuit_breaker& b;

    std::chrono::nanoseconds open_for(unsigned attempt) const noexcept {
      std::chrono::nanoseconds const base(b.recovery_.load(std::memory_order_relaxed));
      if constexpr (!own_duration) {
        return b.ask_open_for(base, attempt);
      } else {
        std::chrono::nanoseconds d(-1);
#if TIDEOVER_EXCEPTIONS
        try {
          d = b.ask_open_for(base, attempt);
        } catch (...) {
        }
#else
        d = b.ask_open_for(base, attempt);
#endif
        if (d.count() >= 0) return d;
        count(b.duration_failures_);
        return base;
      }
    }
    void begin(std::uint32_t generation) const noexcept {
      if constexpr (!in_word) b.statistics_.begin(generation);
    }
    bool chance(double p) const noexcept {
      if constexpr (draws) {
        return b.draws_.below(p);
      } else {
        return static_cast<void>(p), true;  // nothing is left to chance
      }
    }
  };

  template <class... P>
  static std::uint64_t first_draw(P&&... policies) {
    if constexpr (draws) {
      rng_type rng = detail::take_policy<rng_type>(std::forward<P>(policies)...);
      return rng();
    } else {
      return (static_cast<void>(policies), ..., 0);  // and the system is not asked for a seed
    }
  }

  static void check(options const& o) {
    auto const limits = limits_of(o);
    detail::check_breaker_options(o, sees_slow);
    if constexpr (requires { trip_type::check(limits); }) trip_type::check(limits);
  }
  static trip_limits limits_of(options const& o) noexcept {
    return {o.failure_threshold, o.failure_rate, o.min_calls,       o.slow_after,
            o.slow_rate,         o.window,       o.throttle_factor, o.throttle_most};
  }
  /// Relaxed: each number is good by itself, and the new generation that follows is released.
  void store(options const& o) noexcept {
    statistics_.configure(limits_of(o));
    probing_.store(o.probes << 20 | o.successes << 10 | o.tolerated_failures, std::memory_order_relaxed);
    recovery_.store(o.recovery_timeout.count(), std::memory_order_relaxed);
    call_timeout_.store(o.call_timeout.count(), std::memory_order_relaxed);
    auto const lease = o.probe_lease.count() > 0
                           ? o.probe_lease
                           : (instant::at(o.call_timeout) + std::chrono::seconds(1)).since_epoch();
    lease_.store(lease.count(), std::memory_order_relaxed);
    if constexpr (ramps) ramp_over_.store(o.ramp_over.count(), std::memory_order_relaxed);
    if constexpr (sees_slow) slow_after_.store(o.slow_after.count(), std::memory_order_relaxed);
  }
  detail::breaker_rules rules() const noexcept {
    std::uint32_t const probing = probing_.load(std::memory_order_relaxed);
    detail::breaker_rules r{};
    if constexpr (in_word) r.failure_threshold = statistics_.limit();
    r.probes = probing >> 20;
    r.successes = probing >> 10 & 1023;
    r.tolerated_failures = probing & 1023;
    r.lease = std::chrono::nanoseconds(lease_.load(std::memory_order_relaxed));
    if constexpr (ramps) {
      r.ramp_over = std::chrono::nanoseconds(ramp_over_.load(std::memory_order_relaxed));
      r.ramp_steps = recovery_type::steps;
    }
    return r;
  }
  std::chrono::nanoseconds ask_open_for(std::chrono::nanoseconds base, unsigned attempt) {
    if constexpr (open_duration_type::draws) {
      return draws_.with([&](rng_type& rng) { return open_duration_.open_for(base, attempt, rng); });
    } else {
      xoshiro none(0);  // asked of nothing: this policy draws no numbers
      return open_duration_.open_for(base, attempt, none);
    }
  }

  // ---- In -------------------------------------------------------------------------------------------------

  entry enter() {
    detail::breaker_word const w = machine_.look();
    if constexpr (!throttles) {
      if (w.state() == breaker_state::closed) [[likely]]
        return {true, w.head(), {}};
    }
    return enter_slowly(w);
  }
  [[gnu::noinline]] entry enter_slowly(detail::breaker_word w) {
    if (w.state() == breaker_state::disabled) return {true, w.head(), {}};
    if constexpr (throttles) {
      if (w.state() == breaker_state::closed || w.state() == breaker_state::observing) {
        instant const now = clock_.now();
        double const share = statistics_.turned_away(w.generation(), now);
        if (share <= 0 || !draws_.below(share)) return {true, w.head(), {}};
        if (w.state() == breaker_state::observing) {
          surroundings around{*this};
          tell(machine_
                   .trip(
                       w, [&] { return now; }, around)
                   .change);
          return {true, w.head(), {}};
        }
        statistics_.record_turned_away(w.generation(), now);
        count(rejected_);
        return {false, 0, {}};
      }
    }
    if (w.state() == breaker_state::observing) return {true, w.head(), {}};
    surroundings around{*this};
    auto const a = machine_.acquire(clock_.now(), rules(), around);
    if (!a.admitted) count(rejected_);
    if (a.change) tell(a.change);
    return {a.admitted, a.head, a.retry_after};
  }
  static failure rejection(std::chrono::nanoseconds retry_after) {
    return {.code = errc::circuit_open, .retry_after = retry_after};
  }
  [[noreturn]] TIDEOVER_COLD static void reject(std::chrono::nanoseconds retry_after) {
    detail::raise(rejection(retry_after));
  }
  std::uint32_t enter_or_throw() {
    entry const e = enter();
    if (!e.admitted) reject(e.retry_after);
    return e.head;
  }

  // ---- The call -------------------------------------------------------------------------------------------

  began_type begin_call() const noexcept {
    if constexpr (sees_slow) {
      if (slow_after_.load(std::memory_order_relaxed) == 0) return untimed;
      return clock_.precise_now();
    } else {
      return {};
    }
  }
  bool was_slow(began_type began) const noexcept {
    if constexpr (sees_slow) {
      auto const slow_after = slow_after_.load(std::memory_order_relaxed);
      if (slow_after == 0 || began == untimed) return false;
      return (clock_.precise_now() - began).count() >= slow_after;
    } else {
      return static_cast<void>(began), false;
    }
  }

  template <class F, class Until>
  detail::call_type<F> invoke(F&& f, detail::call_limits<Until>& limits) {
    if constexpr (detail::takes_deadline<F>) {
      std::chrono::nanoseconds const timeout(call_timeout_.load(std::memory_order_relaxed));
      return std::invoke(std::forward<F>(f), limits.with(clock_.precise_now() + timeout));
    } else {
      return std::invoke(std::forward<F>(f));
    }
  }

  template <class Value, class Until>
  call_outcome outcome_of(Value const& value, detail::call_limits<Until> const& limits) noexcept {
    call_outcome o = call_outcome::failure;
    if constexpr (std::is_invocable_r_v<call_outcome, classifier_type const&, Value const&>) {
      o = classified(value);
    } else {
      o = by_result{}(value);
    }
    if (o == call_outcome::success) return o;
    // The caller's own doing says nothing of whom it called; what our timeout cut short has failed, also
    // where it says that it was cancelled.
    if (limits.stopped()) return call_outcome::ignored;
    if (limits.ours != instant::max() && clock_.precise_now() >= limits.ours) {
      if constexpr (!own_classifier) {
        // Not asked at all is another matter.
        if (!detail::is_replaced(o, detail::failure_of(value))) return call_outcome::failure;
      }
      return o;
    }
    if (o == call_outcome::failure && limits.passed([this] { return clock_.precise_now(); })) {
      return call_outcome::ignored;
    }
    return o;
  }
  template <class End>
  call_outcome classified(End const& end) noexcept {
    if constexpr (!own_classifier) {
      return classifier_(end);
    } else {
#if TIDEOVER_EXCEPTIONS
      try {
        return classifier_(end);
      } catch (...) {
        count(classifier_failures_);
        return call_outcome::failure;
      }
#else
      return classifier_(end);
#endif
    }
  }

  /// What the exception that is being handled says.
  template <class Until>
  [[gnu::noinline]] call_outcome report_caught(std::uint32_t head, detail::call_limits<Until> const& limits,
                                               began_type began, std::exception_ptr const& thrown) noexcept {
    call_outcome const o = outcome_of(thrown, limits);
    report(head, o, began);
    return o;
  }

#if TIDEOVER_EXCEPTIONS
  template <class F, class Until>
  detail::call_type<F> run_or_throw(F&& f, std::uint32_t head, Until const& until) {
    using value = detail::call_type<F>;
    detail::call_limits<Until> limits{until};
    auto const began = begin_call();
    bool reported = false;
    return detail::guarded(
        [&]() -> value {
          if constexpr (std::is_void_v<value>) {
            invoke(std::forward<F>(f), limits);
            report(head, call_outcome::success, began);
          } else {
            value v = invoke(std::forward<F>(f), limits);
            reported = true;
            report(head, outcome_of(v, limits), began);
            if constexpr (std::is_reference_v<value>) {
              return static_cast<value>(v);
            } else {
              return v;
            }
          }
        },
        [&] {
          if (!reported) report(head, call_outcome::ignored, began);
        },
        [&]() -> value {
          if (!reported) report_caught(head, limits, began, std::current_exception());
          throw;
        });
  }
#endif

  template <class F, class Fallback, class Until>
  detail::call_type<F> run_or_fall_back(F&& f, Fallback&& fallback, Until const& until) {
    using value = detail::call_type<F>;
    auto const instead = [&](std::error_code why) -> value {
      if constexpr (std::is_void_v<value>) {
        std::invoke(std::forward<Fallback>(fallback), why);
      } else {
        return std::invoke(std::forward<Fallback>(fallback), why);
      }
    };
    entry const e = enter();
    if (!e.admitted) return instead(errc::circuit_open);
    detail::call_limits<Until> limits{until};
    auto const began = begin_call();
    bool reported = false;
    return detail::guarded(
        [&]() -> value {
          if constexpr (std::is_void_v<value>) {
            invoke(std::forward<F>(f), limits);
            report(e.head, call_outcome::success, began);
          } else {
            value v = invoke(std::forward<F>(f), limits);
            reported = true;
            call_outcome const o = outcome_of(v, limits);
            report(e.head, o, began);
            if (o != call_outcome::success) [[unlikely]] {
              if (auto const why = detail::failure_of(v); detail::is_replaced(o, why))
                return instead(why.code);
            }
            if constexpr (std::is_reference_v<value>) {
              return static_cast<value>(v);
            } else {
              return v;
            }
          }
        },
        [&] {
          if (!reported) report(e.head, call_outcome::ignored, began);
        },
        [&]() -> value {
#if TIDEOVER_EXCEPTIONS
          if (reported) throw;
          auto const thrown = std::current_exception();
          call_outcome const o = report_caught(e.head, limits, began, thrown);
          auto const why = detail::failure_of(thrown);
          if (!detail::is_replaced(o, why)) throw;
          return instead(why.code);
#else
          std::terminate();
#endif
        });
  }

  template <class F, class Until>
  detail::try_type<F> run_or_return(F&& f, Until const& until) {
    using value = detail::call_type<F>;
    using answer = detail::try_type<F>;
    entry const e = enter();
    if (!e.admitted) return rejection(e.retry_after);
    detail::call_limits<Until> limits{until};
    auto const began = begin_call();
    bool reported = false;
    return detail::guarded(
        [&]() -> answer {
          if constexpr (std::is_void_v<value>) {
            invoke(std::forward<F>(f), limits);
            report(e.head, call_outcome::success, began);
            return {};
          } else if constexpr (std::is_same_v<value, answer>) {
            value v = invoke(std::forward<F>(f), limits);
            reported = true;
            report(e.head, outcome_of(v, limits), began);
            return v;
          } else {
            decltype(auto) v = invoke(std::forward<F>(f), limits);
            reported = true;
            report(e.head, outcome_of(v, limits), began);
            return static_cast<value&&>(v);
          }
        },
        [&] {
          if (!reported) report(e.head, call_outcome::ignored, began);
        },
        [&]() -> answer {
          auto thrown = std::current_exception();
          if (!reported) report_caught(e.head, limits, began, thrown);
          return detail::failure_of(thrown);
        });
  }

  // ---- Out ------------------------------------------------------------------------------------------------

  void report(std::uint32_t head, call_outcome o, began_type began) noexcept {
    if constexpr (in_word) {
      // Nothing has changed since, and there is no failure to forget.
      if (o == call_outcome::success && machine_.look() == detail::breaker_word{head}) [[likely]] {
        if (detail::breaker_word::state_of(head) != breaker_state::disabled) count_success();
        return;
      }
      report_slowly(head, o);
    } else {
      detail::breaker_word const w = machine_.look();
      if (w.state() != breaker_state::closed || o == call_outcome::ignored ||
          w.generation() != detail::breaker_word::generation_of(head)) [[unlikely]] {
        return report_slowly(head, o, began);
      }
      record(w, o == call_outcome::failure, began);
    }
  }
  /// Of a generation that counts, to a trip policy with statistics of its own.
  void record(detail::breaker_word w, bool failed, began_type began) noexcept {
    trip_sample sample{failed, was_slow(began), {}};
    if constexpr (trip_type::reads_clock) sample.at = clock_.now();
    failed ? count(failures_) : count_success();
    if (statistics_.record(w.generation(), sample)) [[unlikely]]
      trip(w);
  }
  [[gnu::noinline]] void trip(detail::breaker_word w) noexcept {
    surroundings around{*this};
    tell(machine_
             .trip(
                 w, [&] { return clock_.precise_now(); }, around)
             .change);
  }
  [[gnu::noinline]] void report_slowly(std::uint32_t head, call_outcome o, began_type began = {}) noexcept {
    detail::breaker_word const w = machine_.look();
    detail::breaker_report r{.stale = w.generation() != detail::breaker_word::generation_of(head)};
    surroundings around{*this};
    auto const now = [&] { return clock_.precise_now(); };
    if (!r.stale) {
      switch (w.state()) {
        case breaker_state::half_open:
          r = machine_.report_probe(head, o, rules(), now, around);
          break;
        case breaker_state::closed:
        case breaker_state::ramping:
        case breaker_state::observing:
          if (o == call_outcome::ignored) break;
          if constexpr (in_word) {
            r = machine_.report_in_row(head, o == call_outcome::failure, rules(), now, around);
          } else {
            return record(w, o == call_outcome::failure, began);
          }
          break;
        default:
          return;  // disabled: nothing is recorded
      }
    }
    if (r.stale) return count(stale_);
    if (o == call_outcome::success) count_success();
    if (o == call_outcome::failure) count(failures_);
    if (o == call_outcome::ignored) count(ignored_);
    tell(r.change);
  }
  template <class Counter>
  static void count(Counter& c) noexcept {
    c.fetch_add(1, std::memory_order_relaxed);
  }
  void count_success() noexcept {
    if constexpr (counts) count(successes_);
  }

  void count_lent([[maybe_unused]] std::int32_t n) noexcept {
#ifndef NDEBUG
    lent_.fetch_add(n, std::memory_order_relaxed);
#endif
  }

  // ---- Changes --------------------------------------------------------------------------------------------

  template <class Unless>
  void go(breaker_state state, breaker_cause cause, Unless unless) {
    surroundings around{*this};
    tell(machine_.go(state, cause, around, unless));
  }
  void set_mode(breaker_state mode) {
    go(mode, breaker_cause::mode_set, [mode](breaker_state s) { return s == mode; });
  }

  /// Counts and tells a change that this thread has made.
  void tell(detail::breaker_change const& change) noexcept {
    if (!change) return;
    if (change.cause == breaker_cause::would_open) {
      count(would_have_opened_);
    } else if (change.after.state() == breaker_state::open && change.cause != breaker_cause::reconfigured) {
      count(opened_);
    }
    if constexpr (listens) {
      events_.put(change);
      events_.drain([this](breaker_event event) {
        event.name = name();
        detail::guarded([&] { static_cast<void>(listener_.on_event(event)); }, [] {},
                        [this] { count(listener_failures_); });
      });
    }
  }

  // First what every call reads and hardly anything writes: with the default policies 64 bytes, one line.
  [[no_unique_address]] clock_type clock_;
  detail::breaker_machine<locking_type> machine_;
  cell<std::int64_t> recovery_{0};
  cell<std::int64_t> lease_{0};
  cell<std::uint32_t> probing_{0};  // probes, successes, tolerated failures: ten bits each
  [[no_unique_address]] statistics_type statistics_;
  [[no_unique_address]] only_if<sees_slow, cell<std::int64_t>, 2> slow_after_{};
  [[no_unique_address]] only_if<ramps, cell<std::int64_t>, 3> ramp_over_{};
  [[no_unique_address]] open_duration_type open_duration_;
  [[no_unique_address]] classifier_type classifier_;
  [[no_unique_address]] listener_type listener_;
  cell<std::int64_t> call_timeout_{0};
  std::unique_ptr<std::string const> name_;
  // And what is counted on the way.
  counter failures_{0};
  counter ignored_{0};
  counter stale_{0};
  counter rejected_{0};
  cell<std::uint32_t> opened_{0};
  cell<std::uint32_t> would_have_opened_{0};
  cell<std::int32_t> lent_{0};  // permits alive; counted in debug builds
  cell<bool> configuring_{false};
  [[no_unique_address]] only_if<counts, counter, 4> successes_{};
  [[no_unique_address]] only_if<own_classifier, counter, 5> classifier_failures_{};
  [[no_unique_address]] only_if<own_duration, counter, 6> duration_failures_{};
  [[no_unique_address]] only_if<listens, counter, 7> listener_failures_{};
  [[no_unique_address]] only_if<draws, detail::breaker_draws<rng_type, locking_type>, 0> draws_;
  [[no_unique_address]] only_if<listens, detail::breaker_events<locking_type>, 8> events_{};
};

circuit_breaker(breaker_options)->circuit_breaker<>;

/// The right to one call, and the duty to say how it ended: exactly one of `succeed`, `fail`, `ignore` and
/// `report`. One that dies unreported says nothing of whom it called, and gives a probe's place back. Moves;
/// what was moved from says nothing. Threads: like a plain value; it may be reported from any.
template <class... Policies>
class [[nodiscard]] circuit_breaker<Policies...>::permit {
 public:
  permit(permit&& other) noexcept
      : breaker_(std::exchange(other.breaker_, nullptr)), head_(other.head_), began_(other.began_) {}
  permit& operator=(permit&& other) noexcept {
    if (this != &other) {
      leave();
      breaker_ = std::exchange(other.breaker_, nullptr);
      head_ = other.head_;
      began_ = other.began_;
    }
    return *this;
  }
  ~permit() { leave(); }

  void succeed() noexcept { report(call_outcome::success); }
  void fail() noexcept { report(call_outcome::failure); }
  void ignore() noexcept { report(call_outcome::ignored); }
  /// A second report is a caller's mistake; debug builds assert it, others take no notice.
  void report(call_outcome o) noexcept {
    TIDEOVER_ASSERT(breaker_ != nullptr, "tideover: this permit has reported already, or was moved from");
    if (breaker_ == nullptr) return;
    auto* const b = std::exchange(breaker_, nullptr);
    b->report(head_, o, began_);
    b->count_lent(-1);
  }
  /// Whether it has still to report.
  bool pending() const noexcept { return breaker_ != nullptr; }
  /// Whether this call is to show that what failed works again.
  bool is_probe() const noexcept { return detail::breaker_word::state_of(head_) == breaker_state::half_open; }
  /// Of the breaker, when it let the call pass.
  std::uint32_t generation() const noexcept { return detail::breaker_word::generation_of(head_); }

 private:
  friend circuit_breaker;
  permit(circuit_breaker& b, std::uint32_t head) noexcept
      : breaker_(&b), head_(head), began_(b.begin_call()) {
    b.count_lent(1);
  }
  void leave() noexcept {
    if (breaker_ != nullptr) report(call_outcome::ignored);
  }

  circuit_breaker* breaker_;
  std::uint32_t head_;
  [[no_unique_address]] began_type began_;
};

template <class... Policies>
breaker_stats circuit_breaker<Policies...>::stats() const {
  auto const read = [](auto const& c) -> std::uint64_t {
    if constexpr (requires { c.load(std::memory_order_relaxed); }) {
      return c.load(std::memory_order_relaxed);
    } else {
      return 0;  // not counted
    }
  };
  detail::breaker_word const w = machine_.look();
  breaker_stats s{.state = w.state(), .generation = w.generation(), .attempt = w.attempt()};
  if (w.state() == breaker_state::half_open) s.probes_out = w.out();
  bool const tallies = w.state() == breaker_state::closed || w.state() == breaker_state::ramping ||
                       w.state() == breaker_state::observing;
  if constexpr (in_word) {
    if (tallies) s.window_failures = w.payload() & ~detail::breaker_word::told;
  } else if (tallies) {
    trip_counts const c = statistics_.counts(w.generation(), clock_.now());
    s.window_calls = c.total;
    s.window_failures = c.failures;
    s.window_slow = c.slow;
  }
  s.counts_successes = counts;
  s.successes = read(successes_);
  s.failures = read(failures_);
  s.ignored = read(ignored_);
  s.stale = read(stale_);
  s.rejected = read(rejected_);
  s.opened = read(opened_);
  s.would_have_opened = read(would_have_opened_);
  s.classifier_failures = read(classifier_failures_);
  s.listener_failures = read(listener_failures_);
  if constexpr (listens) s.events_lost = events_.lost();
  s.duration_failures = read(duration_failures_);
  return s;
}

/// A breaker with shared ownership: copies are one breaker, and it lives as long as a copy, a permit or a
/// call of it. For calls that may outlive whoever began them. Costs two atomic additions more for each call.
template <class... Policies>
class shared_breaker {
 public:
  using breaker_type = circuit_breaker<Policies...>;
  using options = breaker_options;

  class permit;

  /// As `circuit_breaker`; the only allocation.
  template <class... P>
    requires std::constructible_from<breaker_type, options, P...>
  explicit shared_breaker(options o, P&&... policies)
      : core_(std::make_shared<breaker_type>(o, std::forward<P>(policies)...)) {}

#if TIDEOVER_EXCEPTIONS
  template <class F, class... More>
  auto call(F&& f, More&&... more) const
      -> decltype(std::declval<breaker_type&>().call(std::forward<F>(f), std::forward<More>(more)...)) {
    auto const core = core_;
    return core->call(std::forward<F>(f), std::forward<More>(more)...);
  }
#endif
  template <class F, class... More>
  auto try_call(F&& f, More&&... more) const
      -> decltype(std::declval<breaker_type&>().try_call(std::forward<F>(f), std::forward<More>(more)...)) {
    auto const core = core_;
    return core->try_call(std::forward<F>(f), std::forward<More>(more)...);
  }
  result<permit> try_acquire() const {
    auto p = core_->try_acquire();
    if (!p) return p.error();
    return permit(core_, std::move(*p));
  }

  /// Everything else that a breaker does.
  breaker_type& operator*() const noexcept { return *core_; }
  breaker_type* operator->() const noexcept { return core_.get(); }
  friend bool operator==(shared_breaker const& a, shared_breaker const& b) noexcept {
    return a.core_ == b.core_;
  }

 private:
  std::shared_ptr<breaker_type> core_;
};

/// As `circuit_breaker::permit`, and keeps the breaker alive.
template <class... Policies>
class [[nodiscard]] shared_breaker<Policies...>::permit {
 public:
  permit(permit&&) noexcept = default;
  permit& operator=(permit&& other) noexcept {
    permit_ = std::move(other.permit_);  // first: what it had may hold the last owner of its breaker
    core_ = std::move(other.core_);
    return *this;
  }
  ~permit() = default;

  void succeed() noexcept { permit_.succeed(); }
  void fail() noexcept { permit_.fail(); }
  void ignore() noexcept { permit_.ignore(); }
  void report(call_outcome o) noexcept { permit_.report(o); }
  bool pending() const noexcept { return permit_.pending(); }
  bool is_probe() const noexcept { return permit_.is_probe(); }
  std::uint32_t generation() const noexcept { return permit_.generation(); }

 private:
  friend shared_breaker;
  permit(std::shared_ptr<breaker_type> core, typename breaker_type::permit p) noexcept
      : core_(std::move(core)), permit_(std::move(p)) {}

  std::shared_ptr<breaker_type> core_;  // before the permit: it goes after it
  typename breaker_type::permit permit_;
};

}  // namespace tideover::inline v0
