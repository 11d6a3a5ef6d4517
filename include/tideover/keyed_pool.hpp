// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/connection_pool.hpp>
#include <tideover/connection_pool_options.hpp>
#include <tideover/deadline.hpp>
#include <tideover/detail/pool/budget.hpp>
#include <tideover/detail/pool/core.hpp>
#include <tideover/detail/pool/machine.hpp>
#include <tideover/detail/pool/slot.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/keyed_pool_options.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/executor.hpp>
#include <tideover/policy/hashing.hpp>
#include <tideover/policy/idle_sharing.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/policy/policy.hpp>
#include <tideover/policy/rng.hpp>
#include <tideover/result.hpp>

#include <boost/assert/source_location.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tideover::inline v0 {

/// The axes of `keyed_pool`.
using keyed_pool_axes = axes<axis::waiters, axis::idle_order, axis::validation, axis::affinity, axis::backoff,
                             axis::factory_guard, axis::clock, axis::executor, axis::listener, axis::rng,
                             axis::hashing, axis::idle_sharing>;

namespace detail {

/// The factory of all keys, as the pool of one key sees it.
template <class Key, class Factory>
class factory_of_key {
 public:
  using connection = typename Factory::connection;

  factory_of_key(std::shared_ptr<Factory> factory, Key key)
      : factory_(std::move(factory)), key_(std::move(key)) {}

  auto connect(deadline const& until) { return factory_->connect(std::as_const(key_), until); }
  bool healthy(connection& c, deadline const& until) requires requires(Factory& f) {
    static_cast<bool>(f.healthy(c, until));
  }
  { return static_cast<bool>(factory_->healthy(c, until)); }
  decltype(auto) reset(connection& c) requires requires(Factory& f) { f.reset(c); }
  { return factory_->reset(c); }
  decltype(auto) destroy(connection& c) requires requires(Factory& f) { f.destroy(c); }
  { return factory_->destroy(c); }

 private:
  std::shared_ptr<Factory> factory_;
  Key key_;
};

/// How the thread that sees to what is due learns that something has changed.
struct keyed_upkeep {
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t signals = 0;
  std::size_t posted = 0;  // what was given to the threads and is not over
  bool stopped = false;

  void signal() noexcept {
    std::lock_guard lock(mutex);
    ++signals;
    changed.notify_all();
  }
  void begin() noexcept {
    std::lock_guard lock(mutex);
    ++posted;
  }
  void end() noexcept {
    std::lock_guard lock(mutex);
    --posted;
    ++signals;  // what is there now will be due at some time
    changed.notify_all();
  }
  void await_all() noexcept {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return posted == 0; });
  }
};

/// The threads of a keyed pool, as the pool of one key sees them.
class keyed_threads {
 public:
  using policy_axis = axis::executor;

  keyed_threads(owned_threads threads, std::shared_ptr<keyed_upkeep> upkeep)
      : threads_(std::move(threads)), upkeep_(std::move(upkeep)) {}

  bool try_post(task& work) {
    task watched{errand(upkeep_, std::move(work))};
    return threads_.try_post(watched);
  }

 private:
  /// Counts as long as it, or what it holds, is there: it may hold the threads, and whoever owns them waits.
  class errand {
   public:
    errand(std::shared_ptr<keyed_upkeep> upkeep, task work) noexcept
        : upkeep_(std::move(upkeep)), work_(std::move(work)) {
      upkeep_->begin();
    }
    errand(errand&&) noexcept = default;
    errand& operator=(errand&&) = delete;
    ~errand() {
      if (upkeep_ == nullptr) return;
      work_ = task();
      upkeep_->end();
    }
    void operator()() { work_(); }

   private:
    std::shared_ptr<keyed_upkeep> upkeep_;
    task work_;
  };

  owned_threads threads_;
  std::shared_ptr<keyed_upkeep> upkeep_;
};

template <class Key, class F, class... P>
struct keyed_kit : pool_kit<factory_of_key<Key, F>, P...> {
  using base = pool_kit<factory_of_key<Key, F>, P...>;
  using hashing_type = policy_for<axis::hashing, seeded_hash, P...>;
  using sharing_type = policy_for<axis::idle_sharing, share_idle, P...>;
  using chosen_runner = typename base::runner_type;
  using runner_type =
      std::conditional_t<std::is_same_v<chosen_runner, owned_threads>, keyed_threads, chosen_runner>;
  using rules =
      pool_rules<base::waiters_type::newcomers_may_pass, base::validation_type::drops_suspects, budget_share>;
};

template <class Key, class Hashing>
struct keyed_hash {
  using is_transparent = void;
  template <class K>
  std::size_t operator()(K const& key) const {
    return static_cast<std::size_t>(hashing(key));
  }
  [[no_unique_address]] Hashing hashing;
};
template <class Key, class Hashing>
struct keyed_equal {
  using is_transparent = void;
  template <class A, class B>
  bool operator()(A const& a, B const& b) const {
    return static_cast<bool>(hashing.equal(a, b));
  }
  [[no_unique_address]] Hashing hashing;
};

TIDEOVER_COLD inline void check_keyed_pool_options(keyed_pool_options const& o) {
  check_pool_options(o.each);
  auto const refuse = [](char const* field, std::string const& value, char const* bounds) {
    std::string name = "keyed_pool_options.";
    name += field;
    raise_out_of_bounds(name, value, bounds);
  };
  if (o.max_total == 0) refuse("max_total", "0", "1 or more");
  if (o.max_keys == 0) refuse("max_keys", "0", "1 or more");
  if (o.max_connecting == 0 || o.max_connecting > 1'000) {
    refuse("max_connecting", std::to_string(o.max_connecting), "between 1 and 1000");
  }
  if (o.forget_after.count() < 0) {
    std::string text = std::to_string(o.forget_after.count());
    text += " ns";
    refuse("forget_after", text, "0 ns or more");
  }
}

inline void add_to(pool_stats& sum, pool_stats const& s) noexcept {
  sum.idle += s.idle;
  sum.leased += s.leased;
  sum.opening += s.opening;
  sum.checking += s.checking;
  sum.closing += s.closing;
  sum.waiting += s.waiting;
  sum.started += s.started;
  sum.granted += s.granted;
  sum.timed_out += s.timed_out;
  sum.cancelled += s.cancelled;
  sum.closed += s.closed;
  sum.rejected += s.rejected;
  sum.errored += s.errored;
  sum.created += s.created;
  sum.destroyed += s.destroyed;
  sum.open_failures += s.open_failures;
  sum.check_failures += s.check_failures;
  sum.reset_failures += s.reset_failures;
  sum.destroy_failures += s.destroy_failures;
  sum.listener_failures += s.listener_failures;
  sum.leaks += s.leaks;
  sum.generation += s.generation;
}

}  // namespace detail

/// A pool for each key, one host's connections being no other's, under one budget: made when first asked for,
/// forgotten when idle.
///
///     tideover::keyed_pool<std::string, http_factory> hosts(http_factory{},
///     tideover::presets::keyed_pool::http); { auto held = hosts.acquire("example.org"); held->get("/"); }
///     hosts.with(url.host(), [&](http_connection& c) { return c.get(url.path()); });
///
/// Each key has what `connection_pool` has, with the options `each`: order of those who wait, one deadline,
/// checks, lifetimes, backoff. Policies are those of `connection_pool`, of which each key gets copies (of an
/// rng: one that is seeded by it), and
///   idle_sharing   share_idle (default), keep_idle
///   hashing        seeded_hash (default), hash_by<Hash, Equal>
///
/// Budget    There are never more than `max_total` objects, and `each.max_size` of one key. Where somebody
///           waits for a key and no place is free, `share_idle` closes the object that has been idle longest
///           among the keys nobody waits for; if there is none, what comes back to such a key is closed for
///           him. Keys that wait for a place get them in turn, one each.
/// Threads   All members may be called at once. User functions run under no lock of the pool, but that the
///           key's hash, equality, copy and move do. With `owned_threads` all keys share `max_connecting` of
///           them, and one more sees to what is due; with another executor call `tick()` from time to time.
/// Throws    As `connection_pool`; queue_full also for one key too many.
/// Cost      That of `connection_pool`, and one look into a hash table under a lock of its own. A key costs
///           about a kilobyte, and 128 bytes for each of `each.max_size`. Who finds no place free looks at
///           each key.
///
/// Leases may outlive the pool; calls under way may not.
template <class Key, class Factory, class... Policies>
class keyed_pool {
  static_assert(keyed_pool_axes::accept<Policies...>);
  static_assert(keyed_connection_factory<Factory, Key>,
                "tideover::keyed_pool: see tideover::keyed_connection_factory in "
                "<tideover/keyed_pool_options.hpp>");
  static_assert(
      !detail::healthy_is_missed<Factory>,
      "tideover::keyed_pool: healthy is called as bool healthy(connection&, deadline); this one cannot be");
  static_assert(!detail::reset_is_missed<Factory>,
                "tideover::keyed_pool: reset is called as reset(connection&); this one cannot be");
  static_assert(!detail::destroy_is_missed<Factory>,
                "tideover::keyed_pool: destroy is called as destroy(connection&); this one cannot be");
  using kit = detail::keyed_kit<Key, Factory, Policies...>;
  using core = detail::pool_core<kit>;

 public:
  using options = keyed_pool_options;
  using key_type = Key;
  using factory_type = Factory;
  using connection = typename Factory::connection;
  using lease_type = lease<connection>;
  using pool_type = connection_pool<detail::factory_of_key<Key, Factory>>;
  using backoff_type = typename kit::backoff_type;
  using guard_type = typename kit::guard_type;
  using clock_type = typename kit::clock_type;
  using runner_type = typename kit::chosen_runner;
  using listener_type = typename kit::listener_type;
  using rng_type = typename kit::rng_type;
  using hashing_type = typename kit::hashing_type;
  using idle_sharing_type = typename kit::sharing_type;

  static_assert(waiters_policy<typename kit::waiters_type>,
                "tideover::keyed_pool: see tideover::waiters_policy in <tideover/policy/waiters.hpp>");
  static_assert(idle_order_policy<typename kit::idle_order_type>,
                "tideover::keyed_pool: see tideover::idle_order_policy in <tideover/policy/idle_order.hpp>");
  static_assert(validation_policy<typename kit::validation_type>,
                "tideover::keyed_pool: see tideover::validation_policy in <tideover/policy/validation.hpp>");
  static_assert(affinity_policy<typename kit::affinity_type>,
                "tideover::keyed_pool: see tideover::affinity_policy in <tideover/policy/affinity.hpp>");
  static_assert(backoff_policy<backoff_type>,
                "tideover::keyed_pool: see tideover::backoff_policy in <tideover/policy/backoff.hpp>");
  static_assert(
      factory_guard_policy<guard_type>,
      "tideover::keyed_pool: see tideover::factory_guard_policy in <tideover/policy/fail_fast.hpp>");
  static_assert(clock_policy<clock_type>,
                "tideover::keyed_pool: see tideover::clock_policy in <tideover/policy/clock.hpp>");
  static_assert(executor<runner_type>,
                "tideover::keyed_pool: see tideover::executor in <tideover/policy/executor.hpp>");
  static_assert(
      pool_listener<listener_type>,
      "tideover::keyed_pool: see tideover::pool_listener in <tideover/connection_pool_options.hpp>");
  static_assert(rng_policy<rng_type>,
                "tideover::keyed_pool: see tideover::rng_policy in <tideover/policy/rng.hpp>");
  static_assert(hashing_policy<hashing_type, Key>,
                "tideover::keyed_pool: see tideover::hashing_policy in <tideover/policy/hashing.hpp>");
  static_assert(idle_sharing_policy<idle_sharing_type>,
                "tideover::keyed_pool: see tideover::idle_sharing_policy in "
                "<tideover/policy/idle_sharing.hpp>");

  // ---- Making one -----------------------------------------------------------------------------------------

  /// The factory, the options (`{}` for the defaults, or a preset), then objects of the policies named above
  /// that have state, in any order. Throws `error` (errc::invalid_argument) naming field, value and bounds,
  /// and std::bad_alloc.
  template <class... P>
    requires(detail::is_one_of<P, typename kit::waiters_type, typename kit::idle_order_type,
                               typename kit::validation_type, typename kit::affinity_type, backoff_type,
                               guard_type, clock_type, runner_type, listener_type, rng_type, hashing_type,
                               idle_sharing_type>&&...)
  explicit keyed_pool(Factory factory, options const& o = {}, P&&... policies)
      : options_((detail::check_keyed_pool_options(o), o)),
        name_(o.each.name),
        factory_(std::make_shared<Factory>(std::move(factory))),
        clock_(detail::take_policy<clock_type>(std::forward<P>(policies)...)),
        listener_(detail::take_policy<listener_type>(std::forward<P>(policies)...)),
        runner_(runner(o, std::forward<P>(policies)...)),
        owns_runner_(!(std::is_same_v<runner_type, std::remove_cvref_t<P>> || ...)),
        guard_(detail::take_policy<guard_type>(std::forward<P>(policies)...)),
        backoff_(detail::take_policy<backoff_type>(std::forward<P>(policies)...)),
        rng_(detail::take_policy<rng_type>(std::forward<P>(policies)...)),
        budget_(std::make_shared<detail::pool_budget>(o.max_total, idle_sharing_type::gives_way)),
        upkeep_(std::make_shared<detail::keyed_upkeep>()),
        keys_(no_keys(detail::take_policy<hashing_type>(std::forward<P>(policies)...))) {
    options_.each.name = name_;
  }
  keyed_pool(keyed_pool const&) = delete;
  keyed_pool& operator=(keyed_pool const&) = delete;
  /// Closes it, without waiting for leases; waits for what its threads are doing.
  ~keyed_pool() {
    shut_down();
    {
      std::lock_guard lock(upkeep_->mutex);
      upkeep_->stopped = true;
      upkeep_->changed.notify_all();
    }
    if constexpr (serves) {
      keeper_.close();
      owns_runner_ ? runner_.close() : upkeep_->await_all();
    }
    for (auto& [key, e] : keys_) e.pool->end();
  }

  // ---- Taking ---------------------------------------------------------------------------------------------

#if TIDEOVER_EXCEPTIONS
  /// An object of the key, at the latest within `each.acquire_timeout`, or until the given deadline. Throws
  /// `error`.
  template <class K = Key>
  lease_type acquire(K const& key, boost::source_location const& at = BOOST_CURRENT_LOCATION) {
    return take(key, patient(options_.each.acquire_timeout), {}, at).value();
  }
  template <class K = Key>
  lease_type acquire(K const& key, deadline const& until,
                     boost::source_location const& at = BOOST_CURRENT_LOCATION) {
    return try_acquire_until(key, until, at).value();
  }
  /// What `f(connection&)` returns. If it throws, the object is checked before anybody else gets it.
  template <class K = Key, class F>
    requires std::invocable<F, connection&>
  decltype(auto) with(K const& key, F&& f, boost::source_location const& at = BOOST_CURRENT_LOCATION) {
    return pool_type::with_lease(acquire(key, at), std::forward<F>(f));
  }
  template <class K = Key, class F>
    requires std::invocable<F, connection&>
  decltype(auto) with(K const& key, F&& f, deadline const& until,
                      boost::source_location const& at = BOOST_CURRENT_LOCATION) {
    return pool_type::with_lease(acquire(key, until, at), std::forward<F>(f));
  }
#endif
  /// What is idle, without waiting; else errc::timed_out.
  template <class K = Key>
  result<lease_type> try_acquire(K const& key, boost::source_location const& at = BOOST_CURRENT_LOCATION) {
    return take(
        key, [](instant) { return instant::min(); }, {}, at);
  }
  template <class K = Key>
  result<lease_type> try_acquire_for(K const& key, std::chrono::nanoseconds patience,
                                     boost::source_location const& at = BOOST_CURRENT_LOCATION) {
    return take(key, patient(patience), {}, at);
  }
  template <class K = Key>
  result<lease_type> try_acquire_until(K const& key, deadline const& until,
                                       boost::source_location const& at = BOOST_CURRENT_LOCATION) {
    return take(
        key, [&](instant) { return until.at; }, until.stop, at);
  }

  // ---- Operating ------------------------------------------------------------------------------------------

  /// Nothing of the key that was made, or begun, before is lent again. False: the key is not known.
  template <class K = Key>
  bool invalidate(K const& key) {
    auto const e = find(key);
    if (e) e->pool->invalidate();
    return static_cast<bool>(e);
  }
  /// The same for all keys.
  void invalidate_all() {
    for (auto const& pool : pools()) pool->invalidate();
  }
  /// Does what is due at each key, and forgets keys. With `hand_driven` does what waits to be done, too;
  /// returns how much that was. With `owned_threads` nobody needs to call it.
  std::size_t tick() {
    std::size_t done = 0;
    for (auto const& pool : pools()) done += pool->tick();
    forget_idle();
    return done;
  }
  /// When `tick()` has something to do at the latest.
  instant next_deadline() {
    instant next = instant::max();
    instant const now = clock_.precise_now();
    // Each pool has a lock of its own: those who take are not to wait for a look at all of them.
    struct known {
      std::shared_ptr<core> pool;
      instant forgotten_at;
    };
    for (known const& k : copy_of_all<known>([&](entry& e) {
           bool const used = e.callers.load(std::memory_order_acquire) != 0;
           return known{e.pool, used ? instant::max() : e.last_used + options_.forget_after};
         })) {
      next = std::min(next, k.pool->next_deadline());
      if (k.forgotten_at < next && k.pool->empty()) next = std::max(now, k.forgotten_at);
    }
    return next;
  }
  /// Whoever waits or comes later is told errc::closed; what is idle is closed now, what is lent when it
  /// comes back. Waits for the leases as long as `patience`, and returns how many are out still. May be
  /// called again.
  std::size_t close(std::chrono::nanoseconds patience = std::chrono::nanoseconds(0)) {
    instant const until = clock_.precise_now() + patience;
    shut_down();
    std::size_t out = 0;
    for (auto& [key, e] : keys_) out += e.pool->close(until);  // no key comes or goes any more
    return out;
  }

  // ---- Observing ------------------------------------------------------------------------------------------

  /// Of one key; all zero if it is not known.
  template <class K = Key>
  pool_stats stats(K const& key) {
    auto const e = find(key);
    return e ? e->pool->stats() : pool_stats{};
  }
  keyed_pool_stats stats() {
    keyed_pool_stats s;
    for (auto const& pool : pools([&] {
           s.all = gone_;
           s.keys = keys_.size();
           s.forgotten = forgotten_;
         })) {
      detail::add_to(s.all, pool->stats());
    }
    s.used = budget_->used();
    s.hungry = budget_->hungry();
    s.evicted = budget_->evicted();
    return s;
  }
  /// Why the key's last connect failed; no code if it did not.
  template <class K = Key>
  failure last_error(K const& key) {
    auto const e = find(key);
    return e ? e->pool->last_error() : failure{};
  }
  /// How many keys are known.
  std::size_t size() const {
    std::lock_guard lock(mutex_);
    return keys_.size();
  }
  options const& current_options() const noexcept { return options_; }
  clock_type const& clock() const noexcept { return clock_; }
  factory_type& factory() noexcept { return *factory_; }

 private:
  static constexpr bool serves = std::is_same_v<runner_type, owned_threads>;

  struct entry {
    explicit entry(std::shared_ptr<core> p) : pool(std::move(p)) {}
    std::shared_ptr<core> pool;
    std::atomic<std::size_t> callers{0};  // raised under the lock: who sees none there may forget the key
    instant last_used{};                  // under the lock
  };
  using hash_type = detail::keyed_hash<Key, hashing_type>;
  using equal_type = detail::keyed_equal<Key, hashing_type>;
  using table = std::unordered_map<Key, entry, hash_type, equal_type>;
  using node = typename table::node_type;

  /// A key in use: it is not forgotten meanwhile.
  class in_use {
   public:
    in_use() noexcept = default;
    explicit in_use(entry& e) noexcept : entry_(&e) { e.callers.fetch_add(1, std::memory_order_relaxed); }
    in_use(in_use&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
    in_use& operator=(in_use&& other) noexcept {
      std::swap(entry_, other.entry_);
      return *this;
    }
    ~in_use() {
      // Release: whoever forgets the key sees what was done with it.
      if (entry_ != nullptr) entry_->callers.fetch_sub(1, std::memory_order_release);
    }
    explicit operator bool() const noexcept { return entry_ != nullptr; }
    entry* operator->() const noexcept { return entry_; }

   private:
    entry* entry_ = nullptr;
  };

  template <class... P>
  static runner_type runner([[maybe_unused]] options const& o, P&&... policies) {
    if constexpr (serves && !(std::is_same_v<runner_type, std::remove_cvref_t<P>> || ...)) {
      return owned_threads(std::min(o.max_connecting, o.max_total), 65'536, "tideover-keyed");
    } else {
      return detail::take_policy<runner_type>(std::forward<P>(policies)...);
    }
  }
  static table no_keys(hashing_type const& hashing) {
    return table(0, hash_type{hashing}, equal_type{hashing});
  }
  static auto patient(std::chrono::nanoseconds patience) noexcept {
    return [patience](instant now) { return now + patience; };
  }

  template <class K, class Until>
  result<lease_type> take(K const& key, Until until, std::stop_token const& stop,
                          boost::source_location const& at) {
    errc why{};
    in_use const e = enter(key, why);
    if (!e) return why;
    core& pool = *e->pool;
    detail::pool_slot* s = pool.take_fast(at);
    if (s == nullptr) {
      auto const taken = pool.take(1, until, stop, at);
      if (!taken) return taken.error();
      s = *taken;
    }
    return lease_type(core::object_in(*s), *s, pool);
  }

  // ---- Keys -----------------------------------------------------------------------------------------------

  /// Under the lock. A key of another type than `Key` is looked up as it is, if the hashing takes it.
  template <class K>
  auto lookup(K const& key) {
    if constexpr (hashing_type::template accepts<Key, K>) {
      return keys_.find(key);
    } else {
      return keys_.find(Key(key));
    }
  }
  template <class K>
  in_use find(K const& key) {
    std::lock_guard lock(mutex_);
    auto const at = lookup(key);
    return at == keys_.end() ? in_use() : in_use(at->second);
  }
  template <class K>
  in_use enter(K const& key, errc& why) {
    instant const now = clock_.now();
    {
      std::lock_guard lock(mutex_);
      if (closed_) return why = errc::closed, in_use();
      if (auto const at = lookup(key); at != keys_.end()) [[likely]] {
        at->second.last_used = now;
        return in_use(at->second);
      }
    }
    return make_key(Key(key), now, why);
  }
  TIDEOVER_COLD in_use make_key(Key key, instant now, errc& why) {
    table one(0, keys_.hash_function(), keys_.key_eq());
    {
      pool_options each = options_.each;
      if constexpr (std::is_convertible_v<Key const&, std::string_view>) each.name = std::string_view(key);
      auto pool = std::make_shared<core>(each, detail::factory_of_key<Key, Factory>(factory_, key), clock_,
                                         listener_, runner_of_key(), false, guard_, backoff_, draw());
      pool->join(budget_);
      leaving left{pool};
      one.try_emplace(std::move(key), std::move(pool));
      left.pool.reset();
    }
    node forgotten, added = one.extract(one.begin());
    in_use e;
    bool is_new = false;
    struct leaver {
      node& n;
      ~leaver() {
        if (n) n.mapped().pool->end();
      }
    } const end_added{added}, end_forgotten{forgotten};
    {
      std::lock_guard lock(mutex_);
      if (closed_) return why = errc::closed, in_use();
      auto at = keys_.find(added.key());
      if (at == keys_.end()) {
        if (keys_.size() >= options_.max_keys) {
          forgotten = forget_one();
          if (!forgotten) return why = errc::queue_full, in_use();
        }
        at = keys_.insert(std::move(added)).position;
        is_new = true;
      }
      at->second.last_used = now;
      e = in_use(at->second);
    }
    if (is_new) {
      e->pool->start();
      begin_upkeep();
    }
    return e;
  }
  struct leaving {
    std::shared_ptr<core> pool;
    ~leaving() {
      if (pool != nullptr) pool->end();
    }
  };
  rng_type draw() {
    std::lock_guard lock(mutex_);
    return rng_type(rng_());
  }
  auto runner_of_key() {
    if constexpr (serves) {
      return detail::keyed_threads(runner_, upkeep_);
    } else {
      return runner_;
    }
  }

  /// Under the lock. Acquire: what callers did with the pool is done.
  static bool may_forget(entry& e) noexcept {
    return e.callers.load(std::memory_order_acquire) == 0 && e.pool->empty();
  }
  /// Under the lock: takes it out of the table; its pool is to be ended without.
  node forget(typename table::iterator at) noexcept {
    detail::add_to(gone_, at->second.pool->stats());
    ++forgotten_;
    return keys_.extract(at);
  }
  node forget_one() noexcept {
    auto oldest = keys_.end();
    for (auto i = keys_.begin(); i != keys_.end(); ++i) {
      if (oldest != keys_.end() && i->second.last_used >= oldest->second.last_used) continue;
      if (may_forget(i->second)) oldest = i;
    }
    return oldest == keys_.end() ? node() : forget(oldest);
  }
  void forget_idle() {
    for (;;) {
      node forgotten;
      {
        std::lock_guard lock(mutex_);
        if (closed_) return;
        instant const now = clock_.now();
        auto const at = std::find_if(keys_.begin(), keys_.end(), [&](auto& i) {
          return now - i.second.last_used >= options_.forget_after && may_forget(i.second);
        });
        if (at == keys_.end()) return;
        forgotten = forget(at);
      }
      forgotten.mapped().pool->end();
    }
  }
  std::vector<std::shared_ptr<core>> pools() {
    return pools([] {});
  }
  template <class AtOnce>
  std::vector<std::shared_ptr<core>> pools(AtOnce at_once) {
    return copy_of_all<std::shared_ptr<core>>([](entry& e) { return e.pool; }, at_once);
  }
  /// What `copy(entry&)` gives for each key; `at_once()` is called under the same lock.
  template <class T, class Copy>
  std::vector<T> copy_of_all(Copy copy) {
    return copy_of_all<T>(copy, [] {});
  }
  template <class T, class Copy, class AtOnce>
  std::vector<T> copy_of_all(Copy copy, AtOnce at_once) {
    std::vector<T> all;
    for (;;) {
      std::size_t n = 0;
      {
        std::lock_guard lock(mutex_);
        n = keys_.size();
        if (n <= all.capacity()) {
          for (auto& [key, e] : keys_) all.push_back(copy(e));
          at_once();
          return all;
        }
      }
      all.reserve(n + n / 4);
    }
  }
  void shut_down() noexcept {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    for (auto& [key, e] : keys_) e.pool->stop();  // no key comes or goes any more
  }

  // ---- The thread that sees to what is due ----------------------------------------------------------------

  void begin_upkeep() {
    if constexpr (serves) {
      upkeep_->signal();
      {
        std::lock_guard lock(mutex_);
        if (std::exchange(kept_, true)) return;
      }
#if TIDEOVER_EXCEPTIONS
      // No thread, no upkeep: then it is the caller's to tick.
      try {
        task work([this] { keep_up(); });
        static_cast<void>(keeper_.try_post(work));
      } catch (...) {
        std::lock_guard lock(mutex_);
        kept_ = false;
      }
#else
      task work([this] { keep_up(); });
      static_cast<void>(keeper_.try_post(work));
#endif
    }
  }
  void keep_up() noexcept {
    for (;;) {
      std::uint64_t seen = 0;
      {
        std::lock_guard lock(upkeep_->mutex);
        if (upkeep_->stopped) return;
        seen = upkeep_->signals;
      }
      instant due{};
#if TIDEOVER_EXCEPTIONS
      try {
        tick();
        due = next_deadline();
      } catch (std::bad_alloc const&) {
        due = clock_.precise_now() + std::chrono::seconds(1);
      }
#else
      tick();
      due = next_deadline();
#endif
      std::unique_lock lock(upkeep_->mutex);
      while (!upkeep_->stopped && upkeep_->signals == seen && clock_.precise_now() < due) {
        clock_.wait_until(upkeep_->changed, lock, due);
      }
    }
  }

  options options_;
  std::string const name_;
  std::shared_ptr<Factory> const factory_;
  [[no_unique_address]] clock_type clock_;
  [[no_unique_address]] listener_type listener_;
  runner_type runner_;
  bool const owns_runner_;
  [[no_unique_address]] guard_type guard_;
  [[no_unique_address]] backoff_type backoff_;
  rng_type rng_;
  std::shared_ptr<detail::pool_budget> const budget_;
  std::shared_ptr<detail::keyed_upkeep> const upkeep_;
  owned_threads keeper_{1, 1, "tideover-keep"};

  alignas(cache_line) mutable spin_mutex mutex_;  // the rest, and rng_
  table keys_;
  pool_stats gone_;
  std::uint64_t forgotten_ = 0;
  bool closed_ = false;
  bool kept_ = false;
};

}  // namespace tideover::inline v0
