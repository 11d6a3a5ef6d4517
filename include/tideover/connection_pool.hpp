// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/connection_pool_options.hpp>
#include <tideover/deadline.hpp>
#include <tideover/detail/pool/core.hpp>
#include <tideover/detail/pool/idle_store.hpp>
#include <tideover/detail/pool/machine.hpp>
#include <tideover/detail/pool/slot.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/affinity.hpp>
#include <tideover/policy/backoff.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/executor.hpp>
#include <tideover/policy/fail_fast.hpp>
#include <tideover/policy/idle_order.hpp>
#include <tideover/policy/listener.hpp>
#include <tideover/policy/policy.hpp>
#include <tideover/policy/rng.hpp>
#include <tideover/policy/validation.hpp>
#include <tideover/policy/waiters.hpp>
#include <tideover/result.hpp>

#include <boost/assert/source_location.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace tideover::inline v0 {

/// The axes of `connection_pool`.
using pool_axes = axes<axis::waiters, axis::idle_order, axis::validation, axis::affinity, axis::backoff,
                       axis::factory_guard, axis::clock, axis::executor, axis::listener, axis::rng>;

/// An object borrowed from a pool: gives it back when it dies. Moves, does not copy; one that was moved from
/// holds nothing. It may outlive its pool; then its object is destroyed rather than returned. Threads: like a
/// plain value.
///
///     auto held = pool.acquire();
///     held->query("...");
template <class T>
class [[nodiscard]] lease {
 public:
  lease() noexcept = default;
  lease(lease&& other) noexcept
      : object_(std::exchange(other.object_, nullptr)),
        slot_(other.slot_),
        home_(other.home_),
        how_(std::exchange(other.how_, detail::pool_return::good)) {}
  lease& operator=(lease&& other) noexcept {
    if (this != &other) {
      release();
      object_ = std::exchange(other.object_, nullptr);
      slot_ = other.slot_;
      home_ = other.home_;
      how_ = std::exchange(other.how_, detail::pool_return::good);
    }
    return *this;
  }
  ~lease() {
    if (object_ != nullptr) home_->give_back(*slot_, how_);
  }

  T& operator*() const noexcept { return *get(); }
  T* operator->() const noexcept { return get(); }
  /// Null if it holds nothing.
  T* get() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }

  /// Gives it back now; then this holds nothing.
  void release() noexcept { leave(how_); }
  /// It is broken: it is destroyed, and its place is free.
  void discard() noexcept { leave(detail::pool_return::broken); }
  /// It may be broken: it is given back, and checked before anybody gets it, if the factory can check.
  void doubt() noexcept { how_ = detail::pool_return::doubtful; }
  /// Says what it is held for; shown by the event of a leak. Kept as a pointer: a literal.
  void tag(char const* text) noexcept {
    if (object_ != nullptr) slot_->tag.store(text, std::memory_order_relaxed);
  }

 private:
  template <class Factory, class... Policies>
  friend class connection_pool;
  template <class Key, class Factory, class... Policies>
  friend class keyed_pool;
  lease(T& object, detail::pool_slot& slot, detail::pool_home& home) noexcept
      : object_(&object), slot_(&slot), home_(&home) {}
  void leave(detail::pool_return how) noexcept {
    if (object_ == nullptr) return;
    object_ = nullptr;
    home_->give_back(*slot_, how);
    how_ = detail::pool_return::good;
  }

  T* object_ = nullptr;
  detail::pool_slot* slot_ = nullptr;
  detail::pool_home* home_ = nullptr;
  detail::pool_return how_ = detail::pool_return::good;
};

namespace detail {

template <class F, class... P>
struct pool_kit {
  using factory_type = F;
  using waiters_type = policy_for<axis::waiters, fifo_waiters, P...>;
  using idle_order_type = policy_for<axis::idle_order, lifo_idle, P...>;
  using validation_type = policy_for<axis::validation, drop_suspects, P...>;
  using affinity_type = policy_for<axis::affinity, no_affinity, P...>;
  using backoff_type = policy_for<axis::backoff, exponential_backoff, P...>;
  using guard_type = policy_for<axis::factory_guard, unguarded, P...>;
  using clock_type = policy_for<axis::clock, coarse, P...>;
  using runner_type = policy_for<axis::executor, owned_threads, P...>;
  using listener_type = policy_for<axis::listener, silent, P...>;
  using rng_type = policy_for<axis::rng, xoshiro, P...>;
  using store_type = std::conditional_t<
      idle_order_type::oldest_first, pool_locked_store<true>,
      std::conditional_t<affinity_type::remembers_slots, pool_slot_store, pool_stack_store>>;
  using rules = pool_rules<waiters_type::newcomers_may_pass, validation_type::drops_suspects>;
};

struct no_callable {};

template <class F, class... First>
decltype(auto) call_until(F& f, First&... first, deadline const& until) {
  if constexpr (std::is_invocable_v<F&, First&..., deadline const&>) {
    return std::invoke(f, first..., until);
  } else {
    return std::invoke(f, first...);
  }
}
template <class T>
struct without_result {
  using type = T;
};
template <class T>
struct without_result<result<T>> {
  using type = T;
};

TIDEOVER_COLD inline void check_pool_options(pool_options const& o) {
  using nanoseconds = std::chrono::nanoseconds;
  auto const refuse = [](char const* field, std::string const& value, char const* bounds) {
    std::string name = "pool_options.";
    name += field;
    raise_out_of_bounds(name, value, bounds);
  };
  auto const count = [&](char const* field, std::size_t value, std::size_t least, std::size_t most,
                         char const* bounds) {
    if (value < least || value > most) refuse(field, std::to_string(value), bounds);
  };
  auto const time = [&](char const* field, nanoseconds value, std::int64_t least, char const* bounds) {
    if (value.count() >= least) return;
    std::string text = std::to_string(value.count());
    text += " ns";
    refuse(field, text, bounds);
  };
  count("max_size", o.max_size, 1, no_slot - 1, "between 1 and 65534");
  count("min_size", o.min_size, 0, o.max_size, "between 0 and max_size");
  count("max_idle", o.max_idle, o.min_size, SIZE_MAX, "min_size or more");
  count("max_connecting", o.max_connecting, 1, SIZE_MAX, "1 or more");
  time("acquire_timeout", o.acquire_timeout, 0, "0 ns or more");
  time("max_idle_time", o.max_idle_time, 0, "0 ns or more");
  time("max_lifetime", o.max_lifetime, 0, "0 ns or more");
  time("health_check_interval", o.health_check_interval, 0, "0 ns or more");
  time("connect_timeout", o.connect_timeout, 1, "above 0 ns");
  time("check_timeout", o.check_timeout, 1, "above 0 ns");
  time("leak_after", o.leak_after, 0, "0 ns or more");
  if (!(o.lifetime_jitter >= 0 && o.lifetime_jitter <= 1)) {
    refuse("lifetime_jitter", detail::text_of(o.lifetime_jitter), "between 0 and 1");
  }
}

}  // namespace detail

/// A factory made of callables; see `make_factory`.
template <class Connect, class Check = detail::no_callable, class Reset = detail::no_callable>
class callable_factory {
 public:
  using connection = typename detail::without_result<std::remove_cvref_t<decltype(detail::call_until(
      std::declval<Connect&>(), std::declval<deadline const&>()))>>::type;

  explicit callable_factory(Connect connect, Check check = {}, Reset reset = {})
      : connect_(std::move(connect)), check_(std::move(check)), reset_(std::move(reset)) {}

  auto connect(deadline const& until) { return detail::call_until(connect_, until); }
  bool healthy(connection& c, deadline const& until) requires(!std::is_same_v<Check, detail::no_callable>) {
    return static_cast<bool>(detail::call_until<Check, connection>(check_, c, until));
  }
  decltype(auto) reset(connection& c) requires(!std::is_same_v<Reset, detail::no_callable>) {
    return std::invoke(reset_, c);
  }

 private:
  [[no_unique_address]] Connect connect_;
  [[no_unique_address]] Check check_;
  [[no_unique_address]] Reset reset_;
};

/// A `connection_factory` made of callables: `connect(deadline)` or `connect()`, which gives an object, or a
/// `result` of one; `check(object&, deadline)` or `check(object&)`, which says whether it works;
/// `reset(object&)`.
///
///     auto factory = tideover::make_factory([] { return open_it(); }, [](file& f) { return f.good(); });
template <class Connect>
auto make_factory(Connect connect) {
  return callable_factory<Connect>(std::move(connect));
}
template <class Connect, class Check>
auto make_factory(Connect connect, Check check) {
  return callable_factory<Connect, Check>(std::move(connect), std::move(check));
}
template <class Connect, class Check, class Reset>
auto make_factory(Connect connect, Check check, Reset reset) {
  return callable_factory<Connect, Check, Reset>(std::move(connect), std::move(check), std::move(reset));
}

/// Lends objects that are costly to make: connections, agents, interpreters.
///
///     tideover::connection_pool<pg_factory> pool(pg_factory{...}, {.min_size = 2, .max_size = 10});
///     { auto held = pool.acquire(); held->query("..."); }        // it returns by itself
///     tideover::result<tideover::lease<pg_connection>> r = pool.try_acquire_for(100ms);
///     pool.with([](pg_connection& c) { return c.query("..."); });
///
/// Policies, in any order; objects of those with state are passed after the options:
///   waiters        fifo_waiters (default), barging_waiters
///   idle_order     lifo_idle (default), fifo_idle
///   validation     drop_suspects (default), check_suspects, no_validation
///   affinity       no_affinity (default), thread_affinity
///   backoff        exponential_backoff (default: 100 ms to 30 s, full jitter), constant_backoff, no_backoff
///   factory_guard  unguarded (default), fail_fast<Breaker>
///   clock          coarse (default), steady, manual_clock
///   executor       owned_threads (default: max_connecting + 1 of them, started by the first need),
///                  hand_driven, inline_run, run_by<F>
///   listener       silent (default), listen_by<F>, your own
///   rng            xoshiro (default): jitter and backoff
///
/// Waiting   One deadline over waiting, connecting and checking. Those who wait are served in order; one
///           whose deadline has passed, or whose stop_token was triggered, gets nothing. A connect belongs to
///           the pool: it goes on when the caller who needed it has left, and serves whoever is first when it
///           ends. What comes back meanwhile serves him before.
/// Checks    What was last seen to work longer than `validate_after_idle` ago is checked before it is lent,
///           by the thread that waits, within its deadline as far as `healthy` keeps to it.
/// Threads   All members may be called at once. No function of the factory or the listener runs under a lock
///           of the pool, and each may call it. With `owned_threads` connects and maintenance have threads;
///           with another executor each connect is posted to it, and with `hand_driven` those who wait do
///           everything themselves: call `tick()` from time to time, then.
/// Throws    `error`: timed_out and factory_error (with the factory's last exception as the cause),
///           cancelled, closed, queue_full, invalid_argument. Returning never throws.
/// Cost      Taking an idle object and giving it back: a compare-and-swap each, and the cheap clock twice; no
///           lock and no allocation. A hand-over to one who waits: one lock, one wake-up.
///
/// Leases may outlive the pool; calls under way may not.
template <class Factory, class... Policies>
class connection_pool {
  static_assert(pool_axes::accept<Policies...>);
  static_assert(connection_factory<Factory>,
                "tideover::connection_pool: see tideover::connection_factory in "
                "<tideover/connection_pool_options.hpp>");
  static_assert(!detail::healthy_is_missed<Factory>,
                "tideover::connection_pool: healthy is called as bool healthy(connection&, deadline); this "
                "one cannot be");
  static_assert(!detail::reset_is_missed<Factory>,
                "tideover::connection_pool: reset is called as reset(connection&); this one cannot be");
  static_assert(!detail::destroy_is_missed<Factory>,
                "tideover::connection_pool: destroy is called as destroy(connection&); this one cannot be");
  using kit = detail::pool_kit<Factory, Policies...>;

 public:
  using options = pool_options;
  using factory_type = Factory;
  using connection = typename Factory::connection;
  using lease_type = lease<connection>;
  using waiters_type = typename kit::waiters_type;
  using idle_order_type = typename kit::idle_order_type;
  using validation_type = typename kit::validation_type;
  using affinity_type = typename kit::affinity_type;
  using backoff_type = typename kit::backoff_type;
  using guard_type = typename kit::guard_type;
  using clock_type = typename kit::clock_type;
  using runner_type = typename kit::runner_type;
  using listener_type = typename kit::listener_type;
  using rng_type = typename kit::rng_type;

  static_assert(waiters_policy<waiters_type>,
                "tideover::connection_pool: see tideover::waiters_policy in <tideover/policy/waiters.hpp>");
  static_assert(idle_order_policy<idle_order_type>,
                "tideover::connection_pool: see tideover::idle_order_policy in "
                "<tideover/policy/idle_order.hpp>");
  static_assert(validation_policy<validation_type>,
                "tideover::connection_pool: see tideover::validation_policy in "
                "<tideover/policy/validation.hpp>");
  static_assert(affinity_policy<affinity_type>,
                "tideover::connection_pool: see tideover::affinity_policy in <tideover/policy/affinity.hpp>");
  static_assert(
      !(idle_order_type::oldest_first && affinity_type::remembers_slots),
      "tideover::connection_pool: thread_affinity lends what a thread had last; it does not go with "
      "fifo_idle");
  static_assert(backoff_policy<backoff_type>,
                "tideover::connection_pool: see tideover::backoff_policy in <tideover/policy/backoff.hpp>");
  static_assert(factory_guard_policy<guard_type>,
                "tideover::connection_pool: see tideover::factory_guard_policy in "
                "<tideover/policy/fail_fast.hpp>");
  static_assert(clock_policy<clock_type>,
                "tideover::connection_pool: see tideover::clock_policy in <tideover/policy/clock.hpp>");
  static_assert(executor<runner_type>,
                "tideover::connection_pool: see tideover::executor in <tideover/policy/executor.hpp>");
  static_assert(pool_listener<listener_type>,
                "tideover::connection_pool: see tideover::pool_listener in "
                "<tideover/connection_pool_options.hpp>");
  static_assert(rng_policy<rng_type>,
                "tideover::connection_pool: see tideover::rng_policy in <tideover/policy/rng.hpp>");

  // ---- Making one -----------------------------------------------------------------------------------------

  /// The factory, the options (`{}` for the defaults, or a preset), then objects of the policies named above
  /// that have state, in any order. Connects nothing itself: what `min_size` asks for is made by the runner,
  /// and with `hand_driven` by `tick()`, `warm()` or whoever waits. So it throws nothing of the factory's;
  /// but `error` (errc::invalid_argument) naming field, value and bounds, and std::bad_alloc.
  template <class... P>
    requires(detail::is_one_of<P, waiters_type, idle_order_type, validation_type, affinity_type, backoff_type,
                               guard_type, clock_type, runner_type, listener_type, rng_type>&&...)
  explicit connection_pool(Factory factory, options o = {}, P&&... policies)
      : core_((detail::check_pool_options(o),
               std::make_shared<core>(o, std::move(factory),
                                      detail::take_policy<clock_type>(std::forward<P>(policies)...),
                                      detail::take_policy<listener_type>(std::forward<P>(policies)...),
                                      runner(o, std::forward<P>(policies)...), !given<runner_type, P...>,
                                      detail::take_policy<guard_type>(std::forward<P>(policies)...),
                                      detail::take_policy<backoff_type>(std::forward<P>(policies)...),
                                      detail::take_policy<rng_type>(std::forward<P>(policies)...)))) {
    core_->start();
  }
  connection_pool(connection_pool const&) = delete;
  connection_pool& operator=(connection_pool const&) = delete;
  /// Closes it, without waiting for leases; waits for what its threads are doing.
  ~connection_pool() { core_->end(); }

  // ---- Taking ---------------------------------------------------------------------------------------------

#if TIDEOVER_EXCEPTIONS
  /// An object, at the latest within `acquire_timeout`, or until the given deadline. Throws `error`.
  lease_type acquire(boost::source_location const& at = BOOST_CURRENT_LOCATION) {
    if (auto* const s = core_->take_fast(at)) return hand_out(*s);
    return take(default_deadline(), {}, at).value();
  }
  lease_type acquire(deadline const& until, boost::source_location const& at = BOOST_CURRENT_LOCATION) {
    return try_acquire_until(until, at).value();
  }
  /// `k` objects, all or none. While it is the first who waits nobody overtakes it, so it is not starved.
  /// k above `max_size` fails at once with errc::invalid_argument. Allocates the vector.
  std::vector<lease_type> acquire_n(std::size_t k,
                                    boost::source_location const& at = BOOST_CURRENT_LOCATION) {
    return all_of(k, take_n(k, default_deadline(), {}, at));
  }
  std::vector<lease_type> acquire_n(std::size_t k, deadline const& until,
                                    boost::source_location const& at = BOOST_CURRENT_LOCATION) {
    return all_of(k, try_acquire_n(k, until, at));
  }
  /// What `f(connection&)` returns. If it throws, the object is checked before anybody else gets it.
  template <class F>
    requires std::invocable<F, connection&>
  decltype(auto) with(F&& f, boost::source_location const& at = BOOST_CURRENT_LOCATION) {
    return with_lease(acquire(at), std::forward<F>(f));
  }
  template <class F>
    requires std::invocable<F, connection&>
  decltype(auto) with(F&& f, deadline const& until,
                      boost::source_location const& at = BOOST_CURRENT_LOCATION) {
    return with_lease(acquire(until, at), std::forward<F>(f));
  }
#endif
  /// What is idle, without waiting; else errc::timed_out. An object that has to be checked first is not
  /// taken, but then is checked for the next one to ask.
  result<lease_type> try_acquire(boost::source_location const& at = BOOST_CURRENT_LOCATION) {
    if (auto* const s = core_->take_fast(at)) return hand_out(*s);
    return take([](instant) { return instant::min(); }, {}, at);
  }
  result<lease_type> try_acquire_for(std::chrono::nanoseconds patience,
                                     boost::source_location const& at = BOOST_CURRENT_LOCATION) {
    if (auto* const s = core_->take_fast(at)) return hand_out(*s);
    return take([patience](instant now) { return now + patience; }, {}, at);
  }
  result<lease_type> try_acquire_until(deadline const& until,
                                       boost::source_location const& at = BOOST_CURRENT_LOCATION) {
    if (auto* const s = core_->take_fast(at)) return hand_out(*s);
    return take([&](instant) { return until.at; }, until.stop, at);
  }
  result<std::vector<lease_type>> try_acquire_n(std::size_t k, deadline const& until,
                                                boost::source_location const& at = BOOST_CURRENT_LOCATION) {
    return take_n(
        k, [&](instant) { return until.at; }, until.stop, at);
  }

  // ---- Operating ------------------------------------------------------------------------------------------

  /// Other numbers, the same name. Growing serves those who wait; shrinking closes what is idle, then what
  /// comes back. Who waits for more objects than there may be now is told errc::invalid_argument. Throws as
  /// the constructor does; then nothing has changed. Threads of its own do not become more.
  void reconfigure(options const& o) {
    detail::check_pool_options(o);
    core_->reconfigure(o);
  }
  void resize(std::size_t min_size, std::size_t max_size) {
    core_->change([&](options& o) {
      o.min_size = min_size;
      o.max_size = max_size;
      if (o.max_idle < min_size) o.max_idle = min_size;
      detail::check_pool_options(o);
    });
  }
  /// Nothing that was made, or begun, before is lent again: what is idle is closed now, what is lent when it
  /// comes back.
  void invalidate() { core_->invalidate(); }
  /// Makes objects until `n` are idle, or `patience` has passed, or the pool is closed; at most `max_size`.
  /// Returns how many are idle. What was made stays.
  std::size_t warm(std::size_t n, std::chrono::nanoseconds patience) {
    return core_->warm(n, clock().precise_now() + patience);
  }
  /// Does what is due: closes what has been idle or has lived too long, begins checks and connects, looks for
  /// leaks. With `hand_driven` does what waits to be done, too, on this thread; returns how much that was.
  /// With `owned_threads` nobody needs to call it, unless they were passed: then other pools may need them,
  /// too.
  std::size_t tick() { return core_->tick(); }
  /// When `tick()` has something to do at the latest.
  instant next_deadline() { return core_->next_deadline(); }
  /// Whoever waits or comes later is told errc::closed; what is idle is closed now, what is lent when it
  /// comes back. Waits for the leases as long as `patience`, and returns how many are out still. May be
  /// called again.
  std::size_t close(std::chrono::nanoseconds patience = std::chrono::nanoseconds(0)) {
    return core_->close(clock().precise_now() + patience);
  }

  // ---- Observing ------------------------------------------------------------------------------------------

  /// Of one instant. Takes the lock.
  pool_stats stats() const { return core_->stats(); }
  /// As they are now. Takes the lock.
  options current_options() const { return core_->options(); }
  /// Why the last connect failed; no code if it did not.
  failure last_error() const { return core_->last_error(); }
  std::string_view name() const noexcept { return core_->name(); }
  clock_type const& clock() const noexcept { return core_->clock(); }
  listener_type& listener() noexcept { return core_->listener(); }
  factory_type& factory() noexcept { return core_->factory(); }

 private:
  template <class K, class F, class... P>
  friend class keyed_pool;
  using core = detail::pool_core<kit>;

  template <class Wanted, class... P>
  static constexpr bool given = (std::is_same_v<Wanted, std::remove_cvref_t<P>> || ...);

  template <class... P>
  static runner_type runner([[maybe_unused]] options const& o, P&&... policies) {
    if constexpr (std::is_same_v<runner_type, owned_threads> && !given<runner_type, P...>) {
      std::size_t const threads = std::min<std::size_t>(o.max_connecting, o.max_size) + 1;
      return owned_threads(threads, 65'536, "tideover-pool");
    } else {
      return detail::take_policy<runner_type>(std::forward<P>(policies)...);
    }
  }

  lease_type hand_out(detail::pool_slot& s) const noexcept {
    return lease_type(core::object_in(s), s, *core_);
  }
  auto default_deadline() const noexcept {
    return [this](instant now) { return now + core_->patience(); };
  }
  template <class Until>
  result<lease_type> take(Until until, std::stop_token const& stop, boost::source_location const& at) {
    auto const taken = core_->take(1, until, stop, at);
    if (!taken) return taken.error();
    return hand_out(**taken);
  }
  template <class Until>
  result<std::vector<lease_type>> take_n(std::size_t k, Until until, std::stop_token const& stop,
                                         boost::source_location const& at) {
    std::vector<lease_type> all;
    if (k == 0) return all;
    // More than there may be now is refused there, and counted, even if there may be as many by then: no
    // vector is made for it.
    bool const possible = k <= current_options().max_size;
    if (possible) all.reserve(k);
    auto const taken =
        core_->take(possible ? static_cast<std::uint32_t>(k) : detail::no_slot, until, stop, at);
    if (!taken) return taken.error();
    detail::pool_slot* s = *taken;
    for (std::size_t i = 0; i < k; ++i) {
      detail::pool_slot* const next = i + 1 < k ? &core_->next_granted(*s) : nullptr;
      all.push_back(hand_out(*s));
      s = next;
    }
    return all;
  }
#if TIDEOVER_EXCEPTIONS
  static std::vector<lease_type> all_of(std::size_t k, result<std::vector<lease_type>> taken) {
    if (!taken && taken.code() == errc::invalid_argument) {
      detail::raise_out_of_bounds("connection_pool::acquire_n(k)", std::to_string(k), "max_size or less");
    }
    return std::move(taken).value();
  }
  template <class F>
  static decltype(auto) with_lease(lease_type held, F&& f) {
    struct doubting {
      lease_type& lease;
      int before = std::uncaught_exceptions();
      ~doubting() {
        if (std::uncaught_exceptions() > before) lease.doubt();
      }
    } const watching{held};
    return std::invoke(std::forward<F>(f), *held);
  }
#endif

  std::shared_ptr<core> core_;
};

template <class Factory, class... P>
connection_pool(Factory, pool_options, P...) -> connection_pool<Factory, P...>;
template <class Factory>
connection_pool(Factory) -> connection_pool<Factory>;

}  // namespace tideover::inline v0
