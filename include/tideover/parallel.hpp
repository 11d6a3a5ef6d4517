// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/deadline.hpp>
#include <tideover/detail/parallel/calls.hpp>
#include <tideover/detail/parallel/crew.hpp>
#include <tideover/detail/parallel/plans.hpp>
#include <tideover/error.hpp>
#include <tideover/parallel_options.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/executor.hpp>
#include <tideover/policy/policy.hpp>
#include <tideover/result.hpp>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

/// Calls that run beside each other, and whose results come back in the order of the input.
///
///     tideover::owned_threads pool{4};
///     auto [user, cart, offers] = tideover::gather(pool, load_user, load_cart, load_offers);   // as the
///     slowest auto total = tideover::map_reduce(pool, contracts, analyse, add_up, {.max_workers = 5}); auto
///     answers = tideover::scatter_gather(pool, question, agents);        // one request, many targets auto
///     done = tideover::round_robin(pool, jobs, machines);                // job i on machine i modulo n auto
///     pages = tideover::pipeline(fetch, parse, store).run(pool, urls);   // stages beside each other
///
/// Functions  They may throw, or return a `result`; both are failures. One that can be called with a
///            `deadline` behind its arguments gets that of the group, with a stop_token that is triggered
///            when the group is cancelled. They are called from several threads at once, but for stages and
///            workers. The value of one that returns nothing is `std::monostate`.
/// Verbs      The bare verb returns values or throws: the exception of the first call that failed, or `error`
///            with errc::timed_out or errc::cancelled when calls were never made. The `try_` verb returns a
///            `result` for each call; those never made have errc::cancelled or errc::timed_out.
/// Failure    With `fail_fast` (default) the first failure cancels what has not begun, once; with
///            `collect_all` everything is called, and the bare verb throws the first failure in input order.
///            Nothing that has begun is left behind: the function returns when the last call has.
/// Executor   Any executor policy, by reference; it must outlive the call. The caller works too, and does all
///            of it where the executor takes nothing: so calls may be nested on one pool of any size.
/// Cost       A lock for each call, and an allocation for each helper; the places of all values are allocated
///            before the first call.
namespace tideover::inline v0 {

/// An executor together with the clock that deadlines are measured by (`steady` without it).
///
///     tideover::gather(tideover::with_clock(pool, clock), {.until = deadline::after(clock, 1s)}, f, g);
template <class Executor, class Clock>
class with_clock {
 public:
  static_assert(executor<Executor>,
                "tideover::with_clock: see tideover::executor in <tideover/policy/executor.hpp>");
  static_assert(clock_policy<Clock>,
                "tideover::with_clock: see tideover::clock_policy in <tideover/policy/clock.hpp>");
  using policy_axis = axis::executor;
  using clock_type = Clock;

  with_clock(Executor& e, Clock c) : executor_(e), clock_(std::move(c)) {}
  bool try_post(task& work) { return executor_.try_post(work); }
  Executor& inner() const noexcept { return executor_; }
  Clock const& clock() const noexcept { return clock_; }

 private:
  Executor& executor_;
  [[no_unique_address]] Clock clock_;
};

namespace detail {

inline std::size_t parallel_workers(parallel_options const& o, std::size_t at_once) {
  if (o.max_workers > 65'536) {
    raise_out_of_bounds("parallel_options.max_workers", std::to_string(o.max_workers), "between 0 and 65536");
  }
  std::size_t const most = o.max_workers == 0 ? 256 : o.max_workers;
  return std::max<std::size_t>(1, std::min(most, at_once));
}

/// How a group ended.
struct group_end {
  std::error_code closed_by;  ///< for what was never called
  bool failed_first;
  bool incomplete;
  std::optional<std::size_t> first_failed;
};

template <class Plan, class Calls, class Executor, class Clock>
group_end run_group(Plan plan, Calls& calls, Executor& executor, Clock const& clock,
                    parallel_options const& o, std::size_t workers) {
  using crew = parallel_crew<Plan, Calls, Executor, Clock>;
  auto const self = std::make_shared<crew>(std::move(plan), calls, executor, clock, o, workers);
  self->work_off();
  if (o.report != nullptr) *o.report = self->report();
  // Behind a stage that failed, nothing has closed the group.
  std::error_code const why = self->closed_by() ? self->closed_by() : make_error_code(errc::cancelled);
  return {why, self->failed_first(), self->incomplete(), self->first_failed()};
}
template <class Plan, class Calls, class Executor>
group_end run_group(Plan plan, Calls& calls, Executor& executor, parallel_options const& o,
                    std::size_t at_once) {
  std::size_t const workers = parallel_workers(o, at_once);
  if constexpr (requires { executor.inner(); }) {
    return run_group(std::move(plan), calls, executor.inner(), executor.clock(), o, workers);
  } else {
    return run_group(std::move(plan), calls, executor, steady(), o, workers);
  }
}

/// The failure that the whole group ends with, if it does.
template <class Calls>
std::optional<failure> group_failure(group_end const& end, Calls const& calls, error_handling how) {
  if (how == error_handling::collect_all) {
    if (auto const first = calls.first_without_value()) {
      failure why = calls.why(*first);
      return why.code ? why : failure{.code = end.closed_by};
    }
    return std::nullopt;
  }
  if (end.failed_first) return calls.why(*end.first_failed);
  if (end.incomplete) return failure{.code = end.closed_by};
  if (end.first_failed) return calls.why(*end.first_failed);
  return std::nullopt;
}

#if TIDEOVER_EXCEPTIONS
[[noreturn]] TIDEOVER_COLD inline void raise_group(failure const& why) {
  if (why.cause && why.code == errc::computation_failed) std::rethrow_exception(why.cause);
  raise(why);
}
template <class Calls>
auto values_or_throw(group_end const& end, Calls& calls, error_handling how) {
  if (auto const why = group_failure(end, calls, how)) raise_group(*why);
  return calls.values();
}
#endif

template <class E>
concept parallel_executor = executor<std::remove_cvref_t<E>>;

template <class E, class... F>
auto gather_calls(E& e, parallel_options const& o, gathered_calls<F...>& calls) {
  return run_group(free_plan(sizeof...(F)), calls, e, o, sizeof...(F));
}

/// One call of `map` for each item.
template <class Range, class F>
auto map_calls(numbered<Range> const& items, F& map) {
  using item = typename numbered<Range>::reference;
  static_assert(is_parallel_call<F, item>,
                "tideover::parallel: the function cannot be called with an item of the range");
  using value = kept<F, item>;
  return make_slot_calls<value, takes_group_deadline<F, item>>(
      items.size(), [&](parallel_slot<value>& s, std::size_t i, deadline const& until) {
        return s.fill(map, until, items[i]);
      });
}

/// One call of each target with the request.
template <class Request, class Targets>
auto scatter_calls(Request const& request, numbered<Targets> const& targets) {
  using target = std::remove_reference_t<typename numbered<Targets>::reference>;
  static_assert(is_parallel_call<target, Request const&>,
                "tideover::scatter_gather: a target cannot be called with the request");
  using value = kept<target, Request const&>;
  return make_slot_calls<value, takes_group_deadline<target, Request const&>>(
      targets.size(), [&](parallel_slot<value>& s, std::size_t i, deadline const& until) {
        auto&& f = targets[i];
        return s.fill(f, until, request);
      });
}

/// Item i to worker i modulo workers.
template <class Items, class Workers>
auto lane_calls(numbered<Items> const& items, numbered<Workers> const& workers) {
  using item = typename numbered<Items>::reference;
  using worker = std::remove_reference_t<typename numbered<Workers>::reference>;
  static_assert(is_parallel_call<worker, item>,
                "tideover::round_robin: a worker cannot be called with an item of the range");
  if (workers.size() == 0) raise_out_of_bounds("round_robin: the number of workers", "0", "1 or more");
  using value = kept<worker, item>;
  return make_slot_calls<value, takes_group_deadline<worker, item>>(
      items.size(), [&](parallel_slot<value>& s, std::size_t i, deadline const& until) {
        auto&& f = workers[i % workers.size()];
        return s.fill(f, until, items[i]);
      });
}

/// What `reduce` takes: all values, all results, or two values of which it makes one.
template <class R, class M>
inline constexpr bool reduces_values = std::is_invocable_v<R&, std::vector<M>>;
template <class R, class M>
inline constexpr bool reduces_results =
    !reduces_values<R, M> && std::is_invocable_v<R&, std::vector<result<M>>>;
template <class R, class M>
inline constexpr bool reduces_pairs =
    !reduces_values<R, M> && !reduces_results<R, M> && std::is_invocable_r_v<M, R&, M, M>;

template <class R, class M>
decltype(auto) reduce_values(R& reduce, std::vector<M> values) {
  if constexpr (reduces_values<R, M>) {
    return std::invoke(reduce, std::move(values));
  } else {
    static_assert(
        reduces_pairs<R, M>,
        "tideover::map_reduce: reduce must take a vector of what map returns, a vector of results of "
        "it, or two of it and make one of them");
    if (values.empty()) return M();
    M sum = std::move(values.front());
    for (std::size_t i = 1; i != values.size(); ++i) {
      sum = std::invoke(reduce, std::move(sum), std::move(values[i]));
    }
    return M(std::move(sum));
  }
}

}  // namespace detail

#if TIDEOVER_EXCEPTIONS
/// The values of all functions, as a tuple; as slow as the slowest where the executor has the threads.
template <detail::parallel_executor E, class... F>
  requires(sizeof...(F) > 0 && (detail::is_parallel_call<std::remove_reference_t<F>> && ...))
auto gather(E&& executor, parallel_options const& o, F&&... f) {
  detail::gathered_calls<std::remove_reference_t<F>...> calls(f...);
  return detail::values_or_throw(detail::gather_calls(executor, o, calls), calls, o.errors);
}
template <detail::parallel_executor E, class... F>
  requires(sizeof...(F) > 0 && (detail::is_parallel_call<std::remove_reference_t<F>> && ...))
auto gather(E&& executor, F&&... f) { return gather(executor, parallel_options(), f...); }
#endif
/// A `result` of each.
template <detail::parallel_executor E, class... F>
  requires(sizeof...(F) > 0 && (detail::is_parallel_call<std::remove_reference_t<F>> && ...))
auto try_gather(E&& executor, parallel_options const& o, F&&... f) {
  detail::gathered_calls<std::remove_reference_t<F>...> calls(f...);
  auto const end = detail::gather_calls(executor, o, calls);
  return calls.results(end.closed_by);
}
template <detail::parallel_executor E, class... F>
  requires(sizeof...(F) > 0 && (detail::is_parallel_call<std::remove_reference_t<F>> && ...))
auto try_gather(E&& executor, F&&... f) { return try_gather(executor, parallel_options(), f...); }

#if TIDEOVER_EXCEPTIONS
/// `map(item)` for each item, at once; then, on the calling thread, `reduce` over what they returned, in the
/// order of the items: `reduce(std::vector<M>)` once; or `reduce(M, M) -> M` from the left, where an empty
/// range gives `M()`; or `reduce(std::vector<result<M>>)`, which sees the failures and is always called.
template <detail::parallel_executor E, class Range, class Map, class Reduce>
auto map_reduce(E&& executor, Range&& range, Map&& map, Reduce&& reduce, parallel_options const& o = {}) {
  detail::numbered<std::remove_reference_t<Range>> const items(range);
  auto calls = detail::map_calls(items, map);
  using made = typename decltype(calls)::value_type;
  auto const end = detail::run_group(detail::free_plan(items.size()), calls, executor, o, items.size());
  if constexpr (detail::reduces_results<std::remove_reference_t<Reduce>, made>) {
    return std::invoke(reduce, calls.results(end.closed_by));
  } else {
    return detail::reduce_values(reduce, detail::values_or_throw(end, calls, o.errors));
  }
}
#endif
/// What it comes to, or the failure of the first call that failed or of `reduce`.
template <detail::parallel_executor E, class Range, class Map, class Reduce>
auto try_map_reduce(E&& executor, Range&& range, Map&& map, Reduce&& reduce, parallel_options const& o = {}) {
  detail::numbered<std::remove_reference_t<Range>> const items(range);
  auto calls = detail::map_calls(items, map);
  using made = typename decltype(calls)::value_type;
  constexpr bool sees_failures = detail::reduces_results<std::remove_reference_t<Reduce>, made>;
  auto const end = detail::run_group(detail::free_plan(items.size()), calls, executor, o, items.size());
  auto const sum = [&] {
    if constexpr (sees_failures) {
      return std::invoke(reduce, calls.results(end.closed_by));
    } else {
      return detail::reduce_values(reduce, calls.values());
    }
  };
  using returned = result<detail::kept<decltype(sum) const>>;
  if constexpr (!sees_failures) {
    if (auto why = detail::group_failure(end, calls, o.errors)) return returned(*std::move(why));
  }
  detail::parallel_slot<typename returned::value_type> slot;
  slot.fill(sum, o.until);
  return slot.take(end.closed_by);
}

#if TIDEOVER_EXCEPTIONS
/// One request to each of a range of targets, callables of one type; their answers in the targets' order.
template <detail::parallel_executor E, class Request, class Targets>
auto scatter_gather(E&& executor, Request const& request, Targets&& targets, parallel_options const& o = {}) {
  detail::numbered<std::remove_reference_t<Targets>> const all(targets);
  auto calls = detail::scatter_calls(request, all);
  auto const end = detail::run_group(detail::free_plan(all.size()), calls, executor, o, all.size());
  return detail::values_or_throw(end, calls, o.errors);
}
#endif
template <detail::parallel_executor E, class Request, class Targets>
auto try_scatter_gather(E&& executor, Request const& request, Targets&& targets,
                        parallel_options const& o = {}) {
  detail::numbered<std::remove_reference_t<Targets>> const all(targets);
  auto calls = detail::scatter_calls(request, all);
  auto const end = detail::run_group(detail::free_plan(all.size()), calls, executor, o, all.size());
  return calls.results(end.closed_by);
}

#if TIDEOVER_EXCEPTIONS
/// Item i to worker i modulo workers: `workers` is a range of callables, each of which does one item at a
/// time, its items in order, and so may keep what it likes. What they return, in the order of the items.
/// Throws errc::invalid_argument when there is no worker.
template <detail::parallel_executor E, class Items, class Workers>
auto round_robin(E&& executor, Items&& items, Workers&& workers, parallel_options const& o = {}) {
  detail::numbered<std::remove_reference_t<Items>> const all(items);
  detail::numbered<std::remove_reference_t<Workers>> const those(workers);
  auto calls = detail::lane_calls(all, those);
  auto const end =
      detail::run_group(detail::lane_plan(all.size(), those.size()), calls, executor, o, those.size());
  return detail::values_or_throw(end, calls, o.errors);
}
#endif
template <detail::parallel_executor E, class Items, class Workers>
auto try_round_robin(E&& executor, Items&& items, Workers&& workers, parallel_options const& o = {}) {
  detail::numbered<std::remove_reference_t<Items>> const all(items);
  detail::numbered<std::remove_reference_t<Workers>> const those(workers);
  auto calls = detail::lane_calls(all, those);
  auto const end =
      detail::run_group(detail::lane_plan(all.size(), those.size()), calls, executor, o, those.size());
  return calls.results(end.closed_by);
}

/// Stages that each item passes, one after the other, while other items are in other stages. A stage does one
/// item at a time, in their order, and so may keep what it likes; what it returns is moved to the next one.
///
///     tideover::pipeline import(parse, enrich, store);
///     std::vector<id> ids = import.run(pool, lines);
///
/// An item whose stage failed passes no other one. For stages that may take several items at once, call them
/// one after the other in a `map_reduce`. One run at a time.
template <class... Stages>
class pipeline {
  static_assert(sizeof...(Stages) > 0, "tideover::pipeline: there must be a stage");

 public:
  explicit pipeline(Stages... stages) : stages_(std::move(stages)...) {}

#if TIDEOVER_EXCEPTIONS
  /// What the last stage made of each item, in their order.
  template <detail::parallel_executor E, class Items>
  auto run(E&& executor, Items&& items, parallel_options const& o = {}) {
    detail::staged_calls<std::remove_reference_t<Items>, Stages...> calls(items, stages_);
    auto const end = detail::run_group(plan(calls.size()), calls, executor, o, sizeof...(Stages));
    return detail::values_or_throw(end, calls, o.errors);
  }
#endif
  template <detail::parallel_executor E, class Items>
  auto try_run(E&& executor, Items&& items, parallel_options const& o = {}) {
    detail::staged_calls<std::remove_reference_t<Items>, Stages...> calls(items, stages_);
    auto const end = detail::run_group(plan(calls.size()), calls, executor, o, sizeof...(Stages));
    return calls.results(end.closed_by);
  }

 private:
  using plan = detail::stage_plan<sizeof...(Stages)>;

  std::tuple<Stages...> stages_;
};

}  // namespace tideover::inline v0
