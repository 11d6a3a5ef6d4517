// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/cache_store.hpp>
#include <tideover/config.hpp>
#include <tideover/data_loader_options.hpp>
#include <tideover/deadline.hpp>
#include <tideover/detail/computation.hpp>
#include <tideover/detail/loader/load_table.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/hashing.hpp>
#include <tideover/policy/policy.hpp>
#include <tideover/policy/store.hpp>
#include <tideover/result.hpp>
#include <tideover/ttl_cache.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace tideover::inline v0 {

/// The axes of `data_loader`.
using data_loader_axes = axes<axis::store, axis::clock, axis::hashing>;

namespace detail {

/// What a batch function may return: a vector of values, of optional values, or of results.
template <class R, class Value>
inline constexpr bool is_loaded =
    std::is_same_v<R, Value> || std::is_same_v<R, std::optional<Value>> || std::is_same_v<R, result<Value>>;

template <class R>
struct loaded_in {
  using type = void;
};
template <class T>
struct loaded_in<std::vector<T>> {
  using type = T;
};

/// The store that a policy stands for, and how it is made.
template <class Policy, class Key, class Value, class Clock, class Hashing>
struct loader_store {
  static_assert(std::is_same_v<typename Policy::policy_axis, axis::store> &&
                    cache_store<typename Policy::store_type, Key, Value>,
                "tideover::data_loader: see tideover::cache_store in <tideover/cache_store.hpp>");
  static constexpr bool keeps = true;
  loader_store(data_loader_options const&, Policy p, Clock const&, Hashing const&) : policy(p) {}
  auto& get() const noexcept { return policy.store(); }
  Policy policy;
};
template <class Key, class Value, class Clock, class Hashing>
struct loader_store<own_cache, Key, Value, Clock, Hashing> {
  static constexpr bool keeps = true;
  using cache = ttl_cache<Key, Value, Clock, Hashing>;
  loader_store(data_loader_options const& o, own_cache, Clock const& clock, Hashing const& hashing)
      : store(ttl_cache_options{.capacity = o.capacity, .ttl = o.ttl}, clock, hashing) {}
  auto& get() const noexcept { return store; }
  cache mutable store;
};
template <class Key, class Value, class Clock, class Hashing>
struct loader_store<uncached, Key, Value, Clock, Hashing> {
  static constexpr bool keeps = false;
  loader_store(data_loader_options const&, uncached, Clock const&, Hashing const&) noexcept {}
};

}  // namespace detail

/// Loads values by key, many keys in one call: what several threads, or one thread for later, ask for is put
/// into one batch, equal keys once, and what came is kept for a while. N+1 queries become one.
///
///     tideover::data_loader<user_id, user> users([&](std::span<user_id const> ids) { return load_many(ids);
///     },
///                                                {.max_items = 100, .linger = 1ms});
///     user u = users.load(42);                         // together with what other threads ask for meanwhile
///     std::vector<user> us = users.load_many(ids);
///     auto a = users.later(1), b = users.later(2);     // nothing happens yet
///     a.get();                                         // one call for both
///
/// The batch function gives one answer for each key, in their order: a `std::vector` of Value, of
/// `std::optional<Value>` (nothing: errc::not_found) or of `result<Value>`. It is called by a thread that
/// waits for one of the keys, with no lock held, by several threads at once for different batches. It may
/// load other keys; a wait for its own ends with errc::recursive_computation.
///
/// Policies, in any order after Key and Value; objects of those with state are passed after the options:
///   store    own_cache (default: a ttl_cache of `capacity` and `ttl`), cache_in<Store>, uncached
///   clock    coarse (default), steady, manual_clock
///   hashing  seeded_hash (default), hash_by<Hash, Equal>
///
/// Batches  A batch is closed by the key that fills it, when its first key is `linger` old, or when somebody
///          calls `get`, and begun by a thread that waits for it. There is no thread besides those of the
///          callers: what is asked for later and never got is loaded with what fills the batch, or not at
///          all; a full batch that nobody waits for any more is forgotten.
/// Values   Copyable: each caller gets a copy. Kept as the store says; failures are not kept.
/// Failure  What the batch function throws reaches exactly those who wait for that batch; an answer of
/// another
///          length is errc::outcome_mismatch for all of them.
/// Threads  All members may be called at once.
/// Cost     A hit: a `get` of the store. Else a lock, a place in the batch, and one allocation for each
/// batch.
///
/// It must outlive all calls, and what `later` returned.
template <class Key, class Value, class... Policies>
class data_loader {
  static_assert(data_loader_axes::accept<Policies...>);
  static_assert(std::is_object_v<Key> && !std::is_const_v<Key> && std::is_object_v<Value> &&
                    !std::is_const_v<Value>,
                "tideover::data_loader: Key and Value are object types without const");
  static_assert(std::copy_constructible<Key> && std::copy_constructible<Value>,
                "tideover::data_loader: each caller gets a copy, so Key and Value must have one");

 public:
  using key_type = Key;
  using mapped_type = Value;
  using options = data_loader_options;
  using store_policy = policy_for<axis::store, own_cache, Policies...>;
  using clock_type = policy_for<axis::clock, coarse, Policies...>;
  using hashing_type = policy_for<axis::hashing, seeded_hash, Policies...>;
  class deferred;

  static_assert(clock_policy<clock_type>,
                "tideover::data_loader: see tideover::clock_policy in <tideover/policy/clock.hpp>");
  static_assert(hashing_policy<hashing_type, Key>,
                "tideover::data_loader: see tideover::hashing_policy in <tideover/policy/hashing.hpp>");

  /// The batch function, the options, `{}` for the defaults, then objects of the policies that have state.
  /// Throws `error` (errc::invalid_argument) naming field, value and bounds.
  template <class F, class... P>
    requires(detail::is_one_of<P, store_policy, clock_type, hashing_type>&&...)
  explicit data_loader(F&& f, options o, P&&... policies)
      : options_((check(o), o)),
        clock_(detail::take_policy<clock_type>(policies...)),
        hashing_(detail::take_policy<hashing_type>(policies...)),
        store_(o, detail::take_policy<store_policy>(policies...), clock_, hashing_),
        function_(std::make_unique<function_of<std::decay_t<F>>>(std::forward<F>(f))),
        table_(o.max_items, hashing_) {}
  template <class F>
    requires(!std::same_as<std::remove_cvref_t<F>, data_loader>)
  explicit data_loader(F&& f) : data_loader(std::forward<F>(f), options()) {}
  data_loader(data_loader const&) = delete;
  data_loader& operator=(data_loader const&) = delete;
  ~data_loader() {
    TIDEOVER_ASSERT(lent_.load(std::memory_order_relaxed) == 0,
                    "tideover::data_loader: it must outlive what `later` returned");
  }

  // `until` ends the caller's own wait (errc::timed_out, errc::cancelled), not the call of the batch
  // function; who calls it does not look at the time.

#if TIDEOVER_EXCEPTIONS
  /// The value: from the store, or from a batch. Throws what the batch function threw, or `error`.
  Value load(Key const& key, deadline const& until = {}) { return take_or_throw(try_load(key, until)); }
  /// All of them, in order. Every key is loaded; then the failure of the first that has one is thrown.
  std::vector<Value> load_many(std::span<Key const> keys, deadline const& until = {}) {
    std::vector<Value> values;
    values.reserve(keys.size());
    std::optional<failure> first;
    load_each(
        keys, until,
        [&](auto&& value) {
          if (!first) values.push_back(std::forward<decltype(value)>(value));
        },
        [&](failure const& why) {
          if (!first) first = why;
        });
    if (first) throw_failure(*first);
    return values;
  }
  std::vector<Value> load_many(std::initializer_list<Key> keys, deadline const& until = {}) {
    return load_many(std::span<Key const>(keys.begin(), keys.size()), until);
  }
#endif
  result<Value> try_load(Key const& key, deadline const& until = {}) {
    asked p = ask(key);
    if (p.value) return result<Value>(std::in_place, *std::move(p.value));
    leaving const left(*this, p);
    return await(p, until, false);
  }
  std::vector<result<Value>> try_load_many(std::span<Key const> keys, deadline const& until = {}) {
    std::vector<result<Value>> values;
    values.reserve(keys.size());
    load_each(
        keys, until,
        [&](auto&& value) { values.emplace_back(std::in_place, std::forward<decltype(value)>(value)); },
        [&](failure const& why) { values.emplace_back(why); });
    return values;
  }
  std::vector<result<Value>> try_load_many(std::initializer_list<Key> keys, deadline const& until = {}) {
    return try_load_many(std::span<Key const>(keys.begin(), keys.size()), until);
  }

  /// A place in a batch, without waiting. The first `get` of any in the batch loads all of them.
  deferred later(Key const& key) { return deferred(*this, ask(key)); }

  /// Stores a value that is known already, unless there is one or it is being loaded. Returns whether it did.
  template <class V = Value>
    requires std::is_constructible_v<Value, V>
  bool prime(Key const& key, V&& value) {
    if constexpr (!keeps) {
      return false;
    } else {
      std::uint64_t const hash = hashing_(key);
      batch_ptr b;
      {
        lock_type lock(mutex_);
        if (table_.find(hash, key)) return false;
        b = table_.add_alone(hash, key);
        b->primed = true;
        table_.begin(*b);
      }
      // What fails from here on is this call's affair: who has joined it meanwhile asks again.
      running now(*this, *b);
      auto& s = b->slots[0];
      s.value = store_.get().get(key);
      if (s.value) return false;
      s.value.emplace(std::forward<V>(value));
      bool const stored = keep(*b) != 0;
      if (stored) count(&data_loader_stats::primed);
      return stored;
    }
  }

  /// Forgets the value. Who waits for the key is served, but if its batch has begun the value is not stored,
  /// and who asks from now on does not join it.
  void clear(Key const& key) {
    std::uint64_t const hash = hashing_(key);
    {
      lock_type lock(mutex_);
      auto found = table_.find(hash, key);
      while (found && found->in->storing && found->in->runner != std::this_thread::get_id()) {
        if (table_.stores_here()) {
          table_.overtake(*found);
          found.reset();
          break;
        }
        stored_.wait(lock);
        found = table_.find(hash, key);
      }
      if (found) table_.outdate(*found);
    }
    if constexpr (keeps) store_.get().erase(key);
  }
  /// The same of all keys. The store must have a `clear()`.
  void clear() {
    {
      lock_type lock(mutex_);
      std::uint64_t const before = table_.outdate_all();
      while (!table_.stores_here() && table_.stores_older(before)) stored_.wait(lock);
    }
    if constexpr (keeps) store_.get().clear();
  }

  data_loader_stats stats() const {
    lock_type lock(mutex_);
    data_loader_stats s = stats_;
    for (auto const& lane : hits_) s.hits += lane.count.load(std::memory_order_relaxed);
    s.asked = s.hits + s.joined + s.loaded;
    s.pending = table_.size();
    return s;
  }
  options const& configured() const noexcept { return options_; }
  clock_type const& clock() const noexcept { return clock_; }
  /// What it keeps values in.
  auto& store() noexcept requires(!std::is_same_v<store_policy, uncached>) { return store_.get(); }

 private:
  using table = detail::load_table<Key, Value, hashing_type>;
  using batch = typename table::batch;
  using batch_ptr = typename table::batch_ptr;
  using place = typename table::place;
  using lock_type = std::unique_lock<std::mutex>;
  using store_type = detail::loader_store<store_policy, Key, Value, clock_type, hashing_type>;
  using load_state = detail::load_state;
  static constexpr bool keeps = store_type::keeps;

  /// What asking for a key gives at once: its value, or where it will be.
  struct asked {
    std::optional<Value> value{};
    batch_ptr in{};
    std::size_t at = 0;
    bool over = false;  // its batch has ended
  };
  /// Who has asked, and goes.
  class leaving {
   public:
    leaving(data_loader& self, asked& p) noexcept : self_(self), place_(p) {}
    leaving(leaving const&) = delete;
    leaving& operator=(leaving const&) = delete;
    ~leaving() {
      if (place_.in && !place_.over) self_.leave(std::span(&place_.in, 1));
    }

   private:
    data_loader& self_;
    asked& place_;
  };

  /// The batch function, whatever its type.
  struct function {
    virtual ~function() = default;
    virtual void call(data_loader& self, batch& b) = 0;
  };
  template <class F>
  struct function_of final : function {
    static_assert(std::is_invocable_v<F&, std::span<Key const>>,
                  "tideover::data_loader: the batch function takes a std::span<Key const>");
    template <class G>
    explicit function_of(G&& g) : f(std::forward<G>(g)) {}

    void call(data_loader& self, batch& b) override {
      using answer = std::invoke_result_t<F&, std::span<Key const>>;
      using loaded = typename detail::loaded_in<std::remove_cvref_t<answer>>::type;
      static_assert(detail::is_loaded<loaded, Value>,
                    "tideover::data_loader: the batch function must return a std::vector of Value, of "
                    "std::optional<Value> or of tideover::result<Value>");
      auto all = std::invoke(f, std::span<Key const>(b.keys));
      if (all.size() != b.slots.size()) {
        self.count(&data_loader_stats::mismatches);
        for (auto& s : b.slots) s.why = {.code = errc::outcome_mismatch};
        return;
      }
      for (std::size_t i = 0; i != all.size(); ++i) {
        auto& s = b.slots[i];
        if constexpr (std::is_same_v<loaded, Value>) {
          s.value.emplace(std::move(all[i]));
        } else if (all[i]) {
          s.value.emplace(*std::move(all[i]));
        } else if constexpr (detail::is_result<loaded>) {
          s.why = all[i].error();
        } else {
          s.why = {.code = errc::not_found};
        }
      }
    }
    F f;
  };

  /// A batch that this thread runs. However that ends, those who wait are told.
  class running {
   public:
    running(data_loader& self, batch& b) noexcept : self_(self), batch_(b) {}
    running(running const&) = delete;
    running& operator=(running const&) = delete;
    ~running() {
      std::uint64_t failed = 0;
      bool abandoned = false;
      if (!batch_.primed) {
        for (auto& s : batch_.slots) {
          if (s.value) continue;
          ++failed;
          if (s.why.code) continue;
          abandoned = true;
          s.why = {.code = errc::flight_abandoned};
        }
      }
      {
        lock_type lock(self_.mutex_);
        self_.table_.end(batch_);
        self_.stats_.failed += failed;
        if (abandoned) ++self_.stats_.abandoned;
        // Release: pairs with the acquire in `ask`. What was stored is seen by whoever sees this.
        self_.ended_.fetch_add(1, std::memory_order_release);
      }
      self_.stored_.notify_all();
      batch_.sync.settle();
    }

   private:
    data_loader& self_;
    batch& batch_;
  };

  static void check(options const& o) {
    if (o.max_items < 1 || o.max_items > 1'000'000) {
      detail::raise_out_of_bounds("data_loader_options.max_items", std::to_string(o.max_items),
                                  "between 1 and 1000000");
    }
    if (o.linger.count() < 0) {
      detail::raise_out_of_bounds("data_loader_options.linger",
                                  std::to_string(o.linger.count()).append(" ns"), "0 ns or more");
    }
    if (o.capacity < 1 || o.capacity > 4'000'000'000u) {
      detail::raise_out_of_bounds("data_loader_options.capacity", std::to_string(o.capacity),
                                  "between 1 and 4000000000");
    }
    if (o.ttl.count() <= 0) {
      detail::raise_out_of_bounds("data_loader_options.ttl", std::to_string(o.ttl.count()).append(" ns"),
                                  "above 0 ns");
    }
  }

#if TIDEOVER_EXCEPTIONS
  [[noreturn]] TIDEOVER_COLD static void throw_failure(failure const& why) {
    if (why.cause && why.code == errc::computation_failed) std::rethrow_exception(why.cause);
    detail::raise(why);
  }
  static Value take_or_throw(result<Value> r) {
    if (!r) throw_failure(r.error());
    return *std::move(r);
  }
#endif

  void count(std::uint64_t data_loader_stats::*what, std::uint64_t n = 1) noexcept {
    lock_type lock(mutex_);
    stats_.*what += n;
  }

  /// A counter that few other threads write: hits of one key share nothing else.
  struct alignas(cache_line) hit_lane {
    std::atomic<std::uint64_t> count{0};
  };
  void count_hit() noexcept {
    static thread_local char here;
    auto const mixed =
        static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&here)) * 0x9E3779B97F4A7C15u;
    hits_[mixed >> 60].count.fetch_add(1, std::memory_order_relaxed);
  }

  asked ask(Key const& key) {
    std::uint64_t const hash = hashing_(key);
    for (;;) {
      std::uint64_t const ended = ended_.load(std::memory_order_acquire);
      if constexpr (keeps) {
        if (auto hit = store_.get().get(key)) {
          count_hit();
          return {.value = std::move(hit)};
        }
      }
      lock_type lock(mutex_);
      if (auto const found = table_.find(hash, key)) {
        ++stats_.joined;
        return {.in = found->in->self, .at = found->at};
      }
      // It may have been loaded between the look at the store and the lock: then it is there by now.
      if (keeps && ended != ended_.load(std::memory_order_relaxed)) continue;
      place const p = add(hash, key);
      return {.in = p.in->self, .at = p.at};
    }
  }
  place add(std::uint64_t hash, Key const& key) {
    place const p = table_.add(hash, key, [this] { return clock_.precise_now(); });
    ++stats_.loaded;
    if (p.in->state == load_state::full) p.in->changed.notify_all();  // whoever waits for it begins it
    return p;
  }

  /// All keys: their values from the store, then one lock for those that have none; then each batch in turn.
  template <class Give, class Fail>
  void load_each(std::span<Key const> keys, deadline const& until, Give give, Fail fail) {
    std::vector<batch_ptr> batches;  // each that is waited for
    struct gone {
      data_loader& self;
      std::vector<batch_ptr>& from;
      bool all_over = false;
      ~gone() {
        if (!all_over) self.leave(from);
      }
    } left{*this, batches};
    std::vector<waited> places(keys.size());
    std::size_t missing = keys.size();
    std::uint64_t const ended = ended_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i != keys.size(); ++i) {
      if constexpr (keeps) {
        places[i].value = store_.get().get(keys[i]);
        if (places[i].value) {
          count_hit();
          --missing;
          continue;
        }
      }
      places[i].hash = hashing_(keys[i]);
    }
    if (missing != 0) {
      lock_type lock(mutex_);
      for (std::size_t i = 0; i != keys.size(); ++i) {
        if (places[i].value) continue;
        // Room first: what is added is held then, however this ends.
        if (batches.size() == batches.capacity()) batches.reserve(2 * batches.size() + 4);
        auto p = table_.find(places[i].hash, keys[i]);
        if (p) {
          ++stats_.joined;
        } else if (keeps && ended != ended_.load(std::memory_order_relaxed)) {
          lock.unlock();
          asked one = ask(keys[i]);
          lock.lock();
          places[i].value = std::move(one.value);
          if (places[i].value) continue;
          p = place{one.in.get(), one.at};
          batches.push_back(std::move(one.in));
        } else {
          p = add(places[i].hash, keys[i]);
        }
        if (batches.empty() || batches.back().get() != p->in) batches.push_back(p->in->self);
        places[i].in = batches.size() - 1;
        places[i].at = p->at;
      }
    }
    std::size_t settled = batches.size();
    std::optional<errc> early;
    bool any_early = false;
    for (waited& p : places) {
      if (p.value) {
        give(*std::move(p.value));
        continue;
      }
      if (settled != p.in) early = await_end(batches[p.in], until, false);
      settled = p.in;
      any_early = any_early || early;
      batch const& b = *batches[p.in];
      if (early) {
        fail(failure{.code = *early});
      } else if (auto const& s = b.slots[p.at]; s.value) {
        give(*s.value);
      } else if (b.primed) {
        auto again = try_load(b.keys[p.at], until);
        again ? give(*std::move(again)) : fail(again.error());
      } else {
        fail(s.why);
      }
    }
    left.all_over = !any_early;
  }
  struct waited {
    std::optional<Value> value{};
    std::uint64_t hash = 0;
    std::size_t in = 0;
    std::size_t at = 0;
  };

  /// The outcome of a place, when it is there. `now`: the batch is not left open for others.
  result<Value> await(asked& p, deadline const& until, bool now) {
    for (;;) {
      if (p.value) return result<Value>(std::in_place, *p.value);
      if (auto const early = await_end(p.in, until, now)) return *early;
      p.over = true;
      auto const& s = p.in->slots[p.at];
      if (s.value) return result<Value>(std::in_place, *s.value);
      if (!p.in->primed) return s.why;
      p = ask(p.in->keys[p.at]);
    }
  }
  /// These are waited for no longer by this thread.
  void leave(std::span<batch_ptr> all) noexcept {
    lock_type lock(mutex_);
    for (batch_ptr& b : all) {
      if (b->state == load_state::done) continue;
      batch_ptr mine = std::move(b);
      if (table_.leave(mine)) b = std::move(mine);  // dies without the lock
    }
  }

  /// Returns when the batch has ended, or with why this caller does not wait any longer.
  std::optional<errc> await_end(batch_ptr const& b, deadline const& until, bool now) {
    if (auto const early = await_begin(b, until, now)) return early;
    switch (b->sync.wait(clock_, until)) {
      case detail::flight_end::timed_out:
        count(&data_loader_stats::timed_out);
        return errc::timed_out;
      case detail::flight_end::cancelled:
        count(&data_loader_stats::cancelled);
        return errc::cancelled;
      case detail::flight_end::recursive:
        count(&data_loader_stats::recursions);
        return errc::recursive_computation;
      case detail::flight_end::settled:
        break;
    }
    return std::nullopt;
  }

  /// Returns when the batch has begun, and has ended if this thread was the one to begin it; or with why this
  /// caller does not wait any longer.
  std::optional<errc> await_begin(batch_ptr const& b, deadline const& until, bool now) {
    auto const wake = [this, &b] {
      { lock_type lock(mutex_); }  // not between a waiter's test and its sleep
      b->changed.notify_all();
    };
    std::optional<std::stop_callback<decltype(wake)>> on_stop;
    if (until.stop.stop_possible()) on_stop.emplace(until.stop, wake);
    {
      lock_type lock(mutex_);
      if (auto const early = await_turn(lock, *b, until, now)) return early;
      if (b->state != load_state::open && b->state != load_state::full) return std::nullopt;
      table_.begin(*b);
      ++stats_.batches;
      stats_.keys += b->keys.size();
    }
    run(*b);
    return std::nullopt;
  }
  /// Until it has begun, or this thread is to begin it.
  std::optional<errc> await_turn(lock_type& lock, batch& b, deadline const& until, bool now) {
    instant const closes = b.opened + options_.linger;
    while (b.state == load_state::open && !now && options_.linger.count() != 0) {
      if (until.stop.stop_requested()) {
        ++stats_.cancelled;
        return errc::cancelled;
      }
      // The first reading tells nothing while others wait for the end of the linger already.
      bool const captain = !b.has_captain;
      if (captain || until.at != instant::max()) {
        instant const time = clock_.precise_now();
        if (captain && time >= closes) break;
        if (until.passed(time)) {
          ++stats_.timed_out;
          return errc::timed_out;
        }
      }
      if (captain) {
        b.has_captain = true;
        clock_.wait_until(b.changed, lock, std::min(closes, until.at));
        b.has_captain = false;
        // Whoever leaves the ship without having begun leaves it to somebody.
        if (b.state == load_state::open) b.changed.notify_all();
      } else if (until.at != instant::max()) {
        clock_.wait_until(b.changed, lock, until.at);
      } else {
        b.changed.wait(lock);
      }
    }
    return std::nullopt;
  }

  void run(batch& b) {
    running const now(*this, b);
#if TIDEOVER_EXCEPTIONS
    try {
#endif
      function_->call(*this, b);
#if TIDEOVER_EXCEPTIONS
    } catch (...) {
      if (detail::thread_goes_away()) throw;
      failure const why{.code = errc::computation_failed, .cause = std::current_exception()};
      for (auto& s : b.slots) {
        if (!s.value && !s.why.code) s.why = why;
      }
    }
#endif
    keep(b);
  }

  /// After it was stored: whether another thread cleared it meanwhile.
  bool was_overtaken(batch const& b, std::size_t i) const noexcept {
    // Acquire: pairs with the release in `overtake`; the mutex is taken only if there is something to see.
    if (!b.overtaken.load(std::memory_order_acquire)) return false;
    lock_type lock(mutex_);
    return b.slots[i].overtaken;
  }
  /// Stores what has a value and has not been cleared since the batch began; returns how much that was.
  std::size_t keep(batch& b) {
    std::size_t kept = 0;
    if constexpr (keeps) {
      std::uint64_t outdated = 0;
      std::uint64_t failures = 0;
      {
        // From here on `clear` waits: what it saw before is not stored, what it sees later it erases.
        lock_type lock(mutex_);
        b.storing = true;
      }
      for (std::size_t i = 0; i != b.slots.size(); ++i) {
        auto& s = b.slots[i];
        if (!s.value) continue;
        // While it stores, nobody writes this but this very thread, by a `clear` that the store calls.
        if (s.outdated) {
          ++outdated;
          continue;
        }
#if TIDEOVER_EXCEPTIONS
        try {
#endif
          if (store_.get().put(b.keys[i], *std::as_const(s.value))) ++kept;
          // Cleared by what the store called, here or on another thread.
          if (s.outdated || was_overtaken(b, i)) store_.get().erase(b.keys[i]);
#if TIDEOVER_EXCEPTIONS
        } catch (...) {
          if (detail::thread_goes_away()) throw;
          ++failures;
        }
#endif
      }
      lock_type lock(mutex_);
      stats_.outdated += outdated;
      stats_.store_failures += failures;
    }
    return kept;
  }

  options options_;
  [[no_unique_address]] clock_type clock_;
  [[no_unique_address]] hashing_type hashing_;
  [[no_unique_address]] store_type store_;
  std::unique_ptr<function> function_;
  std::mutex mutable mutex_;
  std::condition_variable stored_;
  table table_;
  data_loader_stats stats_{};
  std::atomic<std::int64_t> lent_{0};
  // Batches; grows under the mutex, after their values were stored. What hits read stands apart from the
  // rest.
  alignas(cache_line) std::atomic<std::uint64_t> ended_{0};
  std::array<hit_lane, 16> hits_{};
};

/// A value that was asked for `later`. It must not outlive its loader. One thread at a time.
template <class Key, class Value, class... Policies>
class [[nodiscard]] data_loader<Key, Value, Policies...>::deferred {
 public:
  deferred(deferred&& other) noexcept
      : loader_(std::exchange(other.loader_, nullptr)), where_(std::move(other.where_)) {}
  deferred& operator=(deferred&& other) noexcept {
    std::swap(loader_, other.loader_);
    std::swap(where_, other.where_);
    return *this;
  }
  ~deferred() {
    if (loader_ == nullptr) return;
    { leaving const left(*loader_, where_); }
    loader_->lent_.fetch_sub(1, std::memory_order_relaxed);
  }

#if TIDEOVER_EXCEPTIONS
  /// The value, now: if its batch has not begun, this thread loads all of it. May be called again.
  Value get(deadline const& until = {}) { return take_or_throw(try_get(until)); }
#endif
  result<Value> try_get(deadline const& until = {}) { return loader_->await(where_, until, true); }

 private:
  friend data_loader;
  deferred(data_loader& loader, asked where) : loader_(&loader), where_(std::move(where)) {
    loader.lent_.fetch_add(1, std::memory_order_relaxed);
  }

  data_loader* loader_;
  asked where_;
};

}  // namespace tideover::inline v0
