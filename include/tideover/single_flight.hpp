// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/deadline.hpp>
#include <tideover/detail/computation.hpp>
#include <tideover/detail/flight_table.hpp>
#include <tideover/error.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/hashing.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/policy/policy.hpp>
#include <tideover/result.hpp>
#include <tideover/single_flight_options.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>

namespace tideover::inline v0 {

/// The axes of `single_flight`.
using single_flight_axes = axes<axis::locking, axis::clock, axis::hashing>;

/// One computation per key, without a cache: who asks for a key that is being computed waits for that result
/// and gets the same value, or the same exception. Nothing is remembered once it has ended.
///
///     tideover::single_flight<std::string, page> flights;
///     page p = flights.run("/", [] { return render(); });
///
/// Policies, in any order after Key and Value; objects of those with state are passed after the options:
///   locking  sharded<16> (default), one_mutex, single_threaded
///   clock    coarse (default), steady, manual_clock
///   hashing  seeded_hash (default), hash_by<Hash, Equal>
///
/// Values   Value must be copyable: each caller gets a copy; who computed alone gets the object itself.
/// Threads  All members may be called at once, but with `single_threaded`. The function runs on the thread of
///          the caller that came first, without any lock, and may run other keys; hash, equality and copies
///          of keys may run under a shard's lock and may not. Waits that form a cycle, on one thread or over
///          several, end with errc::recursive_computation.
/// Failure  What the function throws reaches it and exactly those who waited. If its thread goes away
///          (cancelled, or by pthread_exit) one of those who wait computes in its place; after the second
///          such loss the others are told errc::flight_abandoned.
/// Cost     Alone: one hash and two locks, no allocation once as many flights as this have been under way.
///
/// It must outlive every call.
template <class Key, class Value, class... Policies>
class single_flight {
  static_assert(single_flight_axes::accept<Policies...>);
  static_assert(std::is_object_v<Key> && !std::is_const_v<Key> && std::is_object_v<Value> &&
                    !std::is_const_v<Value>,
                "tideover::single_flight: Key and Value are object types without const");
  static_assert(std::copy_constructible<Value>,
                "tideover::single_flight: each caller gets a copy, so Value must have one");

 public:
  using key_type = Key;
  using mapped_type = Value;
  using options = single_flight_options;
  using locking_type = policy_for<axis::locking, sharded<>, Policies...>;
  using clock_type = policy_for<axis::clock, coarse, Policies...>;
  using hashing_type = policy_for<axis::hashing, seeded_hash, Policies...>;

  static_assert(locking_policy<locking_type>,
                "tideover::single_flight: see tideover::locking_policy in <tideover/policy/locking.hpp>");
  static_assert(clock_policy<clock_type>,
                "tideover::single_flight: see tideover::clock_policy in <tideover/policy/clock.hpp>");
  static_assert(hashing_policy<hashing_type, Key>,
                "tideover::single_flight: see tideover::hashing_policy in <tideover/policy/hashing.hpp>");

  /// Throws `error` (errc::invalid_argument) naming field, value and bounds.
  template <class... P>
    requires(detail::is_one_of<P, locking_type, clock_type, hashing_type>&&...)
  explicit single_flight(options o, P&&... policies)
      : options_((check(o), o)),
        clock_(detail::take_policy<clock_type>(std::forward<P>(policies)...)),
        hashing_(detail::take_policy<hashing_type>(std::forward<P>(policies)...)) {}
  single_flight() : single_flight(options{}) {}
  /// `single_flight({})` means the defaults; without this it might as well mean a copy of `single_flight()`.
  explicit single_flight(std::initializer_list<options*>) : single_flight() {}
  single_flight(single_flight const&) = delete;
  single_flight& operator=(single_flight const&) = delete;
  ~single_flight() {
    for (auto const& s : table_) {
      TIDEOVER_ASSERT(s.index.empty(), "tideover::single_flight: destroyed while it computes");
      static_cast<void>(s);
    }
  }

  // `compute(Key const&, std::stop_token)`, `compute(Key const&)` or `compute()` gives a value or a `result`
  // of one. `until` ends this caller's own wait (errc::timed_out, errc::cancelled), not the computation; the
  // one who computes does not look at the time.

#if TIDEOVER_EXCEPTIONS
  /// What `compute` gives, here or for the caller that came first.
  template <class K = Key, class F>
  Value run(K&& key, F&& compute) {
    return obtain<throwing>(lookup_key(std::forward<K>(key)), compute, detail::no_deadline{});
  }
  template <class K = Key, class F>
  Value run(K&& key, F&& compute, deadline const& until) {
    return obtain<throwing>(lookup_key(std::forward<K>(key)), compute, until);
  }
#endif
  /// As `run`, but what `compute` throws or returns as a failure comes back as a failure: its own, or
  /// errc::computation_failed with the exception as its cause.
  template <class K = Key, class F>
  result<Value> try_run(K&& key, F&& compute) {
    return obtain<returning>(lookup_key(std::forward<K>(key)), compute, detail::no_deadline{});
  }
  template <class K = Key, class F>
  result<Value> try_run(K&& key, F&& compute, deadline const& until) {
    return obtain<returning>(lookup_key(std::forward<K>(key)), compute, until);
  }

  /// The computation of the key that is under way, if any, serves those who have joined, and nobody else: the
  /// next call computes anew. Returns whether there was one.
  template <class K = Key>
  bool forget(K const& key) {
    auto&& wanted = lookup_key(key);
    std::uint64_t const hash = hashing_(wanted);
    shard& s = table_.shard_of(hash);
    lock_type lock(s.mutex);
    entry_id const id = table::find(s, hashing_, hash, wanted);
    if (id == no_entry) return false;
    table::forget(s, id);
    return true;
  }

  single_flight_stats stats() const {
    single_flight_stats sum;
    for (shard& s : table_) {
      lock_type lock(s.mutex);
      single_flight_stats const& c = s.state;
      sum.computations += c.computations;
      sum.computations_failed += c.computations_failed;
      sum.abandoned += c.abandoned;
      sum.coalesced += c.coalesced;
      sum.timed_out += c.timed_out;
      sum.cancelled += c.cancelled;
      sum.recursions += c.recursions;
      sum.refused += c.refused;
      sum.running += c.running;
    }
    return sum;
  }
  options const& configured() const noexcept { return options_; }
  clock_type const& clock() const noexcept { return clock_; }

 private:
  struct parts {
    using key_type = Key;
    using value_type = Value;
    using hashing_type = single_flight::hashing_type;
    using locking_type = single_flight::locking_type;
    using state_type = single_flight_stats;
  };
  using table = detail::flight_table<parts>;
  using shard = typename table::shard;
  using lock_type = typename table::lock_type;

#if TIDEOVER_EXCEPTIONS
  struct throwing {
    static constexpr bool throws = true;
    using type = Value;
    [[noreturn]] static type fail(failure const& why) {
      if (why.cause && why.code == errc::computation_failed) std::rethrow_exception(why.cause);
      detail::raise(why);
    }
  };
#endif
  struct returning {
    static constexpr bool throws = false;
    using type = result<Value>;
    static type fail(failure const& why) { return why; }
  };

  static void check(options const& o) {
    if (o.max_waiters > 4'000'000'000u) {
      detail::raise_out_of_bounds("single_flight_options.max_waiters", std::to_string(o.max_waiters),
                                  "between 0 and 4000000000");
    }
  }

  template <class K>
  static decltype(auto) lookup_key(K&& key) {
    if constexpr (hashing_type::template accepts<Key, std::remove_cvref_t<K>>) {
      return std::forward<K>(key);
    } else {
      return Key(std::forward<K>(key));
    }
  }

  /// The one who computes. However that ends, the flight is settled, or everyone would wait for ever.
  class leader {
   public:
    leader(shard& s, entry_id id) noexcept : shard_(s), id_(id) {}
    leader(leader const&) = delete;
    leader& operator=(leader const&) = delete;
    ~leader() {
      if (!settled_) settle(detail::flight_outcome::abandoned);
      table::leave(shard_, id_);
    }

    typename table::record& flight() const noexcept { return shard_.flights[id_]; }
    bool settled() const noexcept { return settled_; }
    /// Returns whether anybody else reads the outcome.
    bool settle(detail::flight_outcome how) noexcept {
      settled_ = true;
      auto& f = flight();
      f.outcome = how;
      bool joined = false;
      {
        lock_type lock(shard_.mutex);
        table::forget(shard_, id_);
        joined = table::shared(shard_, id_);
        --shard_.state.running;
        if (how == detail::flight_outcome::failed) ++shard_.state.computations_failed;
        if (how == detail::flight_outcome::abandoned) ++shard_.state.abandoned;
      }
      if (joined) {
        f.sync.settle();
      } else {
        f.sync.settle_unseen();
      }
      return joined;
    }

   private:
    shard& shard_;
    entry_id id_;
    bool settled_ = false;
  };

  template <class Exit, class K, class F, class Deadline>
  typename Exit::type obtain(K&& key, F& compute, Deadline const& until) {
    static_assert(
        detail::is_computation<F, Key>,
        "tideover::single_flight: compute must be callable as compute(Key const&, std::stop_token), "
        "compute(Key const&) or compute()");
    std::uint64_t const hash = hashing_(key);
    shard& s = table_.shard_of(hash);
    for (unsigned lost = 0;; ++lost) {
      entry_id id = no_entry;
      bool leads = false;
      {
        lock_type lock(s.mutex);
        id = table::find(s, hashing_, hash, key);
        if (id != no_entry && s.flights[id].unwanted) {
          table::forget(s, id);
          id = no_entry;
        }
        if (id == no_entry) {
          id = table::enter(s, hash, std::as_const(key), detail::takes_stop_token<F, Key>);
          s.flights[id].sync.lead();
          leads = true;
          ++s.state.computations;
          ++s.state.running;
        } else if (s.flights[id].waiting >= options_.max_waiters) {
          ++s.state.refused;
          id = no_entry;
        } else {
          table::join(s, id);
          ++s.state.coalesced;
        }
      }
      if (id == no_entry) return Exit::fail({.code = errc::queue_full});
      if (leads) return lead<Exit>(s, id, compute, until);
      detail::flight_hold<parts> const hold(s, id);
      detail::flight_end const end = detail::wait_in<parts>(s, id, clock_, until, options_.stop_unwanted);
      if (end != detail::flight_end::settled) return Exit::fail({.code = count(s, end)});
      typename table::record& f = hold.flight();
      if (f.outcome == detail::flight_outcome::value) return *std::as_const(f.value);
      if (f.outcome == detail::flight_outcome::failed) return Exit::fail(f.why);
      if (lost == detail::most_losses) return Exit::fail({.code = errc::flight_abandoned});
    }
  }

  errc count(shard& s, detail::flight_end end) noexcept {
    lock_type lock(s.mutex);
    switch (end) {
      case detail::flight_end::cancelled:
        ++s.state.cancelled;
        return errc::cancelled;
      case detail::flight_end::recursive:
        ++s.state.recursions;
        return errc::recursive_computation;
      case detail::flight_end::timed_out:
      case detail::flight_end::settled:
        break;
    }
    ++s.state.timed_out;
    return errc::timed_out;
  }

  template <class Exit, class F, class Deadline>
  typename Exit::type lead(shard& s, entry_id id, F& compute, Deadline const& until) {
    leader mine(s, id);
    typename table::record& f = mine.flight();
#if TIDEOVER_EXCEPTIONS
    try {
#endif
      detail::stop_of_leader<parts, Deadline, detail::takes_stop_token<F, Key>> const on_stop(
          s, id, until, options_.stop_unwanted);
      produce(f, compute);
#if TIDEOVER_EXCEPTIONS
    } catch (...) {
      if (detail::thread_goes_away()) throw;  // `mine` settles the flight
      f.why = {.code = errc::computation_failed, .cause = std::current_exception()};
      f.value.reset();
      mine.settle(detail::flight_outcome::failed);
      if constexpr (Exit::throws) {
        throw;
      } else {
        return Exit::fail(f.why);
      }
    }
#endif
    if (!f.value) {
      mine.settle(detail::flight_outcome::failed);
      return Exit::fail(f.why);
    }
    if (mine.settle(detail::flight_outcome::value)) return *std::as_const(f.value);
    return std::move(*f.value);
  }

  /// Makes the value in the flight, or the failure that `compute` returned instead.
  template <class F>
  static void produce(typename table::record& f, F& compute) {
    using computed = detail::computed_by<F, Key>;
    if constexpr (detail::is_result<computed> && !std::is_same_v<computed, Value>) {
      auto made = detail::call_computation(compute, std::as_const(*f.key), f.stop);
      if (made) {
        f.value.emplace(*std::move(made));
      } else {
        f.why = made.error();
      }
    } else {
      static_assert(std::is_constructible_v<Value, computed>,
                    "tideover::single_flight: compute must return a value, or a result of one");
      f.value.emplace(detail::call_computation(compute, std::as_const(*f.key), f.stop));
    }
  }

  options options_;
  [[no_unique_address]] clock_type clock_;
  [[no_unique_address]] hashing_type hashing_;
  table mutable table_;
};

}  // namespace tideover::inline v0
