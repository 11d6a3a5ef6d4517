// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/cache_store.hpp>
#include <tideover/cached.hpp>
#include <tideover/config.hpp>
#include <tideover/deadline.hpp>
#include <tideover/detail/computation.hpp>
#include <tideover/detail/flight_table.hpp>
#include <tideover/detail/stampede/failing_keys.hpp>
#include <tideover/detail/stampede/leash.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/backoff.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/early_refresh.hpp>
#include <tideover/policy/early_refresh/xfetch.hpp>
#include <tideover/policy/executor.hpp>
#include <tideover/policy/hashing.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/policy/policy.hpp>
#include <tideover/policy/retryable.hpp>
#include <tideover/policy/rng.hpp>
#include <tideover/result.hpp>
#include <tideover/stampede_guard_options.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace tideover::inline v0 {

/// The axes of `stampede_guard`.
using stampede_axes = axes<axis::early_refresh, axis::executor, axis::backoff, axis::retryable, axis::locking,
                           axis::clock, axis::hashing, axis::rng>;

/// Refreshes run inline, by the caller that was chosen, which then has the new value.
using inline_refresh = inline_run;

namespace detail {

template <class E>
struct value_in_envelope {
  static constexpr bool is_envelope = false;
  using type = void;
};
template <class T>
struct value_in_envelope<cached<T>> {
  static constexpr bool is_envelope = true;
  using type = T;
};

/// A guard tells the time as its store does, is shared as it is, and hashes as it does, unless told
/// otherwise.
template <class Store, class Default>
struct clock_of_store {
  using type = Default;
};
template <class Store, class Default>
  requires clock_policy<typename Store::clock_type>
struct clock_of_store<Store, Default> {
  using type = typename Store::clock_type;
};
template <class Store>
struct locking_of_store {
  using type = sharded<>;
};
template <class Store>
  requires(locking_policy<typename Store::locking_type> && !Store::locking_type::is_shared)
struct locking_of_store<Store> {
  using type = single_threaded;
};
template <class Store>
struct hashing_of_store {
  using type = seeded_hash;
};
template <class Store>
  requires hashing_policy<typename Store::hashing_type, typename Store::key_type>
struct hashing_of_store<Store> {
  using type = typename Store::hashing_type;
};

/// What a visitor returned, until it is returned further.
template <class R>
struct kept_answer {
  bool there = false;
  std::optional<R> answer{};
  template <class Visitor, class T>
  void keep(Visitor& visitor, T const& value) {
    answer.emplace(std::invoke(visitor, value));
    there = true;
  }
  R take() { return *std::move(answer); }
};
template <class R>
struct kept_answer<R&> {
  bool there = false;
  R* answer = nullptr;
  template <class Visitor, class T>
  void keep(Visitor& visitor, T const& value) {
    answer = std::addressof(std::invoke(visitor, value));
    there = true;
  }
  R& take() { return *answer; }
};
template <>
struct kept_answer<void> {
  bool there = false;
  template <class Visitor, class T>
  void keep(Visitor& visitor, T const& value) {
    std::invoke(visitor, value);
    there = true;
  }
  void take() {}
};

}  // namespace detail

/// Keeps callers from computing the same thing at once, over any store of `cached<T>`: values are refreshed
/// ahead of their expiry by one caller chosen at random (XFetch), what is missing is computed once however
/// many ask, and what is there is served while it is being refreshed or cannot be.
///
///     using store = tideover::ttl_cache<std::string, tideover::cached<page>>;
///     tideover::stampede_guard<store> pages({.capacity = 10'000}, {.ttl = 60s, .stale_if_error = 5min});
///     page p = pages.get_or_compute("/", [](auto const& key) { return render(key); });
///
/// A value is FRESH for `ttl` from the end of its computation, then STALE for the longer one of
/// `stale_while_revalidate` and `stale_if_error`, then ABSENT. FRESH and STALE within
/// `stale_while_revalidate` are served at once, while at most one caller, or the executor, refreshes. STALE
/// past that is computed anew, and served if that fails in a way that may pass. ABSENT is computed.
///
/// Policies, in any order after Store; objects of those with state are passed after the options:
///   early_refresh  xfetch (default), refresh_after<fraction>, no_early_refresh
///   executor       inline_refresh (default), owned_threads, hand_driven, run_by<F>: where refreshes run
///   backoff        exponential_backoff (default: 100 ms to 30 s), constant_backoff, no_backoff
///   retryable      every_failure (default), retryable_if<F>: after which failures a stale value is served
///   locking        sharded<16> (default; single_threaded if the store is), one_mutex, single_threaded
///   clock          the store's, else coarse; hashing: the store's, else seeded_hash; rng: xoshiro
///
/// Store    Owned: made of the first argument, and of the clock if it takes one, or by the first argument if
///          that is a function that returns one. Lent: `stampede_guard<store&>`. It names `key_type` and
///          `mapped_type`, a cached<T>; T and key are copyable. Write through the guard: what others write to
///          the store directly is served, but computations under way do not know of it.
/// Threads  All members may be called at once, but with `single_threaded`. Functions of the user's run
///          without any lock and may use the guard, for other keys. A wait that would close a cycle of waits
///          ends with errc::recursive_computation.
/// Cost     A hit on a fresh value: what the store's `get` costs, and below 10 ns.
///
/// It must outlive every call; its destructor waits for refreshes that its executor is running.
template <class Store, class... Policies>
class stampede_guard {
  static_assert(stampede_axes::accept<Policies...>);

 public:
  using store_type = std::remove_reference_t<Store>;
  using key_type = typename store_type::key_type;
  using envelope_type = typename store_type::mapped_type;
  static_assert(detail::value_in_envelope<envelope_type>::is_envelope,
                "tideover::stampede_guard: the store must hold tideover::cached<T>");
  using mapped_type = typename detail::value_in_envelope<envelope_type>::type;
  using options = stampede_guard_options;
  using early_refresh_type = policy_for<axis::early_refresh, xfetch, Policies...>;
  using executor_type = policy_for<axis::executor, inline_refresh, Policies...>;
  using backoff_type = policy_for<axis::backoff, exponential_backoff, Policies...>;
  using retryable_type = policy_for<axis::retryable, every_failure, Policies...>;
  using locking_type =
      policy_for<axis::locking, typename detail::locking_of_store<store_type>::type, Policies...>;
  using clock_type =
      policy_for<axis::clock, typename detail::clock_of_store<store_type, coarse>::type, Policies...>;
  using hashing_type =
      policy_for<axis::hashing, typename detail::hashing_of_store<store_type>::type, Policies...>;
  using rng_type = policy_for<axis::rng, xoshiro, Policies...>;

  static_assert(cache_store<store_type, key_type, envelope_type>,
                "tideover::stampede_guard: see tideover::cache_store in <tideover/cache_store.hpp>");
  static_assert(std::copy_constructible<key_type> && std::copy_constructible<mapped_type>,
                "tideover::stampede_guard: keys and values must be copyable: those who wait get copies");
  static_assert(
      early_refresh_policy<early_refresh_type>,
      "tideover::stampede_guard: see tideover::early_refresh_policy in <tideover/policy/early_refresh.hpp>");
  static_assert(executor<executor_type>,
                "tideover::stampede_guard: see tideover::executor in <tideover/policy/executor.hpp>");
  static_assert(backoff_policy<backoff_type>,
                "tideover::stampede_guard: see tideover::backoff_policy in <tideover/policy/backoff.hpp>");
  static_assert(
      retryable_policy<retryable_type>,
      "tideover::stampede_guard: see tideover::retryable_policy in <tideover/policy/retryable.hpp>");
  static_assert(locking_policy<locking_type>,
                "tideover::stampede_guard: see tideover::locking_policy in <tideover/policy/locking.hpp>");
  static_assert(clock_policy<clock_type>,
                "tideover::stampede_guard: see tideover::clock_policy in <tideover/policy/clock.hpp>");
  static_assert(std::is_same_v<clock_type, typename detail::clock_of_store<store_type, clock_type>::type>,
                "tideover::stampede_guard: guard and store must have the same clock");
  static_assert(hashing_policy<hashing_type, key_type>,
                "tideover::stampede_guard: see tideover::hashing_policy in <tideover/policy/hashing.hpp>");
  static_assert(rng_policy<rng_type>,
                "tideover::stampede_guard: see tideover::rng_policy in <tideover/policy/rng.hpp>");
  static_assert(locking_type::is_shared || std::is_same_v<executor_type, inline_refresh> ||
                    std::is_same_v<executor_type, hand_driven>,
                "tideover::stampede_guard: a guard for one thread cannot refresh on another");

  // ---- Making one -----------------------------------------------------------------------------------------

  /// Throws what the constructor would, for whoever makes these options of his own, named `of`.
  static void check(options const& o, char const* of = "stampede_guard_options") {
    using std::to_string;
    auto const refuse = [of](char const* field, std::string const& value, char const* bounds) {
      detail::raise_out_of_bounds(std::string(of).append(".").append(field), value, bounds);
    };
    auto const not_negative = [&](char const* field, std::chrono::nanoseconds d) {
      if (d < std::chrono::nanoseconds(0)) {
        refuse(field, to_string(d.count()).append(" ns"), "0 ns or above");
      }
    };
    not_negative("stale_while_revalidate", o.stale_while_revalidate);
    not_negative("stale_if_error", o.stale_if_error);
    not_negative("negative_ttl", o.negative_ttl);
    if (!(o.ttl_jitter >= 0.0 && o.ttl_jitter <= 0.5)) {  // NaN fails every comparison
      refuse("ttl_jitter", detail::text_of(o.ttl_jitter), "between 0.0 and 0.5");
    }
    if (o.max_waiters > 4'000'000'000u) {
      refuse("max_waiters", to_string(o.max_waiters), "between 0 and 4000000000");
    }
    if (o.max_failing < 1 || o.max_failing > 4'000'000'000u) {
      refuse("max_failing", to_string(o.max_failing), "between 1 and 4000000000");
    }
  }

  /// What the store is made of, the options, `({}, {})` for the defaults of both, then objects of the
  /// policies named above that have state, in any order. Throws `error` (errc::invalid_argument) naming
  /// field, value and bounds.
  template <class Init, class... P>
    requires(detail::is_one_of<P, early_refresh_type, executor_type, backoff_type, retryable_type,
                               locking_type, clock_type, hashing_type, rng_type>&&...)
  explicit stampede_guard(Init&& init, options o, P&&... policies)
      : options_((check(o), o)),
        clock_(detail::take_policy<clock_type>(std::forward<P>(policies)...)),
        hashing_(detail::take_policy<hashing_type>(std::forward<P>(policies)...)),
        early_(detail::take_policy<early_refresh_type>(std::forward<P>(policies)...)),
        backoff_(detail::take_policy<backoff_type>(std::forward<P>(policies)...)),
        retryable_(detail::take_policy<retryable_type>(std::forward<P>(policies)...)),
        store_(make_store(std::forward<Init>(init), clock_)),
        executor_(detail::take_policy<executor_type>(std::forward<P>(policies)...)) {
    rng_type seeds(detail::take_policy<rng_type>(std::forward<P>(policies)...));
    for (shard& s : table_) s.state.rng = rng_type(seeds());
    if constexpr (!runs_inline) leash_ = std::make_shared<leash_type>(*this);
  }
  /// The same, for the store's options in braces.
  template <class S = store_type, class... P>
    requires(std::is_class_v<typename S::options> &&
             (detail::is_one_of<P, early_refresh_type, executor_type, backoff_type, retryable_type,
                                locking_type, clock_type, hashing_type, rng_type> &&
              ...))
  explicit stampede_guard(typename S::options&& store_options, options o, P&&... policies)
      : stampede_guard(std::as_const(store_options), o, std::forward<P>(policies)...) {}
  stampede_guard(stampede_guard const&) = delete;
  stampede_guard& operator=(stampede_guard const&) = delete;
  ~stampede_guard() {
    if constexpr (!runs_inline) leash_->cut();
    for (shard& s : table_) {
      TIDEOVER_ASSERT(s.state.counts.running == s.state.queued,
                      "tideover::stampede_guard: destroyed while it computes");
      static_cast<void>(s);
    }
  }

  // ---- One key --------------------------------------------------------------------------------------------
  //
  // `compute(Key const&, std::stop_token)`, `compute(Key const&)` or `compute()` gives a value or a `result`
  // of one; or a cached<T>, or a `result` of that: an entry of a farther tier, which keeps its expiry and its
  // delta here and is never refreshed early, since that is for the tier that pays for the computation. It
  // runs without any lock, on the calling thread, or as a refresh on the executor; for that it is copied, so
  // it may not refer to what the caller's scope ends. Its failure reaches exactly those that waited for it
  // and have no value that may be served; from then on the key backs off. `until` ends this caller's own
  // wait, not the computation; the one who computes does not look at the time. A caller that is told
  // errc::timed_out had no stale value to fall back on.

#if TIDEOVER_EXCEPTIONS
  /// A copy of the value: the one that is there if it may be served, else the computed one.
  template <class K = key_type, class F>
  mapped_type get_or_compute(K&& key, F&& compute) {
    return get_or_compute(std::forward<K>(key), std::forward<F>(compute), detail::no_deadline{});
  }
  template <class K = key_type, class F, class Deadline = deadline>
  mapped_type get_or_compute(K&& key, F&& compute, Deadline const& until) {
    auto&& wanted = lookup_key(std::forward<K>(key));
    std::optional<envelope_type> seen = store_.get(wanted);
    instant t{};
    if (plain_hit<F>(seen, t)) return std::move(seen->value);
    return given(slow(as_key(wanted), seen, t, std::forward<F>(compute), until)).value;
  }
  /// The same, with how it came about.
  template <class K = key_type, class F>
  served<mapped_type> serve(K&& key, F&& compute) {
    return serve(std::forward<K>(key), std::forward<F>(compute), detail::no_deadline{});
  }
  template <class K = key_type, class F, class Deadline = deadline>
  served<mapped_type> serve(K&& key, F&& compute, Deadline const& until) {
    return given(try_serve(std::forward<K>(key), std::forward<F>(compute), until));
  }
  /// What `visitor(T const&)` returns for that value, which is not copied if it is there and the store can be
  /// visited.
  template <class K = key_type, class F, class Visitor>
    requires std::is_invocable_v<Visitor&, mapped_type const&>
        std::invoke_result_t<Visitor&, mapped_type const&> visit_or_compute(K&& key, F&& compute,
                                                                            Visitor&& visitor) {
      return visit_or_compute(std::forward<K>(key), std::forward<F>(compute), visitor, detail::no_deadline{});
    }
  template <class K = key_type, class F, class Visitor, class Deadline = deadline>
    requires std::is_invocable_v<Visitor&, mapped_type const&>
        std::invoke_result_t<Visitor&, mapped_type const&> visit_or_compute(K&& key, F&& compute,
                                                                            Visitor&& visitor,
                                                                            Deadline const& until) {
      return visited<true>(std::forward<K>(key), std::forward<F>(compute), visitor, until);
    }
#endif

  /// As `get_or_compute`, but what `compute` throws or returns as a failure comes back as a failure: its own,
  /// or errc::computation_failed with the exception as its cause.
  template <class K = key_type, class F>
  result<mapped_type> try_get_or_compute(K&& key, F&& compute) {
    return try_get_or_compute(std::forward<K>(key), std::forward<F>(compute), detail::no_deadline{});
  }
  template <class K = key_type, class F, class Deadline = deadline>
  result<mapped_type> try_get_or_compute(K&& key, F&& compute, Deadline const& until) {
    auto&& wanted = lookup_key(std::forward<K>(key));
    std::optional<envelope_type> seen = store_.get(wanted);
    instant t{};
    if (plain_hit<F>(seen, t)) return result<mapped_type>(std::in_place, std::move(seen->value));
    auto got = slow(as_key(wanted), seen, t, std::forward<F>(compute), until);
    if (!got) return got.error();
    return result<mapped_type>(std::in_place, std::move(got->value));
  }
  template <class K = key_type, class F>
  result<served<mapped_type>> try_serve(K&& key, F&& compute) {
    return try_serve(std::forward<K>(key), std::forward<F>(compute), detail::no_deadline{});
  }
  template <class K = key_type, class F, class Deadline = deadline>
  result<served<mapped_type>> try_serve(K&& key, F&& compute, Deadline const& until) {
    auto&& wanted = lookup_key(std::forward<K>(key));
    std::optional<envelope_type> seen = store_.get(wanted);
    instant t{};
    if (plain_hit<F>(seen, t)) return served<mapped_type>{std::move(seen->value), serving::fresh, {}};
    return slow(as_key(wanted), seen, t, std::forward<F>(compute), until);
  }
  template <class K = key_type, class F, class Visitor>
    requires std::is_invocable_v<Visitor&, mapped_type const&>
        result<std::invoke_result_t<Visitor&, mapped_type const&>> try_visit_or_compute(K&& key, F&& compute,
                                                                                        Visitor&& visitor) {
      return try_visit_or_compute(std::forward<K>(key), std::forward<F>(compute), visitor,
                                  detail::no_deadline{});
    }
  template <class K = key_type, class F, class Visitor, class Deadline = deadline>
    requires std::is_invocable_v<Visitor&, mapped_type const&>
        result<std::invoke_result_t<Visitor&, mapped_type const&>> try_visit_or_compute(
            K&& key, F&& compute, Visitor&& visitor, Deadline const& until) {
      return visited<false>(std::forward<K>(key), std::forward<F>(compute), visitor, until);
    }

  /// A copy of the value if it is fresh, or stale within `stale_while_revalidate`. Computes and refreshes
  /// nothing.
  template <class K = key_type>
  std::optional<mapped_type> get(K const& key) {
    std::optional<envelope_type> seen = store_.get(lookup_key(key));
    if (!seen || !served_anyway(age_of(*seen, clock_.now()))) return std::nullopt;
    return std::optional<mapped_type>(std::in_place, std::move(seen->value));
  }

  /// Stores a value that is fresh for `o.ttl`, else for the options' `ttl`, from now; what it costs to
  /// compute stays what it was. A life of zero or less stores nothing and erases what was there. No
  /// computation that began before it returns is stored. Returns whether the store has taken it.
  template <class K = key_type, class V = mapped_type>
    requires std::constructible_from<mapped_type, V>
  bool put(K const& key, V&& value, put_options const& o = {}) {
    auto&& found_by = lookup_key(key);
    auto&& wanted = as_key(found_by);
    std::optional<envelope_type> entry;
    return write(wanted, [&] {
      if (!entry) {
        std::chrono::nanoseconds const life = o.ttl ? *o.ttl : own_ttl(table_.shard_of(hashing_(wanted)));
        if (life <= std::chrono::nanoseconds(0)) {
          erase_from_store(wanted);
          return false;
        }
        std::optional<envelope_type> const before = store_.get(wanted);
        entry.emplace(enveloped(mapped_type(std::forward<V>(value)), clock_.precise_now(),
                                before ? before->delta : std::chrono::nanoseconds(0), life));
      }
      return store_envelope(wanted, *entry);
    });
  }

  /// Stores an entry of a farther tier as it is: it lives here for what is left of its life there, and no
  /// longer.
  template <class K = key_type>
  bool adopt(K const& key, envelope_type entry) {
    auto&& found_by = lookup_key(key);
    auto&& wanted = as_key(found_by);
    return write(wanted, [&] {
      entry.generation = generation();
      if (entry.gone(clock_.now())) {
        erase_from_store(wanted);
        return false;
      }
      return store_envelope(wanted, entry);
    });
  }

  /// Forgets the key: its value, and that it failed. A computation under way is delivered to those who wait
  /// for it and not stored; who asks from now on computes anew. Returns whether there was a value, if the
  /// store says so.
  template <class K = key_type>
  bool invalidate(K const& key) {
    auto&& found_by = lookup_key(key);
    auto&& wanted = as_key(found_by);
    bool was_there = false;
    return write(wanted, [&] { return was_there = erase_from_store(wanted) || was_there; });
  }

  // ---- All keys -------------------------------------------------------------------------------------------

  /// Forgets all keys; as `invalidate` of each.
  void clear() requires requires(store_type& s) { s.clear(); }
  {
    hold_off_all();
    do store_.clear();
    while (hold_off_all());
  }
  /// Disowns all values at once, by the store: no call that begins after it is given one of before.
  std::uint64_t new_generation() requires generational_store<store_type> {
    store_.new_generation();
    return generation();
  }
  std::uint64_t generation() const {
    if constexpr (generational_store<store_type>) {
      return static_cast<std::uint64_t>(std::as_const(store_).generation());
    } else {
      return 0;
    }
  }

  // ---- Observing ------------------------------------------------------------------------------------------

  stampede_stats stats() const {
    stampede_stats sum;
    for (shard& s : table_) {
      lock_type lock(s.mutex);
      sum += s.state.counts;
      sum.failing += s.state.failing.size();
    }
    return sum;
  }
  options const& configured() const noexcept { return options_; }
  clock_type const& clock() const noexcept { return clock_; }
  /// The store: to observe it, and for what the guard has no verb for.
  store_type& store() noexcept { return store_; }
  executor_type& refresher() noexcept { return executor_; }

 private:
  static constexpr bool runs_inline = std::is_same_v<executor_type, inline_refresh>;
  static constexpr std::chrono::nanoseconds forgiven_after = std::chrono::minutes(1);

  struct shard_state {
    stampede_stats counts;
    std::uint64_t queued = 0;  // of `counts.running`, those that have not begun
    detail::failing_keys<key_type> failing;
    rng_type rng{std::uint64_t{0}};
  };
  struct parts {
    using key_type = stampede_guard::key_type;
    using value_type = mapped_type;
    using hashing_type = stampede_guard::hashing_type;
    using locking_type = stampede_guard::locking_type;
    using state_type = shard_state;
  };
  using table = detail::flight_table<parts>;
  using shard = typename table::shard;
  using record = typename table::record;
  using lock_type = typename table::lock_type;
  using leash_type = detail::leash<stampede_guard>;
  using served_type = served<mapped_type>;
  using removed_failure = typename detail::failing_keys<key_type>::removed;

  enum class age { fresh, revalidate, stale, absent };
  static constexpr bool served_anyway(age a) noexcept { return a == age::fresh || a == age::revalidate; }

  /// What is known of the value that a computation is to replace.
  struct prior {
    bool known = false;
    instant created{};
    std::chrono::nanoseconds delta{0};
    prior() = default;
    explicit prior(std::optional<envelope_type> const& seen) noexcept {
      if (!seen) return;
      known = true;
      created = seen->created;
      delta = seen->delta;
    }
  };

  // ---- Small parts ----------------------------------------------------------------------------------------

  template <class Init>
  static Store make_store(Init&& init, [[maybe_unused]] clock_type const& clock) {
    if constexpr (std::is_reference_v<Store>) {
      return init;
    } else if constexpr (std::is_constructible_v<store_type, Init, clock_type const&>) {
      return store_type(std::forward<Init>(init), clock);
    } else if constexpr (std::is_constructible_v<store_type, Init>) {
      return store_type(std::forward<Init>(init));
    } else {
      static_assert(std::is_invocable_r_v<store_type, Init>,
                    "tideover::stampede_guard: the first argument must be what the store is made of, or a "
                    "function that makes it");
      return std::forward<Init>(init)();
    }
  }

  /// The key as the store takes it.
  template <class K>
  static decltype(auto) lookup_key(K&& key) {
    if constexpr (std::is_same_v<std::remove_cvref_t<K>, key_type> || requires(store_type & s) {
                    { s.get(key) } -> std::same_as<std::optional<envelope_type>>;
                  }) {
      return std::forward<K>(key);
    } else {
      return key_type(std::forward<K>(key));
    }
  }
  template <class K>
  static decltype(auto) as_key(K const& key) {
    if constexpr (std::is_same_v<K, key_type>) {
      return (key);
    } else if constexpr (std::is_constructible_v<key_type, K const&>) {
      return key_type(key);
    } else {
      return key_type(key.view());  // a cache_key shows its text
    }
  }

  bool current(envelope_type const& e) const { return e.generation >= generation(); }
  age age_of(envelope_type const& e, instant t) const {
    if (e.gone(t) || !current(e)) return age::absent;
    if (e.fresh(t)) return age::fresh;
    return t < e.soft_expiry + options_.stale_while_revalidate ? age::revalidate : age::stale;
  }
  age age_of(std::optional<envelope_type> const& e, instant t) const {
    return e ? age_of(*e, t) : age::absent;
  }

  template <class F>
  static constexpr bool brings_envelope =
      std::is_same_v<detail::computed_by<std::remove_reference_t<F>, key_type>, envelope_type> ||
      std::is_same_v<detail::computed_by<std::remove_reference_t<F>, key_type>, result<envelope_type>>;

  /// The rng of some shard, locked for each draw; which one does not matter, only that it is chosen without
  /// the key's hash, which may throw, and without anything that differs from run to run.
  class drawing {
   public:
    drawing(table& all, envelope_type const& e) noexcept
        : shard_(all.shard_of(static_cast<std::uint64_t>(e.created.ns) * 0x9E3779B97F4A7C15u)) {}
    std::uint64_t operator()() noexcept {
      lock_type lock(shard_.mutex);
      return shard_.state.rng();
    }

   private:
    shard& shard_;
  };

  /// Whether there is a fresh value that this caller is not to refresh; `t` becomes the time of the call.
  template <class F>
  bool plain_hit(std::optional<envelope_type> const& seen, instant& t) {
    static_assert(
        detail::is_computation<std::remove_reference_t<F>, key_type>,
        "tideover::stampede_guard: compute must be callable as compute(Key const&, std::stop_token), "
        "compute(Key const&) or compute()");
    t = clock_.now();
    return seen && plain_hit_on<F>(*seen, t);
  }
  template <class F>
  bool plain_hit_on(envelope_type const& e, instant t) {
    if (!e.fresh(t) || !current(e)) return false;
    if constexpr (early_refresh_type::refreshes && !brings_envelope<F>) {
      drawing rng(table_, e);
      // What was computed lives for `ttl` from the end of its computation, what was put from when it was
      // created.
      return !early_(t, e.soft_expiry, e.delta, std::min(options_.ttl, e.soft_expiry - e.created), rng);
    } else {
      return true;
    }
  }

  bool retryable(failure const& why) noexcept {
#if TIDEOVER_EXCEPTIONS
    try {
      return static_cast<bool>(retryable_(why));
    } catch (...) {
      shard& s = *table_.begin();
      lock_type lock(s.mutex);
      ++s.state.counts.predicate_failures;
      return false;
    }
#else
    return static_cast<bool>(retryable_(why));
#endif
  }

#if TIDEOVER_EXCEPTIONS
  static served_type given(result<served_type>&& got) {
    if (got) return *std::move(got);
    failure const& why = got.error();
    if (why.cause && why.code == errc::computation_failed) std::rethrow_exception(why.cause);
    detail::raise(why);
  }
#endif

  /// The visitor on the value in the store if that is a plain hit, else on the one that `slow` comes by.
  template <bool Throws, class K, class F, class Visitor, class Deadline>
  decltype(auto) visited(K&& key, F&& compute, Visitor& visitor, Deadline const& until) {
    using answer = std::invoke_result_t<Visitor&, mapped_type const&>;
    using exit_type = std::conditional_t<Throws, answer, result<answer>>;
    auto const leave = [&](auto give) -> exit_type {
      if constexpr (std::is_void_v<answer>) {
        give();
        return exit_type();
      } else {
        return give();
      }
    };
    auto&& wanted = lookup_key(std::forward<K>(key));
    instant t{};
    std::optional<instant> met;
    if constexpr (requires { store_.visit(wanted, [](envelope_type const&) {}); }) {
      detail::kept_answer<answer> hit;
      store_.visit(wanted, [&](envelope_type const& e) {
        met = e.created;
        if (plain_hit_on<F>(e, clock_.now())) hit.keep(visitor, e.value);
      });
      if (hit.there) return leave([&]() -> answer { return hit.take(); });
    }
    std::optional<envelope_type> seen = store_.get(wanted);
    // Who has met this very value has drawn its lot already.
    bool const drawn = met && seen && seen->created == *met;
    if (drawn) t = clock_.now();
    if (!drawn && plain_hit<F>(seen, t)) {
      return leave([&]() -> answer { return std::invoke(visitor, std::as_const(seen->value)); });
    }
    result<served_type> got = slow(as_key(wanted), seen, t, std::forward<F>(compute), until);
    if (!got) {
      if constexpr (Throws) {
        given(std::move(got));
      } else {
        return exit_type(got.error());
      }
    }
    return leave([&]() -> answer { return std::invoke(visitor, std::as_const(got->value)); });
  }

  // ---- Computing ------------------------------------------------------------------------------------------

  /// What is to be done for a caller that met no plain hit.
  enum class course { give, lead, post, join, rest, full };

  /// Serves, joins, leads or posts.
  template <class F, class Deadline>
  TIDEOVER_COLD result<served_type> slow(key_type const& key, std::optional<envelope_type>& seen, instant t,
                                         F&& compute, Deadline const& until) {
    using function = std::remove_reference_t<F>;
    std::uint64_t const hash = hashing_(key);
    shard& s = table_.shard_of(hash);
    for (unsigned lost = 0;; ++lost, t = clock_.now()) {
      age const now_is = age_of(seen, t);
      std::uint64_t const current_generation = generation();
      entry_id id = no_entry;
      failure last;
      course what = course::give;
      {
        lock_type lock(s.mutex);
        what = choose<function>(s, hash, key, seen, now_is, t, current_generation, id, last);
      }
      switch (what) {
        case course::give:
          return as_it_is(s, std::move(*seen), now_is);
        case course::rest:
          return fall_back(s, seen, std::move(last), false);
        case course::full:
          return fall_back(s, seen, {.code = errc::queue_full}, true);
        case course::post:
          if constexpr (!runs_inline) post(s, id, prior(seen), std::forward<F>(compute));
          return as_it_is(s, std::move(*seen), now_is);
        case course::lead:
          return lead(s, id, seen, compute, until);
        case course::join:
          break;
      }
      detail::flight_hold<parts> const hold(s, id);
      detail::flight_end const end = detail::wait_in<parts>(s, id, clock_, until, options_.stop_unwanted);
      if (end == detail::flight_end::recursive) {
        count(s, &stampede_stats::recursions);
        return failure{.code = errc::recursive_computation};
      }
      if (end != detail::flight_end::settled) {
        bool const late = end == detail::flight_end::timed_out;
        count(s, late ? &stampede_stats::timed_out : &stampede_stats::cancelled);
        return fall_back(s, seen, {.code = late ? errc::timed_out : errc::cancelled}, true);
      }
      record const& f = hold.flight();
      if (f.outcome == detail::flight_outcome::value) {
        return result<served_type>(std::in_place, served_type{*f.value, serving::joined, {}});
      }
      if (f.outcome == detail::flight_outcome::failed) return fall_back(s, seen, f.why, false);
      if (lost == detail::most_losses) {
        return fall_back(s, seen, {.code = errc::flight_abandoned}, false);
      }
    }
  }

  /// With the lock. `id`: the flight to lead, post or join; `last`: the failure to rest by.
  template <class F>
  course choose(shard& s, std::uint64_t hash, key_type const& key, std::optional<envelope_type> const& seen,
                age now_is, instant t, std::uint64_t current_generation, entry_id& id, failure& last) {
    stampede_stats& c = s.state.counts;
    id = table::find(s, hashing_, hash, key);
    if (id != no_entry) {
      record& f = s.flights[id];
      // Its failure would be no answer, and its value, if it has one all the same, is older than the next.
      if (f.unwanted && !f.storing) f.outdated = true;
      if (f.outdated || f.generation < current_generation) {
        table::forget(s, id);  // it runs on for those who wait for it
        id = no_entry;
      }
    }
    if (id == no_entry) {
      auto const* const failed = s.state.failing.find(hashing_, hash, key);
      bool const rests = failed != nullptr && t < failed->until;
      if (served_anyway(now_is)) {
        if (rests) return course::give;
      } else if (rests) {
        ++c.failed_fast;
        last = failed->why;
        last.retry_after = failed->until - t;
        return course::rest;
      }
      id = table::enter(s, hash, key, detail::takes_stop_token<F, key_type>);
      record& f = s.flights[id];
      f.generation = current_generation;
      f.purpose = static_cast<unsigned char>(now_is);
      f.ahead_ns = now_is == age::fresh ? (seen->soft_expiry - t).count() : 0;
      ++c.running;
      if (!runs_inline && served_anyway(now_is)) {
        f.queued = true;
        ++s.state.queued;
        return course::post;
      }
      f.sync.lead();
      return course::lead;
    }
    if (served_anyway(now_is)) return course::give;
    record& f = s.flights[id];
    if (f.queued) {  // whoever needs it now does not wait for an executor to have time
      f.queued = false;
      --s.state.queued;
      ++f.callers;
      table::hold(s, id);
      f.sync.lead();
      return course::lead;
    }
    if (f.waiting >= options_.max_waiters) {
      ++c.refused;
      return course::full;
    }
    table::join(s, id);
    ++c.coalesced;
    return course::join;
  }

  /// The one who computes. However that ends, the flight is settled, or everyone would wait for ever.
  class leader {
   public:
    leader(stampede_guard& guard, shard& s, entry_id id) noexcept : guard_(guard), shard_(s), id_(id) {}
    leader(leader const&) = delete;
    leader& operator=(leader const&) = delete;
    ~leader() {
      if (!settled_) settle(detail::flight_outcome::abandoned, [](stampede_stats& c) { ++c.abandoned; });
      table::leave(shard_, id_);
    }

    record& flight() const noexcept { return shard_.flights[id_]; }
    shard& in() const noexcept { return shard_; }
    bool settled() const noexcept { return settled_; }
    bool adopted() const noexcept { return adopted_; }

    /// `why` is in the flight. The key backs off; but a cycle is the fault of this moment's constellation,
    /// and what was told to stop did as it was told.
    void fail(instant ended, bool in_cycle = false) noexcept {
      record const& f = flight();
      bool const backs_off =
          !in_cycle && f.why.code != errc::recursive_computation && !f.stop.stop_requested();
      removed_failure trimmed;  // ends without the lock, as does what it held before
      failure before;
      settle(detail::flight_outcome::failed, [&](stampede_stats& c) {
        ++c.failed;
        if (backs_off && !guard_.remember(shard_, flight(), ended, before, trimmed)) ++c.forgotten_failures;
      });
    }
    void succeed() noexcept {
      removed_failure before;
      settle(detail::flight_outcome::value, [&](stampede_stats&) {
        if (!shard_.state.failing.empty()) before = guard_.forgiven(shard_, flight());
      });
    }
    /// Another has just done it.
    void find_refreshed() noexcept {
      adopted_ = true;
      settle(detail::flight_outcome::value, [](stampede_stats& c) { ++c.found_refreshed; });
    }
    /// The user's function is about to be called.
    void begin() noexcept {
      begun_ = true;
      lock_type lock(shard_.mutex);
      record const& f = flight();
      computation_counts& c = shard_.state.counts.computations;
      switch (static_cast<age>(f.purpose)) {
        case age::fresh:
          ++c.early;
          shard_.state.counts.early_gap.add(static_cast<std::uint64_t>(f.ahead_ns));
          break;
        case age::absent:
          ++c.miss;
          break;
        case age::revalidate:
        case age::stale:
          ++c.stale;
      }
    }

   private:
    template <class Also>
    void settle(detail::flight_outcome how, Also also) noexcept {
      settled_ = true;
      record& f = flight();
      f.outcome = how;
      bool joined = false;
      {
        lock_type lock(shard_.mutex);
        table::forget(shard_, id_);
        joined = table::shared(shard_, id_);
        stampede_stats& c = shard_.state.counts;
        --c.running;
        if (begun_) c.stampede_size.add(f.callers);
        also(c);
      }
      if (joined) {
        f.sync.settle();
      } else {
        f.sync.settle_unseen();
      }
    }

    stampede_guard& guard_;
    shard& shard_;
    entry_id id_;
    bool settled_ = false;
    bool adopted_ = false;
    bool begun_ = false;
  };

  template <class F, class Deadline>
  result<served_type> lead(shard& s, entry_id id, std::optional<envelope_type>& seen, F& compute,
                           Deadline const& until) {
    leader mine(*this, s, id);
    std::optional<mapped_type> answer;
    {
      detail::stop_of_leader<parts, Deadline, detail::takes_stop_token<F, key_type>> const on_stop(
          s, id, until, options_.stop_unwanted);
      fly(mine, prior(seen), compute, &answer);
    }
    if (answer) {
      return result<served_type>(
          std::in_place,
          served_type{*std::move(answer), mine.adopted() ? serving::fresh : serving::computed, {}});
    }
    if (seen && served_anyway(age_of(*seen, clock_.now()))) count(s, &stampede_stats::refresh_failures);
    return fall_back(s, seen, mine.flight().why, false);
  }

  /// Looks once more, computes, stores and settles. Copies the value to `answer`, if given, before it is
  /// stored: a call that throws has stored nothing. What goes wrong is left in the flight.
  template <class F>
  void fly(leader& mine, prior const& before, F& compute, std::optional<mapped_type>* answer) {
    record& f = mine.flight();
#if TIDEOVER_EXCEPTIONS
    try {
#endif
      // Between this caller's look at the store and its becoming the leader another may have come and gone.
      if (std::optional<envelope_type> again = look(mine.in(), *f.key);
          again && again->fresh(clock_.now()) && current(*again) &&
          (!before.known || again->created != before.created)) {
        f.value.emplace(std::move(again->value));
        if (answer != nullptr) answer->emplace(std::as_const(*f.value));
        mine.find_refreshed();
        return;
      }
      envelope_life life{};
      mine.begin();
      instant const began = clock_.precise_now();
      bool const made = produce(f, compute, life);
      instant const ended = clock_.precise_now();
      if (made) {
        if (answer != nullptr) answer->emplace(std::as_const(*f.value));
        store(mine, life, before, began, ended);
        mine.succeed();
      } else {
        mine.fail(ended);
      }
#if TIDEOVER_EXCEPTIONS
    } catch (error const& e) {
      fail_by_exception(mine, answer, e.code() == errc::recursive_computation);
    } catch (...) {
      if (detail::thread_goes_away()) throw;  // `mine` settles the flight
      fail_by_exception(mine, answer, false);
    }
#endif
  }

#if TIDEOVER_EXCEPTIONS
  /// In a handler.
  void fail_by_exception(leader& mine, std::optional<mapped_type>* answer, bool in_cycle) noexcept {
    if (answer != nullptr) answer->reset();
    record& f = mine.flight();
    f.value.reset();
    f.why = {.code = errc::computation_failed, .cause = std::current_exception()};
    mine.fail(clock_.precise_now(), in_cycle);
  }
#endif

  /// What `get` of the store says; nothing if it throws, for then computing is the better answer.
  std::optional<envelope_type> look(shard& s, key_type const& key) {
#if TIDEOVER_EXCEPTIONS
    try {
      return store_.get(key);
    } catch (...) {
      if (detail::thread_goes_away()) throw;
      count(s, &stampede_stats::store_failures);
      return std::nullopt;
    }
#else
    static_cast<void>(s);
    return store_.get(key);
#endif
  }

  /// The expiry that a computation gave to its value itself.
  struct envelope_life {
    bool given = false;
    instant created{};
    instant soft{};
    instant hard{};
    std::chrono::nanoseconds delta{0};
  };

  /// Makes the value in the flight, or leaves there the failure that `compute` returned instead.
  template <class F>
  static bool produce(record& f, F& compute, envelope_life& life) {
    using computed = detail::computed_by<F, key_type>;
    auto const call = [&]() -> decltype(auto) {
      return detail::call_computation(compute, std::as_const(*f.key), f.stop);
    };
    [[maybe_unused]] auto const refill = [&](envelope_type&& e) {
      life = {true, e.created, e.soft_expiry, e.hard_expiry, e.delta};
      f.value.emplace(std::move(e.value));
    };
    if constexpr (std::is_same_v<computed, envelope_type>) {
      refill(call());
    } else if constexpr (detail::is_result<computed> && !std::is_same_v<computed, mapped_type>) {
      auto made = call();
      if (!made) {
        f.why = made.error();
        return false;
      }
      if constexpr (std::is_same_v<computed, result<envelope_type>>) {
        refill(*std::move(made));
      } else {
        f.value.emplace(*std::move(made));
      }
    } else {
      static_assert(std::is_constructible_v<mapped_type, computed>,
                    "tideover::stampede_guard: compute must return a value, a tideover::cached of one, or a "
                    "result of either");
      f.value.emplace(call());
    }
    return true;
  }

  envelope_type enveloped(mapped_type&& value, instant created, std::chrono::nanoseconds delta,
                          std::chrono::nanoseconds life) const {
    instant const soft = clock_.precise_now() + life;
    return {std::move(value),
            created,
            soft,
            soft + std::max(options_.stale_while_revalidate, options_.stale_if_error),
            delta,
            generation()};
  }
  bool store_envelope(key_type const& key, envelope_type const& e) {
    return static_cast<bool>(store_.put(key, e, put_options{.ttl = e.hard_expiry - clock_.now()}));
  }
  bool erase_from_store(key_type const& key) {
    if constexpr (std::is_convertible_v<decltype(store_.erase(key)), bool>) {
      return static_cast<bool>(store_.erase(key));
    } else {
      store_.erase(key);
      return true;
    }
  }

  std::chrono::nanoseconds own_ttl(shard& s) noexcept {
    if (options_.ttl_jitter == 0.0) return options_.ttl;
    double drawn = 0;
    {
      lock_type lock(s.mutex);
      drawn = to_unit_interval(s.state.rng());
    }
    double const cut = static_cast<double>(options_.ttl.count()) * options_.ttl_jitter * drawn;
    return options_.ttl - std::chrono::nanoseconds(static_cast<std::int64_t>(cut));
  }

  /// Stores what was computed, unless its key was written meanwhile. Whatever keeps the store from taking it,
  /// the value is delivered.
  void store(leader& mine, envelope_life const& life, prior const& before, instant began, instant ended) {
    record& f = mine.flight();
    shard& s = mine.in();
    std::chrono::nanoseconds const ttl = life.given ? life.hard - ended : own_ttl(s);
    {
      lock_type lock(s.mutex);
      if (life.given) ++s.state.counts.refills;
      if (f.outdated) {
        ++s.state.counts.rejected_writes;
        return;
      }
      if (ttl <= std::chrono::nanoseconds(0)) return;
      f.storing = true;  // from here on who writes the key waits until the flight has settled
    }
    if (f.generation != generation()) return count(s, &stampede_stats::rejected_writes);
#if TIDEOVER_EXCEPTIONS
    try {
#endif
      envelope_type e =
          enveloped(mapped_type(std::as_const(*f.value)), began, average(before.delta, ended - began), ttl);
      e.generation = f.generation;
      if (life.given) {
        e.created = life.created;
        e.soft_expiry = life.soft;
        e.hard_expiry = life.hard;
        e.delta = life.delta;
      }
      store_envelope(*f.key, e);
      bool overtaken = false;
      {
        lock_type lock(s.mutex);
        overtaken = f.outdated;  // by a function of the store's owner that this very put has called
      }
      if (overtaken) {
        erase_from_store(*f.key);
        count(s, &stampede_stats::rejected_writes);
      }
#if TIDEOVER_EXCEPTIONS
    } catch (...) {
      if (detail::thread_goes_away()) throw;
      count(s, &stampede_stats::store_failures);
    }
#endif
  }

  /// The exponentially weighted moving average of what computing costs, a fifth of it the newest.
  static std::chrono::nanoseconds average(std::chrono::nanoseconds before,
                                          std::chrono::nanoseconds measured) noexcept {
    if (before <= std::chrono::nanoseconds(0)) return measured;
    double const newer = 0.2 * static_cast<double>((measured - before).count());
    return before + std::chrono::nanoseconds(static_cast<std::int64_t>(newer));
  }

  // ---- Answers --------------------------------------------------------------------------------------------

  void count(shard& s, std::uint64_t stampede_stats::*what) noexcept {
    lock_type lock(s.mutex);
    ++(s.state.counts.*what);
  }
  result<served_type> as_it_is(shard& s, envelope_type&& e, age now_is) {
    bool const stale = now_is == age::revalidate;
    if (stale) {
      lock_type lock(s.mutex);
      ++s.state.counts.stale_served.revalidate;
    }
    return result<served_type>(
        std::in_place,
        served_type{std::move(e.value), stale ? serving::stale_while_revalidate : serving::fresh, {}});
  }
  result<served_type> instead_of(shard& s, envelope_type&& e, failure const& why) {
    {
      lock_type lock(s.mutex);
      ++s.state.counts.stale_served.error;
    }
    return result<served_type>(std::in_place, served_type{std::move(e.value), serving::stale_if_error, why});
  }
  /// There is no newer value: the one that was there, if it may be served now, else the failure.
  /// `own_affair`: it is this call that gave up, which says nothing about the computation.
  result<served_type> fall_back(shard& s, std::optional<envelope_type>& seen, failure const& why,
                                bool own_affair) {
    age const now_is = age_of(seen, clock_.now());
    if (served_anyway(now_is)) return as_it_is(s, std::move(*seen), now_is);
    if (now_is == age::stale && (own_affair || retryable(why))) return instead_of(s, std::move(*seen), why);
    return why;
  }

  // ---- Keys that fail -------------------------------------------------------------------------------------

  /// With the lock. False if there was no memory for it, or no room: then an older one is forgotten.
  bool remember(shard& s, record& f, instant ended, failure& before, removed_failure& trimmed) noexcept {
    if (std::is_same_v<backoff_type, no_backoff> && options_.negative_ttl == std::chrono::nanoseconds(0)) {
      return true;
    }
#if TIDEOVER_EXCEPTIONS
    try {
#endif
      auto& all = s.state.failing;
      auto& r = all.note(hashing_, f.hash, *f.key);
      if (r.attempts != 0 && r.until + forgiven_after < ended) r.attempts = 0;
      std::chrono::nanoseconds const rest = backoff_.delay(r.attempts, s.state.rng);
      ++r.attempts;
      r.until = ended + std::max(rest, options_.negative_ttl);
      before = std::exchange(r.why, f.why);
      std::size_t const most = std::max<std::size_t>(options_.max_failing / table::shard_count, 1);
      bool const crowded = all.size() > most;
      trimmed = all.trim(most, ended - forgiven_after);
      return !crowded;
#if TIDEOVER_EXCEPTIONS
    } catch (...) {
      return false;
    }
#endif
  }
  /// With the lock.
  removed_failure forgiven(shard& s, record const& f) noexcept {
#if TIDEOVER_EXCEPTIONS
    try {
#endif
      return s.state.failing.forget(hashing_, f.hash, *f.key);
#if TIDEOVER_EXCEPTIONS
    } catch (...) {
      return {};  // it rests a little longer, while its value is fresh
    }
#endif
  }

  // ---- Writing --------------------------------------------------------------------------------------------

  /// Does `action` so that no computation that began before its end is stored after it: one that began
  /// beside it and is being stored already is waited for, and written over.
  template <class Action>
  bool write(key_type const& key, Action action) {
    std::uint64_t const hash = hashing_(key);
    shard& s = table_.shard_of(hash);
    hold_off(s, hash, key);
    for (;;) {
      bool const done = action();
      if (!hold_off(s, hash, key)) return done;
    }
  }
  /// A computation of the key that is under way will not be stored; if it is being stored, that is waited
  /// for. Returns whether it was.
  bool hold_off(shard& s, std::uint64_t hash, key_type const& key) {
    for (bool waited = false;; waited = true) {
      removed_failure forgiven;
      entry_id id = no_entry;
      {
        lock_type lock(s.mutex);
        forgiven = s.state.failing.forget(hashing_, hash, key);
        id = table::find(s, hashing_, hash, key);
        if (id == no_entry) return waited;
        if (!s.flights[id].storing) {
          s.flights[id].outdated = true;
          return waited;
        }
        table::hold(s, id);
      }
      if (!outlast(s, id)) return waited;
    }
  }
  bool hold_off_all() {
    bool waited = false;
    for (shard& s : table_) {
      for (;;) {
        removed_failure forgiven;
        entry_id storing = no_entry;
        bool more = false;
        {
          lock_type lock(s.mutex);
          forgiven = s.state.failing.trim(0, instant::min());
          more = !s.state.failing.empty();
          for (entry_id id = 0; id != s.flights.used(); ++id) {
            record& f = s.flights[id];
            if (!f.registered || f.outdated) continue;
            if (f.storing) {
              storing = id;
            } else {
              f.outdated = true;
            }
          }
          if (storing != no_entry) table::hold(s, storing);
        }
        if (storing != no_entry) {
          if (outlast(s, storing)) waited = true;
        } else if (!more) {
          break;
        }
      }
    }
    return waited;
  }
  /// Waits until a flight that is being stored has settled. False if this very thread is storing it, by way
  /// of a function that the store called: then what it stores is erased again.
  bool outlast(shard& s, entry_id id) {
    detail::flight_hold<parts> const hold(s, id);
    if (hold.flight().sync.wait(clock_, detail::no_deadline{}) == detail::flight_end::settled) return true;
    lock_type lock(s.mutex);
    hold.flight().outdated = true;
    return false;
  }

  // ---- Refreshing by an executor --------------------------------------------------------------------------

  /// A task's claim to a flight that is queued. If the task is destroyed before it has run, so is the flight.
  class ticket {
   public:
    ticket(std::shared_ptr<leash_type> at, shard& s, entry_id id) noexcept
        : leash_(std::move(at)), shard_(&s), id_(id) {}
    ticket(ticket&& other) noexcept : leash_(std::move(other.leash_)), shard_(other.shard_), id_(other.id_) {}
    ticket& operator=(ticket&&) = delete;
    ~ticket() {
      if (leash_ == nullptr) return;
      typename leash_type::visit const inside(*leash_);
      if (inside.owner() != nullptr) inside.owner()->abandon(*shard_, id_);
    }
    /// Hands the flight over to `f(guard, shard, id)`, if the guard exists still.
    template <class Then>
    void redeem(Then then) {
      if (leash_ == nullptr) return;
      std::shared_ptr<leash_type> const at = std::exchange(leash_, nullptr);
      typename leash_type::visit const inside(*at);
      if (inside.owner() != nullptr) then(*inside.owner(), *shard_, id_);
    }

   private:
    std::shared_ptr<leash_type> leash_;
    shard* shard_;
    entry_id id_;
  };
  template <class F>
  struct refreshing {
    ticket claim;
    prior before;
    F compute;
    void operator()() {
      claim.redeem(
          [this](stampede_guard& guard, shard& s, entry_id id) { guard.refresh(s, id, before, compute); });
    }
  };

  /// Gives the refresh to the executor. Whatever keeps it from being taken, the caller has its value.
  template <class F>
  void post(shard& s, entry_id id, prior const& before, F&& compute) {
    using function = std::decay_t<F>;
    static_assert(
        std::is_constructible_v<function, F> && std::is_move_constructible_v<function>,
        "tideover::stampede_guard: an executor keeps the function, so it must be copyable or given up "
        "by std::move");
    bool taken = false;
#if TIDEOVER_EXCEPTIONS
    try {
#endif
      ticket claim(leash_, s, id);
      task work(refreshing<function>{std::move(claim), before, function(std::forward<F>(compute))});
      taken = executor_.try_post(work);
#if TIDEOVER_EXCEPTIONS
    } catch (...) {
      if (detail::thread_goes_away()) throw;
      taken = false;
    }
#endif
    if (!taken) count(s, &stampede_stats::refresh_refused);
  }

  /// On the executor's thread.
  template <class F>
  void refresh(shard& s, entry_id id, prior const& before, F& compute) {
    std::uint64_t const now_is = generation();
    bool begins = false;
    {
      lock_type lock(s.mutex);
      record& f = s.flights[id];
      begins = f.queued && f.registered && !f.outdated && f.generation == now_is;
      if (begins) {
        f.queued = false;
        --s.state.queued;
        f.sync.lead();
      }
    }
    if (!begins) return drop(s, id, false);
    leader mine(*this, s, id);
    fly(mine, before, compute, nullptr);
    if (mine.flight().outcome == detail::flight_outcome::failed) count(s, &stampede_stats::refresh_failures);
  }
  void abandon(shard& s, entry_id id) noexcept { drop(s, id, true); }
  /// A queued flight ends without having begun, unless somebody has taken it over. Nobody waits for it.
  void drop(shard& s, entry_id id, bool lost) noexcept {
    {
      lock_type lock(s.mutex);
      record& f = s.flights[id];
      if (std::exchange(f.queued, false)) {
        --s.state.queued;
        --s.state.counts.running;
        if (lost) ++s.state.counts.abandoned;
        table::forget(s, id);
      }
    }
    table::leave(s, id);
  }

  options options_;
  [[no_unique_address]] clock_type clock_;
  [[no_unique_address]] hashing_type hashing_;
  [[no_unique_address]] early_refresh_type early_;
  [[no_unique_address]] backoff_type backoff_;
  [[no_unique_address]] retryable_type retryable_;
  table mutable table_;
  Store store_;
  std::conditional_t<runs_inline, detail::no_leash, std::shared_ptr<leash_type>> leash_;
  [[no_unique_address]] executor_type executor_;  // the last, so that its threads are joined first
};

}  // namespace tideover::inline v0
