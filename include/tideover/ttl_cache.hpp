// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/deadline.hpp>
#include <tideover/detail/cache/computed.hpp>
#include <tideover/detail/cache/eviction_order.hpp>
#include <tideover/detail/cache/read_counts.hpp>
#include <tideover/detail/cache/shard.hpp>
#include <tideover/detail/cache/tag_table.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/allocator.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/eviction.hpp>
#include <tideover/policy/eviction/fifo.hpp>
#include <tideover/policy/eviction/lru.hpp>
#include <tideover/policy/eviction/s3_fifo.hpp>
#include <tideover/policy/eviction/sieve.hpp>
#include <tideover/policy/eviction/steered.hpp>
#include <tideover/policy/eviction/unbounded.hpp>
#include <tideover/policy/eviction/w_tinylfu.hpp>
#include <tideover/policy/expiry.hpp>
#include <tideover/policy/expiry/after_access.hpp>
#include <tideover/policy/expiry/after_write.hpp>
#include <tideover/policy/expiry/after_write_or_access.hpp>
#include <tideover/policy/expiry/never.hpp>
#include <tideover/policy/expiry/per_entry.hpp>
#include <tideover/policy/hashing.hpp>
#include <tideover/policy/listener.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/policy/negative.hpp>
#include <tideover/policy/policy.hpp>
#include <tideover/policy/rng.hpp>
#include <tideover/policy/tagging.hpp>
#include <tideover/policy/weigher.hpp>
#include <tideover/result.hpp>
#include <tideover/ttl_cache_options.hpp>

#include <cxxabi.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace tideover::inline v0 {

/// The axes of `ttl_cache`.
using cache_axes =
    axes<axis::eviction, axis::expiry, axis::locking, axis::clock, axis::hashing, axis::weigher,
         axis::listener, axis::allocator, axis::rng, axis::negative, axis::tagging>;

/// A bounded map whose entries expire, shared by threads, that computes what it misses once.
///
///     tideover::ttl_cache<std::string, profile> profiles({.capacity = 10'000, .ttl = 60s});
///     profiles.put("user:1", p);
///     if (std::optional<profile> hit = profiles.get("user:1")) greet(*hit);
///     profile v = profiles.get_or_compute("user:2", [](auto const& key) { return load(key); });
///
/// Policies, in any order after Key and Value; objects of those with state are passed after the options:
///   eviction  steered (default), w_tinylfu, w_tinylfu_fixed<percent>, s3_fifo, sieve, lru, fifo, unbounded
///   expiry    after_write (default), after_access, after_write_or_access, per_entry<F>, never
///   locking   sharded<16> (default), one_mutex, single_threaded
///   clock     coarse (default), steady, manual_clock
///   hashing   seeded_hash (default), hash_by<Hash, Equal>
///   weigher   count (default), weigh_by<F>
///   listener  silent (default), listen_by<F>, your own
///   allocator std_allocator (default), allocate_with<A>, pmr_allocator
///   rng       xoshiro (default)
///   negative  values_only (default), negative_results
///   tagging   untagged (default), tagged, tagged_by<F>
///
/// Values   Key and Value need no default constructor. `get`, `peek` and `get_or_compute` copy the value out;
///          values that cannot be copied are read by `visit` and `visit_or_compute`. A lookup takes whatever
///          the hashing policy accepts: a std::string key is found by a std::string_view.
/// Expiry   Tested on every read: at `now >= deadline` an entry is gone, freed or not. What has expired is
///          freed a few at each put, on the read that meets it, and all of it by `maintain()`.
/// Threads  All members may be called at once, but with `single_threaded`. User functions (compute, visitor,
///          predicate, weigher, listener) run without any lock and may call the cache; hash, equality, copy
///          and move may run under a shard's lock and may not. Removed values are destroyed without a lock,
///          by the call that removes them; if one is visited at that instant, at the end of the visit; if it
///          is being copied, by a call that comes by later: a removal from the same shard, the end of a
///          visit, `maintain()`. Where more than eight threads read caches, what puts replace or evict may
///          also wait until it is half as many in its shard as there are threads.
/// Reading  With `sharded`, `after_write`, `per_entry` or `never`, and any eviction policy but `lru`, what is
///          there is read without a lock, and a hit writes nothing that the next reader of the key writes.
/// Throws   What user functions, hash, equality, copies and allocation throw; a single-key call that throws
///          has changed nothing. Own failures throw `tideover::error`; the `try_` verbs return them.
/// Cost     get: one hash, at most one lock, no allocation, but for a few bytes when a thread reads such a
/// cache
///          for the first time, by which it learns of the thread's end. put: one hash, one lock, and at most
///          one allocation while growing. All single-key calls are O(1), amortised over growth.
///
/// The cache must outlive every call; a visitor or computation still running in its destructor is a caller's
/// mistake that debug builds assert. The destructor tells the listener nothing.
template <class Key, class Value, class... Policies>
class ttl_cache {
  static_assert(cache_axes::accept<Policies...>);
  static_assert(std::is_object_v<Key> && !std::is_const_v<Key> && std::is_object_v<Value> &&
                    !std::is_const_v<Value>,
                "tideover::ttl_cache: Key and Value are object types without const");

 public:
  using key_type = Key;
  using mapped_type = Value;
  using options = ttl_cache_options;
  using eviction_type = policy_for<axis::eviction, steered, Policies...>;
  using expiry_type = policy_for<axis::expiry, after_write, Policies...>;
  using locking_type = policy_for<axis::locking, sharded<>, Policies...>;
  using clock_type = policy_for<axis::clock, coarse, Policies...>;
  using hashing_type = policy_for<axis::hashing, seeded_hash, Policies...>;
  using weigher_type = policy_for<axis::weigher, count, Policies...>;
  using listener_type = policy_for<axis::listener, silent, Policies...>;
  using allocator_policy_type = policy_for<axis::allocator, std_allocator, Policies...>;
  using rng_type = policy_for<axis::rng, xoshiro, Policies...>;
  using negative_type = policy_for<axis::negative, values_only, Policies...>;
  using tagging_type = policy_for<axis::tagging, untagged, Policies...>;

  static_assert(eviction_policy<eviction_type>,
                "tideover::ttl_cache: see tideover::eviction_policy in <tideover/policy/eviction.hpp>");
  static_assert(expiry_policy<expiry_type>,
                "tideover::ttl_cache: see tideover::expiry_policy in <tideover/policy/expiry.hpp>");
  static_assert(locking_policy<locking_type>,
                "tideover::ttl_cache: see tideover::locking_policy in <tideover/policy/locking.hpp>");
  static_assert(clock_policy<clock_type>,
                "tideover::ttl_cache: see tideover::clock_policy in <tideover/policy/clock.hpp>");
  static_assert(hashing_policy<hashing_type, Key>,
                "tideover::ttl_cache: see tideover::hashing_policy in <tideover/policy/hashing.hpp>");
  static_assert(weigher_policy<weigher_type, Key, Value>,
                "tideover::ttl_cache: see tideover::weigher_policy in <tideover/policy/weigher.hpp>");
  static_assert(cache_listener<listener_type, Key, Value>,
                "tideover::ttl_cache: see tideover::cache_listener in <tideover/policy/listener.hpp>");
  static_assert(allocator_policy<allocator_policy_type>,
                "tideover::ttl_cache: see tideover::allocator_policy in <tideover/policy/allocator.hpp>");
  static_assert(rng_policy<rng_type>,
                "tideover::ttl_cache: see tideover::rng_policy in <tideover/policy/rng.hpp>");
  static_assert(negative_policy<negative_type>,
                "tideover::ttl_cache: see tideover::negative_policy in <tideover/policy/negative.hpp>");
  static_assert(tagging_policy<tagging_type>,
                "tideover::ttl_cache: see tideover::tagging_policy in <tideover/policy/tagging.hpp>");
  static_assert(
      !negative_type::remembers || expiry_type::expires,
      "tideover::ttl_cache: negative_results expire, so they need another expiry policy than never");

  // ---- Making one -----------------------------------------------------------------------------------------

  /// Throws what the constructor would, for whoever makes these options of his own, named `of`.
  static void check(options const& o, char const* of = "ttl_cache_options");

  /// The options, `({})` for the defaults, then objects of the policies named above that have state, in any
  /// order. Throws `error` (errc::invalid_argument) naming field, value and bounds.
  template <class... P>
    requires(
        detail::is_one_of<P, eviction_type, expiry_type, locking_type, clock_type, hashing_type, weigher_type,
                          listener_type, allocator_policy_type, rng_type, negative_type, tagging_type>&&...)
  explicit ttl_cache(options o, P&&... policies)
      : options_((check(o), o)),
        capacity_(o.capacity),
        max_weight_(o.max_weight),
        clock_(detail::take_policy<clock_type>(std::forward<P>(policies)...)),
        hashing_(detail::take_policy<hashing_type>(std::forward<P>(policies)...)),
        weigher_(detail::take_policy<weigher_type>(std::forward<P>(policies)...)),
        listener_(detail::take_policy<listener_type>(std::forward<P>(policies)...)),
        expiry_(detail::take_policy<expiry_type>(std::forward<P>(policies)...)),
        tagging_(detail::take_policy<tagging_type>(std::forward<P>(policies)...)),
        allocator_(detail::take_policy<allocator_policy_type>(std::forward<P>(policies)...).allocator()),
        reads_(typename parts::allocator_type(allocator_)),
        seeds_(detail::take_policy<rng_type>(std::forward<P>(policies)...)),
        shard_count_(shards_for(o.capacity)),
        eviction_shared_(weighs ? std::min(o.capacity, o.max_weight) : o.capacity, shard_count_, seeds_(),
                         typename parts::allocator_type(allocator_)),
        shards_(make_shards(detail::take_policy<eviction_type>(std::forward<P>(policies)...))) {
    // For what follows on this thread: the first time allocates.
    if constexpr (reads_without_lock) detail::hazard_record_of_this_thread();
  }
  ttl_cache(ttl_cache const&) = delete;
  ttl_cache& operator=(ttl_cache const&) = delete;
  ~ttl_cache();

  // ---- One key --------------------------------------------------------------------------------------------

  /// Stores `value` under `key`, in place of what was there. Returns whether the entry is resident now: false
  /// if it was refused (heavier than the bound, or a life of zero or less, and then the key is erased, since
  /// what it held is out of date) or if the eviction policy would not admit it. Tags without a policy that
  /// keeps them throw `error` (errc::invalid_argument).
  template <class K = Key, class V = Value>
    requires(std::constructible_from<Key, K>&& std::constructible_from<Value, V>)
  bool put(K&& key, V&& value, put_options const& o = {});

  /// A copy of the live value; counts as a use.
  template <class K = Key>
  std::optional<Value> get(K const& key) requires std::copy_constructible<Value>;

  /// A copy of the live value; does not count as a use, changes nothing.
  template <class K = Key>
  std::optional<Value> peek(K const& key) const requires std::copy_constructible<Value>;

  /// Whether there is a live value; does not count as a use, changes nothing.
  template <class K = Key>
  bool contains(K const& key) const;

  /// How long the entry has still to live, `nanoseconds::max()` if it does not expire; nothing if there is no
  /// live one. Does not count as a use.
  template <class K = Key>
  std::optional<std::chrono::nanoseconds> remaining_life(K const& key) const;

  /// All that is known of the key, for whoever wonders why it is there or not. Does not count as a use,
  /// changes nothing. One lock; allocates only for tags.
  template <class K = Key>
  cache_explanation explain(K const& key) const;

  /// Calls `visitor(Value const&)` on the live value, if any, and returns whether there was one. No lock is
  /// held; the value stays alive and unchanged until the visitor returns, even if the key is erased or
  /// replaced meanwhile. Counts as a use. What the visitor throws passes through. A visit ends in the thread
  /// that began it, and after those that were begun within it: no visitor may change its fiber for another.
  template <class K = Key, class Visitor>
  bool visit(K const& key, Visitor&& visitor);

  /// Removes the entry; returns whether a live one was there. A computation under way for the key is not
  /// stored when it ends.
  template <class K = Key>
  bool erase(K const& key);

  // ---- Computing what is missing
  // ---------------------------------------------------------------------------
  //
  // `compute(Key const&)`, or `compute()`, gives a value, or a `result` of one. It runs on the calling
  // thread, outside of every lock, once however many callers ask for the key meanwhile: the others wait for
  // it and get the same value. If it throws, its exception reaches exactly the callers that waited, nothing
  // is stored, and the next call computes anew. If the key is put, erased or cleared meanwhile, that wins:
  // the callers get the result, it is not stored, and a call that begins after the change computes anew. A
  // wait that would close a cycle of waits fails with errc::recursive_computation. `until` ends this caller's
  // own wait (errc::timed_out, errc::cancelled), not the computation; the one who computes does not look at
  // it.
  //
  // A function that may find nothing returns `std::optional<Value>`, or a `result` of that. Then the call
  // gives an optional of what is said below, or, where that is void, whether there was something. With
  // `negative_results` that there is nothing is believed for `negative_ttl`.

#if TIDEOVER_EXCEPTIONS
  /// A copy of the live value, else of the computed one.
  template <class K = Key, class F>
  detail::computed_answer<F, Key, Value, Value> get_or_compute(
      K&& key, F&& compute) requires std::copy_constructible<Value>;
  template <class K = Key, class F>
  detail::computed_answer<F, Key, Value, Value> get_or_compute(
      K&& key, F&& compute, deadline const& until) requires std::copy_constructible<Value>;

  /// What `visitor(Value const&)` returns for the live value, else for the computed one; see `visit`.
  template <class K = Key, class F, class Visitor>
    requires std::is_invocable_v<Visitor&, Value const&>
        detail::computed_answer<F, Key, Value, std::invoke_result_t<Visitor&, Value const&>> visit_or_compute(
            K&& key, F&& compute, Visitor&& visitor);
  template <class K = Key, class F, class Visitor>
    requires std::is_invocable_v<Visitor&, Value const&>
        detail::computed_answer<F, Key, Value, std::invoke_result_t<Visitor&, Value const&>> visit_or_compute(
            K&& key, F&& compute, Visitor&& visitor, deadline const& until);
#endif

  /// As `get_or_compute`, but what `compute` throws or returns as a failure comes back as a failure: its own,
  /// or errc::computation_failed with the exception as its cause.
  template <class K = Key, class F>
  result<detail::computed_answer<F, Key, Value, Value>> try_get_or_compute(
      K&& key, F&& compute) requires std::copy_constructible<Value>;
  template <class K = Key, class F>
  result<detail::computed_answer<F, Key, Value, Value>> try_get_or_compute(
      K&& key, F&& compute, deadline const& until) requires std::copy_constructible<Value>;
  template <class K = Key, class F, class Visitor>
    requires std::is_invocable_v<Visitor&, Value const&>
        result<detail::computed_answer<F, Key, Value, std::invoke_result_t<Visitor&, Value const&>>>
        try_visit_or_compute(K&& key, F&& compute, Visitor&& visitor);
  template <class K = Key, class F, class Visitor>
    requires std::is_invocable_v<Visitor&, Value const&>
        result<detail::computed_answer<F, Key, Value, std::invoke_result_t<Visitor&, Value const&>>>
        try_visit_or_compute(K&& key, F&& compute, Visitor&& visitor, deadline const& until);

  // ---- All keys -------------------------------------------------------------------------------------------

  /// Removes every entry; no computation under way will be stored. Shard by shard: what is put meanwhile
  /// stays if its shard has been cleared already. O(entries).
  void clear();

  /// Every entry that is there becomes one of an older generation, which no call finds any more, and no
  /// computation under way will be stored: as `clear`, but at one instant for all keys and at O(1). The
  /// entries are freed later, as `cleared`: by the read or write that meets one, a few at each put and more
  /// where one would be evicted, and all of them by `maintain()` and each 2^20th call of this. Until then
  /// `size()` and `weight()` count them. Returns the number of the new generation; the first is 0.
  std::uint64_t new_generation() noexcept;
  std::uint64_t generation() const noexcept { return generation_.load(std::memory_order_acquire); }

  /// Removes the live entries for which `predicate(Key const&, Value const&)`; returns how many. Each entry
  /// that is there all the while is asked once. If the predicate throws, what was removed until then stays
  /// removed.
  template <class Predicate>
    requires std::predicate<Predicate&, Key const&, Value const&> std::size_t erase_if(Predicate predicate);

  /// Removes the entries that have the tag; returns how many live ones that were. What was put before the
  /// call is removed, what is put after it stays. Of what is being computed, a result that has the tag is
  /// delivered to those who called before and not stored; who calls afterwards is not given it but computes
  /// anew. Needs `tagged` or `tagged_by`. O(entries that have it), in turns of 256 for each lock; allocates
  /// nothing.
  template <class Tagging = tagging_type>
  std::size_t erase_tag(std::string_view tag);

  /// Calls `f(Key const&, Value const&)` once for each live entry that is there all the while, in no order.
  /// What expires or leaves before its turn comes is not shown. One lock for each entry. Not a use.
  template <class F>
    requires std::invocable<F&, Key const&, Value const&>
  void for_each(F f);

  /// Calls `f(Key const&, Value const&)`, or `f(Key const&, Value const&, entry_details const&)`, for the `n`
  /// live entries that would leave last, the hottest first, or that would leave first, the coldest first, if
  /// nothing were used any more; returns how many. No lock is held, and it is not a use. `unbounded` has no
  /// order: any `n`.
  ///
  /// Several shards each have an order of their own: the first of each, then the second of each, and so on.
  /// For policies that decide by frequency it is the order of their queues, which is near what they will do.
  /// While others change the cache it is near, too, and an entry that is replaced may be met twice; with `n`
  /// of size() or more each entry that is there all the while is met. O(n) where only the place in a queue
  /// counts, else up to O(entries), in turns of 256 for each lock; 16 bytes of memory for each entry looked
  /// at and kept in mind, at most n for each shard. What `f` throws passes through.
  template <class F>
    requires(std::invocable<F&, Key const&, Value const&> ||
             std::invocable<F&, Key const&, Value const&, entry_details const&>)
  std::size_t hottest(std::size_t n, F f);
  template <class F>
    requires(std::invocable<F&, Key const&, Value const&> ||
             std::invocable<F&, Key const&, Value const&, entry_details const&>)
  std::size_t coldest(std::size_t n, F f);
  /// The same, as copies.
  template <class K = Key, class V = Value>
    requires(std::copy_constructible<K>&& std::copy_constructible<V>)
  std::vector<std::pair<K, V>> hottest(std::size_t n) {
    return copies<std::vector<std::pair<K, V>>>(n, true);
  }
  template <class K = Key, class V = Value>
    requires(std::copy_constructible<K>&& std::copy_constructible<V>)
  std::vector<std::pair<K, V>> coldest(std::size_t n) {
    return copies<std::vector<std::pair<K, V>>>(n, false);
  }

  /// Frees all that has expired, and what is of an older generation, and returns how much that was.
  /// O(expired), and O(entries) once after a new generation. An expired entry is found at most 1.05 ms after
  /// its deadline, and one clock step.
  std::size_t maintain();

  /// A part of that, for a thread with other duties: looks at no more than `steps` entries. Returns whether
  /// it came to the end; entries whose time has not come may have to be looked at too, each at most eight
  /// times in its life.
  bool maintain_some(std::size_t steps);

  // ---- Observing and tuning -------------------------------------------------------------------------------

  /// Resident entries, among them the expired and outdated that are not freed yet. Where entries are counted
  /// and evicted it is at most `capacity()` at any instant, but while `set_capacity` shrinks the cache.
  std::size_t size() const;
  std::size_t capacity() const noexcept { return capacity_.load(std::memory_order_relaxed); }
  /// Evicts at once what no longer fits. Throws `error` below the number of shards, which is fixed at
  /// construction, and above 4,000,000,000. Entries move between no shards.
  template <class Weigher = weigher_type>
  void set_capacity(std::size_t capacity);
  /// The bound of `weight()`; 0 without a weigher.
  std::size_t max_weight() const noexcept;
  /// Evicts at once what no longer fits, a few of each shard in turn, the coldest first. Throws `error`
  /// outside of the bounds of `ttl_cache_options::max_weight`. How many entries are expected stays as it was.
  template <class Weigher = weigher_type>
  void set_max_weight(std::size_t max_weight);
  /// The weight of all resident entries. With `weigh_by` a put may be over the bound until it returns, and
  /// then by no more than the entries that are being put at that instant.
  std::size_t weight() const;
  cache_stats stats() const;
  options const& configured() const noexcept { return options_; }
  std::size_t shards() const noexcept { return shard_count_; }
  clock_type const& clock() const noexcept { return clock_; }
  listener_type& listener() noexcept { return listener_; }

 private:
  template <class P>
  static constexpr bool hits_need_no_lock = requires {
    requires P::hits_need_no_lock;
  };
  /// Values that are replaced get a new entry then, and the old one stays until nobody reads it.
  static constexpr bool reads_without_lock = locking_type::is_shared && requires {
    requires locking_type::reads_need_no_lock;
  }
  &&hits_need_no_lock<eviction_type>&& hits_need_no_lock<expiry_type>;

  struct parts {
    using key_type = Key;
    using value_type = Value;
    using eviction_type = ttl_cache::eviction_type;
    using expiry_type = ttl_cache::expiry_type;
    using locking_type = ttl_cache::locking_type;
    using weigher_type = ttl_cache::weigher_type;
    using hashing_type = ttl_cache::hashing_type;
    using rng_type = ttl_cache::rng_type;
    using negative_type = ttl_cache::negative_type;
    using tagging_type = ttl_cache::tagging_type;
    using allocator_type = typename allocator_policy_type::allocator_type;
    static constexpr bool reads_without_lock = ttl_cache::reads_without_lock;
    static constexpr bool is_silent = std::is_same_v<listener_type, silent>;
  };
  using shard_type = detail::cache_shard<parts>;
  using read_counts =
      std::conditional_t<reads_without_lock, detail::read_counts<typename parts::allocator_type>,
                         detail::no_read_counts>;
  using node_type = typename shard_type::node;
  using reading = typename shard_type::reading;
  using lock_type = std::lock_guard<typename locking_type::mutex_type>;
  template <class T>
  using cell = typename locking_type::template cell<T>;
  using shard_traits =
      typename std::allocator_traits<typename parts::allocator_type>::template rebind_traits<shard_type>;

  static constexpr bool weighs = weigher_type::weighs;
  static constexpr bool gives_life = expiry_type::expires && life_giving_policy<expiry_type, Key, Value>;
  static constexpr bool remembers = negative_type::remembers;
  static constexpr bool idles = idle_expiry_policy<expiry_type>;
  static constexpr bool has_tags = tagging_type::tags;
  /// How many tags had been erased when somebody came.
  using erasure_count = std::conditional_t<has_tags, std::uint64_t, detail::no_tags>;
  static constexpr bool gives_tags = has_tags && tag_giving_policy<tagging_type, Key, Value>;
  static constexpr std::size_t most_entries = 4'000'000'000;
  static constexpr std::size_t most_weight =
      std::numeric_limits<std::size_t>::max() >> 16;  // sums do not wrap
  static constexpr std::size_t entries_per_shard = 2048;
  static constexpr std::uint64_t generations_per_sweep = std::uint64_t{1} << 20;
  /// How many entries a put looks at for expired ones: more than it adds work for (at most one step for each
  /// level that an entry with a common TTL falls through), and bounded.
  static constexpr std::size_t expiry_steps_per_put = 8;
  static constexpr std::size_t evictions_per_turn = 16;  // of each shard, when the weight is made less
  static constexpr std::size_t entries_per_lock = 256;   // bulk calls let others in after so many
  /// A new value is made over the old one where ending the old one is nothing: a destructor of the user's may
  /// not run under the lock, and neither swapping nor assigning means replacing for every type (a tuple of
  /// references, containers with memory resources). All others get a new entry in the old one's place, and so
  /// does what may be read without the lock.
  static constexpr bool replaces_in_place = !reads_without_lock && std::is_trivially_destructible_v<Value> &&
                                            std::is_nothrow_move_constructible_v<Value>;

  class pinned;
  class parting;
  struct no_parting;
  struct tags_on_the_way;
  class joined;
  class leader;
  struct throwing;
  struct returning;
  template <class Exit>
  struct or_nothing;
  template <class Exit, class F>
  using ends = std::conditional_t<detail::may_find_nothing<F, Key, Value>, or_nothing<Exit>, Exit>;
  struct copying;
  template <class Visitor>
  struct visiting;

  static void check_max_weight(std::string const& field, std::size_t max_weight);
  static std::string capacity_bounds(std::size_t least);
  static std::size_t shards_for(std::size_t capacity) noexcept;
  shard_type* make_shards(eviction_type const& eviction);
  std::size_t share(std::size_t capacity, std::size_t shard) const noexcept;
  void set_capacity_of_all(std::size_t capacity);

  template <class K>
  static constexpr bool is_lookup_key = hashing_type::template accepts<Key, std::remove_cvref_t<K>>;
  /// A cache_key, that is; this header does not know it.
  template <class K>
  static constexpr bool shows_text = requires(K const& key) {
    { key.view() } -> std::same_as<std::string_view>;
    { key.stored() } -> std::same_as<std::remove_cvref_t<K>>;
  };
  shard_type& shard_of(std::uint64_t hash) const noexcept {
    return shards_[static_cast<std::size_t>(hash >> 40) & (shard_count_ - 1)];
  }
  [[gnu::always_inline]] instant now() const noexcept {
    if constexpr (expiry_type::expires) {
      return clock_.now();
    } else {
      return {};
    }
  }
  /// The clock takes about as long as the bucket takes to come.
  instant now_before_lookup(shard_type const& s, std::uint64_t hash) const noexcept {
    s.locate(hash);
    return now();
  }
  bool overweight() const noexcept {
    return weighs && total_weight_.load(std::memory_order_relaxed) > max_weight();
  }
  typename shard_type::life_type life_of(shard_type& s, std::chrono::nanoseconds own) const noexcept;
  typename shard_type::life_type life_of_nothing(shard_type& s) const noexcept;

  /// The key as it is if the hashing policy takes it; its text, if it is an object that shows one and the
  /// hashing policy takes that; else as a Key.
  template <class K>
  static decltype(auto) lookup_key(K&& key) {
    if constexpr (is_lookup_key<K>) {
      return std::forward<K>(key);
    } else if constexpr (shows_text<K> && is_lookup_key<std::string_view>) {
      return key.view();
    } else {
      static_assert(
          std::is_constructible_v<Key, K&&>,
          "tideover::ttl_cache: a key is a Key, what the hashing policy takes for one, or what a Key "
          "can be made of");
      return Key(std::forward<K>(key));
    }
  }

  template <class K>
  bool store(K&& key, Value&& value, put_options const& o);
  template <class K>
  void refuse(K const& key);
  [[noreturn]] TIDEOVER_COLD static void refuse_tags(tag_list const& tags) {
    detail::raise_out_of_bounds("put_options.tags", std::to_string(tags.size()) + " names",
                                "empty without a policy that keeps them (see tideover::tagged)");
  }
  template <class K, class Also>
  bool remove(K const& key, Also also);
  template <class K>
  entry_id find_live(shard_type& s, std::uint64_t hash, K const& key, instant t, detail::removed_chain& gone);
  template <class K, class V = Value>
  std::optional<V> copied_with_lock(shard_type& s, std::uint64_t hash, K const& wanted, instant t);
  template <class V = Value>
  [[gnu::always_inline]] inline std::optional<V> copied(shard_type& s, reading const& at);
  template <class K, class F>
  bool look(K const& key, F f) const;
  void count_hit(shard_type& s, entry_id id, instant t) noexcept {
    ++s.counts.hits;
    s.touch(expiry_, id, t);
  }
  /// Notes a read without the lock as a use; false if it was none, as the lock has to be taken.
  [[gnu::always_inline]] bool count_read(shard_type& s, reading const& at) noexcept {
    switch (at.came_to) {
      case detail::read_outcome::live:
        s.touch(at);
        reads_.add(at.thread, read_counts::hits);
        return true;
      case detail::read_outcome::nothing:
        s.touch(at);
        reads_.add(at.thread, read_counts::negative_hits);
        return true;
      case detail::read_outcome::absent:
        reads_.add(at.thread, read_counts::misses);
        return true;
      case detail::read_outcome::unsure:
        break;
    }
    return false;
  }
  void count_nothing(shard_type& s, entry_id id) noexcept {
    ++s.counts.hits;
    ++s.counts.negative_hits;
    s.touch_nothing(id);
  }
  /// Asked only for what will be kept.
  std::size_t weight_of_nothing([[maybe_unused]] Key const& key) const {
    if constexpr (remembers && weighs && std::is_invocable_v<weigher_type const&, Key const&>) {
      if (options_.negative_ttl != std::chrono::nanoseconds(0)) return weigher_(key);
    }
    return 1;
  }

  template <class Exit, class K, class F, class Deadline, class Read>
  auto obtain(K&& key, F& compute, Deadline const& until, Read read) -> typename Exit::template type<Read>;
  template <class Exit, class K, class F, class Deadline, class Read>
  auto obtain_with_lock(shard_type& s, std::uint64_t hash, instant t, K&& key, F& compute,
                        Deadline const& until, Read& read) -> typename Exit::template type<Read>;
  /// Apart, so that a hit without the lock saves none of the registers that this needs.
  template <class Exit, class K, class F, class Deadline, class Read>
  [[gnu::noinline]] auto obtain_apart(shard_type& s, std::uint64_t hash, instant t, K&& key, F& compute,
                                      Deadline const& until, Read& read) ->
      typename Exit::template type<Read> {
    return obtain_with_lock<Exit>(s, hash, t, std::forward<K>(key), compute, until, read);
  }
  template <class Exit, class Read, class Then>
  static auto copy_then(node_type const& n, Read& read, Then then) -> typename Exit::template type<Read>;
  template <class Exit, class F, class Read>
  auto lead(shard_type& s, entry_id flight, entry_id overruled, std::uint64_t hash, F& compute, Read& read) ->
      typename Exit::template type<Read>;
  template <class F>
  static std::optional<failure> produce(node_type& n, F& compute, bool& nothing);
  void leave_flight(shard_type& s, entry_id flight) noexcept;

  template <class F>
  void for_each_pinned(F f);
  template <class F>
  std::size_t for_each_in_order(std::size_t n, bool hottest, F& f);
  template <class Pairs>
  Pairs copies(std::size_t n, bool hottest) {
    Pairs all;
    auto const add = [&](Key const& key, Value const& value) { all.emplace_back(key, value); };
    for_each_in_order(n, hottest, add);
    return all;
  }
  template <class F>
  bool show(shard_type& s, entry_id id, std::optional<std::uint32_t> hash, F& f);
  entry_details details_of(shard_type& s, entry_id id, instant t) const;
  /// With the lock.
  bool is_visible(shard_type& s, entry_id id, instant t) const noexcept {
    return s.is_resident(id) && !s.is_nothing(id) && !s.dead(expiry_, id, t);
  }
  std::size_t free_dead(shard_type& s, std::size_t& steps) noexcept;
  void sweep_generations() noexcept;
  void free_some_dead(shard_type& s, instant t, detail::removed_chain& gone) const noexcept;
  void make_room(shard_type& s, instant t, detail::removed_chain& gone) noexcept;
  void make_room_elsewhere(shard_type const& s) noexcept;
  void tell(Key const& key, Value const& value, removal_cause cause) noexcept;
  void dispose(shard_type& s, detail::removed_chain gone,
               detail::departure how = detail::departure::prompt) noexcept;
  void unmake(shard_type* shards, std::size_t made) noexcept;

  struct no_bound {
    explicit no_bound(std::size_t) noexcept {}
  };

  options options_;
  cell<std::size_t> capacity_;
  [[no_unique_address]] std::conditional_t<weighs, cell<std::size_t>, no_bound> max_weight_;
  cell<std::size_t> total_weight_{0};
  cell<std::uint64_t> listener_failures_{0};
  cell<std::uint64_t> waits_ended_{0};
  cell<std::uint64_t> recursions_{0};
  [[no_unique_address]] clock_type clock_;
  [[no_unique_address]] hashing_type hashing_;
  [[no_unique_address]] weigher_type weigher_;
  [[no_unique_address]] listener_type listener_;
  [[no_unique_address]] expiry_type expiry_;
  [[no_unique_address]] tagging_type tagging_;
  [[no_unique_address]] typename shard_traits::allocator_type allocator_;
  [[no_unique_address]] typename locking_type::mutex_type resizing_;
  cell<std::uint64_t> generation_{0};
  [[no_unique_address]] std::conditional_t<has_tags, detail::tag_erasures<locking_type>, detail::no_tags>
      tag_erasures_{};
  [[no_unique_address]] read_counts reads_;
  [[no_unique_address]] rng_type seeds_;  // one draw for each part
  std::size_t shard_count_;
  [[no_unique_address]] typename shard_type::shared_type eviction_shared_;
  shard_type* shards_;
};

// ---- Making one -------------------------------------------------------------------------------------------

template <class Key, class Value, class... Policies>
auto ttl_cache<Key, Value, Policies...>::make_shards(eviction_type const& eviction) -> shard_type* {
  // Until all are made, what was made is unmade if the next one fails.
  struct maker {
    ttl_cache& cache;
    shard_type* shards;
    std::size_t made = 0;
    ~maker() {
      if (shards != nullptr) cache.unmake(shards, made);
    }
  } making{*this, shard_traits::allocate(allocator_, shard_count_)};
  typename parts::allocator_type const allocator(allocator_);
  for (; making.made != shard_count_; ++making.made) {
    std::construct_at(making.shards + making.made, eviction, eviction_shared_, making.made,
                      share(options_.capacity, making.made), now(), seeds_(), hashing_, total_weight_,
                      generation_, allocator);
  }
  return std::exchange(making.shards, nullptr);
}

template <class Key, class Value, class... Policies>
ttl_cache<Key, Value, Policies...>::~ttl_cache() {
  unmake(shards_, shard_count_);
}

template <class Key, class Value, class... Policies>
void ttl_cache<Key, Value, Policies...>::unmake(shard_type* shards, std::size_t made) noexcept {
  std::destroy_n(shards, made);
  shard_traits::deallocate(allocator_, shards, shard_count_);
}

template <class Key, class Value, class... Policies>
void ttl_cache<Key, Value, Policies...>::check(options const& o, char const* of) {
  using std::to_string;
  auto const refuse = [of](char const* field, std::string const& value, std::string const& bounds) {
    detail::raise_out_of_bounds(std::string(of).append(".").append(field), value, bounds);
  };
  if (o.capacity < 1 || o.capacity > most_entries) {
    refuse("capacity", to_string(o.capacity), capacity_bounds(1));
  }
  if (expiry_type::expires && !gives_life && o.ttl <= std::chrono::nanoseconds(0)) {
    refuse("ttl", to_string(o.ttl.count()) + " ns", "above 0 ns");
  }
  if (idles && o.idle_ttl <= std::chrono::nanoseconds(0)) {
    refuse("idle_ttl", to_string(o.idle_ttl.count()) + " ns", "above 0 ns with this expiry policy");
  }
  if (!idles && o.idle_ttl != std::chrono::nanoseconds(0)) {
    refuse("idle_ttl", to_string(o.idle_ttl.count()) + " ns",
           "0 ns with this expiry policy (see tideover::after_write_or_access)");
  }
  if (o.negative_ttl < std::chrono::nanoseconds(0) ||
      (!remembers && o.negative_ttl != std::chrono::nanoseconds(0))) {
    refuse("negative_ttl", to_string(o.negative_ttl.count()) + " ns",
           remembers ? "0 ns (nothing is remembered) or above"
                     : "0 ns without a policy (see tideover::negative_results)");
  }
  if (!(o.ttl_jitter >= 0.0 && o.ttl_jitter <= 0.5)) {  // NaN fails every comparison
    refuse("ttl_jitter", detail::text_of(o.ttl_jitter), "between 0.0 and 0.5");
  }
  if (weighs) check_max_weight(std::string(of).append(".max_weight"), o.max_weight);
  if (!weighs && o.max_weight != 0) {
    refuse("max_weight", to_string(o.max_weight), "0 without a weigher (see tideover::weigh_by)");
  }
}

template <class Key, class Value, class... Policies>
void ttl_cache<Key, Value, Policies...>::check_max_weight(std::string const& field, std::size_t max_weight) {
  if (max_weight >= 1 && max_weight <= most_weight) return;
  detail::raise_out_of_bounds(field, std::to_string(max_weight),
                              "between 1 and " + std::to_string(most_weight) + " with a weigher");
}

template <class Key, class Value, class... Policies>
std::string ttl_cache<Key, Value, Policies...>::capacity_bounds(std::size_t least) {
  return "between " + std::to_string(least) + " and " + std::to_string(most_entries);
}

template <class Key, class Value, class... Policies>
std::size_t ttl_cache<Key, Value, Policies...>::shards_for(std::size_t capacity) noexcept {
  return std::clamp<std::size_t>(std::bit_floor(capacity / entries_per_shard), 1, locking_type::max_shards);
}

template <class Key, class Value, class... Policies>
std::size_t ttl_cache<Key, Value, Policies...>::share(std::size_t capacity,
                                                      std::size_t shard) const noexcept {
  return capacity / shard_count_ + (shard < capacity % shard_count_ ? 1 : 0);
}

// ---- One key ----------------------------------------------------------------------------------------------

template <class Key, class Value, class... Policies>
template <class K, class V>
  requires(std::constructible_from<Key, K>&& std::constructible_from<Value, V>)
bool ttl_cache<Key, Value, Policies...>::put(K&& key, V&& value, put_options const& o) {
  if constexpr (!has_tags) {
    if (!o.tags.empty()) refuse_tags(o.tags);
  }
  if (o.ttl && *o.ttl <= std::chrono::nanoseconds(0)) {
    refuse(lookup_key(std::forward<K>(key)));
    return false;
  }
  if constexpr (is_lookup_key<K> &&
                ((!weighs && !gives_life && !gives_tags) || std::is_same_v<std::remove_cvref_t<K>, Key>)) {
    return store(std::forward<K>(key), Value(std::forward<V>(value)), o);
  } else if constexpr (shows_text<K> && is_lookup_key<std::string_view> && !weighs && !gives_life &&
                       !gives_tags) {
    return store(key.view(), Value(std::forward<V>(value)), o);
  } else {
    return store(Key(std::forward<K>(key)), Value(std::forward<V>(value)), o);
  }
}

template <class Key, class Value, class... Policies>
template <class K>
bool ttl_cache<Key, Value, Policies...>::store(K&& key, Value&& value, put_options const& o) {
  std::size_t weight = 1;
  if constexpr (weighs) {
    weight = weigher_(std::as_const(key), std::as_const(value));
    if (weight > max_weight()) {
      refuse(key);
      return false;
    }
  }
  std::chrono::nanoseconds own_life = o.ttl.value_or(options_.ttl);
  if constexpr (gives_life) {
    if (!o.ttl) own_life = expiry_.life(std::as_const(key), std::as_const(value));
    if (own_life <= std::chrono::nanoseconds(0)) {
      refuse(key);
      return false;
    }
  }
  tags_on_the_way const tags(*this, key, value, o.tags);
  std::uint64_t const hash = hashing_(key);
  shard_type& s = shard_of(hash);
  instant const t = now_before_lookup(s, hash);
  detail::removed_chain gone;
  entry_id rewritten = no_entry;
  std::optional<Value> before;
  entry_id id = no_entry;
  bool stored = false;
  {
    lock_type lock(s.mutex);
    s.catch_up();
    entry_id const running = s.find_flight(hashing_, hash, key);
    entry_id const old = s.find(hashing_, hash, key);
    bool const dead = old != no_entry && s.dead(expiry_, old, t);
    // What may throw comes first, here and in each branch.
    [[maybe_unused]] auto labels = s.prepare_tags(tags.refs);
    if (old == no_entry || dead) {
      s.reserve_one_more();
      id = s.make(hash, std::forward<K>(key), std::move(value));
      if (dead) s.unlink(old, s.death_of(old), gone);
      free_some_dead(s, t, gone);
      s.link(expiry_, hash, id, t, life_of(s, own_life), weight);
      ++s.counts.inserted;
    } else if (replaces_in_place && s.exclusive(old) && !s.is_nothing(old)) {
      id = old;
      if constexpr (replaces_in_place) {
        if constexpr (!parts::is_silent) before.emplace(std::move(s[id].value));
        std::construct_at(std::addressof(s[id].value), std::move(value));
      }
      s.rewritten(expiry_, id, t, life_of(s, own_life), weight);
      ++s.counts.replaced;
      if constexpr (!parts::is_silent) {
        s.pin(id);
        rewritten = id;
      }
      free_some_dead(s, t, gone);
    } else {
      id = s.make(hash, std::forward<K>(key), std::move(value));
      s.substitute(expiry_, old, id, t, life_of(s, own_life), weight, gone);
      ++s.counts.replaced;
      free_some_dead(s, t, gone);
    }
    s.label(id, labels);
    s.forget_flight(running);
    make_room(s, t, gone);
    stored = s[id].where == node_type::state::resident;
  }
  if (rewritten != no_entry) {
    tell(s[rewritten].key, *before, removal_cause::replaced);
    s.unpin(rewritten);
  }
  dispose(s, gone, detail::departure::lazy);
  make_room_elsewhere(s);
  return stored;
}

/// The tags that a value is going to have: those of its put, and those that the policy gives it. Made without
/// a lock; may throw.
template <class Key, class Value, class... Policies>
struct ttl_cache<Key, Value, Policies...>::tags_on_the_way {
  tags_on_the_way(ttl_cache const& cache, [[maybe_unused]] auto const& key,
                  [[maybe_unused]] Value const& value, [[maybe_unused]] tag_list const& own) {
    if constexpr (has_tags) refs.add(own, cache.tag_erasures_.hashing());
    if constexpr (gives_tags) give(cache, cache.tagging_.tags_of(key, value));
  }
  tags_on_the_way(ttl_cache const& cache, Key const& key, Value const& value)
      : tags_on_the_way(cache, key, value, tag_list()) {}
  /// Of a key under which there is nothing: kept or not, those who called late want to know.
  tags_on_the_way(ttl_cache const& cache, Key const& key) {
    if constexpr (has_tags && key_tagging_policy<tagging_type, Key>) {
      give(cache, cache.tagging_.tags_of(key));
    }
  }
  void give([[maybe_unused]] ttl_cache const& cache, [[maybe_unused]] tag_list names) {
    if constexpr (has_tags) {
      given = std::move(names);
      refs.add(given, cache.tag_erasures_.hashing());
    }
  }

  [[no_unique_address]] std::conditional_t<has_tags, tag_list, detail::no_tags> given{};
  [[no_unique_address]] std::conditional_t<has_tags, detail::tag_refs, detail::no_tag_refs> refs{};
};

/// A put that stores nothing: what the key held is out of date.
template <class Key, class Value, class... Policies>
template <class K>
void ttl_cache<Key, Value, Policies...>::refuse(K const& key) {
  remove(key, [](shard_type& s) { ++s.counts.refused; });
}

template <class Key, class Value, class... Policies>
template <class K>
bool ttl_cache<Key, Value, Policies...>::erase(K const& key) {
  return remove(lookup_key(key), [](shard_type&) {});
}

template <class Key, class Value, class... Policies>
template <class K, class Also>
bool ttl_cache<Key, Value, Policies...>::remove(K const& key, Also also) {
  std::uint64_t const hash = hashing_(key);
  shard_type& s = shard_of(hash);
  instant const t = now_before_lookup(s, hash);
  detail::removed_chain gone;
  bool found = false;
  {
    lock_type lock(s.mutex);
    s.catch_up();
    entry_id const running = s.find_flight(hashing_, hash, key);
    entry_id const id = s.find(hashing_, hash, key);
    s.forget_flight(running);
    if (id != no_entry) {
      bool const live = !s.dead(expiry_, id, t);
      found = live && !s.is_nothing(id);
      s.unlink(id, live ? removal_cause::erased : s.death_of(id), gone);
    }
    also(s);
  }
  dispose(s, gone);
  return found;
}

template <class Key, class Value, class... Policies>
template <class K>
std::optional<Value> ttl_cache<Key, Value, Policies...>::get(
    K const& key) requires std::copy_constructible<Value> {
  auto&& wanted = lookup_key(key);
  std::uint64_t const hash = hashing_(wanted);
  shard_type& s = shard_of(hash);
  auto const begin = s.locate(hash);
  instant const t = now();
  if constexpr (reads_without_lock) {
    reading const at(s, begin, hashing_, hash, wanted, expiry_, t);
    if (at.came_to == detail::read_outcome::live) return copied(s, at);
    if (count_read(s, at)) return std::nullopt;
  }
  return copied_with_lock(s, hash, wanted, t);
}

/// One variable and one return, here and below: the copy is made in the caller's place, so that nothing can
/// throw after it was counted.
template <class Key, class Value, class... Policies>
template <class K, class V>
std::optional<V> ttl_cache<Key, Value, Policies...>::copied_with_lock(shard_type& s, std::uint64_t hash,
                                                                      K const& wanted, instant t) {
  std::optional<V> copy;
  detail::removed_chain gone;
  {
    lock_type lock(s.mutex);
    s.catch_up();
    entry_id const id = find_live(s, hash, wanted, t, gone);
    if (id == no_entry) {
      ++s.counts.misses;
    } else if (s.is_nothing(id)) {
      count_nothing(s, id);
    } else {
      copy.emplace(std::as_const(s[id].value));
      count_hit(s, id, t);
    }
  }
  dispose(s, gone);
  return copy;
}

/// The same of what was read without the lock.
template <class Key, class Value, class... Policies>
template <class V>
std::optional<V> ttl_cache<Key, Value, Policies...>::copied(shard_type& s, reading const& at) {
  std::optional<V> copy(std::in_place, at.entry->value);
  count_read(s, at);
  return copy;
}

template <class Key, class Value, class... Policies>
template <class K>
std::optional<Value> ttl_cache<Key, Value, Policies...>::peek(
    K const& key) const requires std::copy_constructible<Value> {
  std::optional<Value> copy;
  look(key, [&](node_type const& n, instant) { copy.emplace(n.value); });
  return copy;
}

template <class Key, class Value, class... Policies>
template <class K>
bool ttl_cache<Key, Value, Policies...>::contains(K const& key) const {
  return look(key, [](node_type const&, instant) {});
}

template <class Key, class Value, class... Policies>
template <class K>
std::optional<std::chrono::nanoseconds> ttl_cache<Key, Value, Policies...>::remaining_life(
    K const& key) const {
  std::optional<std::chrono::nanoseconds> left;
  look(key, [&](node_type const& n, instant t) {
    instant const deadline = expiry_.deadline(n.expiry);
    left = deadline == instant::max() ? std::chrono::nanoseconds::max() : deadline - t;
  });
  return left;
}

template <class Key, class Value, class... Policies>
template <class K>
cache_explanation ttl_cache<Key, Value, Policies...>::explain(K const& key) const {
  auto&& wanted = lookup_key(key);
  std::uint64_t const hash = hashing_(wanted);
  shard_type& s = shard_of(hash);
  instant const t = now_before_lookup(s, hash);
  cache_explanation e;
  e.shard = static_cast<std::size_t>(&s - shards_);
  lock_type lock(s.mutex);
  s.catch_up();
  e.generation = s.generation();
  e.computing = s.find_flight(hashing_, hash, wanted) != no_entry;
  entry_id const id = s.find(hashing_, hash, wanted);
  if (id == no_entry) return e;
  e.state = s.outdated(id)              ? entry_state::older_generation
            : s.expired(expiry_, id, t) ? entry_state::expired
            : s.is_nothing(id)          ? entry_state::nothing
                                        : entry_state::live;
  e.in_use = s.in_use(id);
  e.entry_generation = s.generation_of(id);
  e.details = details_of(s, id, t);
  if constexpr (requires { expiry_.last_use(s[id].expiry); }) {
    if (auto const used = expiry_.last_use(s[id].expiry)) {
      // Another thread may have used it since we looked at the clock.
      e.unused_for = std::max(t - *used, std::chrono::nanoseconds(0));
    }
  }
  s.ask_eviction([&](auto const& policy, auto hooks) noexcept {
    if constexpr (ordered_eviction_policy<eviction_type>) {
      e.queue = policy.queue(policy.queue_of(hooks, id)).name;
      e.turn = policy.turn(hooks, id);
    }
    if constexpr (requires { policy.frequency(hooks, id); }) e.frequency = policy.frequency(hooks, id);
  });
  return e;
}

template <class Key, class Value, class... Policies>
template <class K, class F>
bool ttl_cache<Key, Value, Policies...>::look(K const& key, F f) const {
  auto&& wanted = lookup_key(key);
  std::uint64_t const hash = hashing_(wanted);
  shard_type& s = shard_of(hash);
  auto const begin = s.locate(hash);
  instant const t = now();
  if constexpr (reads_without_lock) {
    reading const at(s, begin, hashing_, hash, wanted, expiry_, t);
    bool const live = at.came_to == detail::read_outcome::live;
    if (live) f(*at.entry, t);
    if (at.came_to != detail::read_outcome::unsure) return live;
  }
  lock_type lock(s.mutex);
  s.catch_up();
  entry_id const id = s.find(hashing_, hash, wanted);
  if (id == no_entry || s.dead(expiry_, id, t) || s.is_nothing(id)) return false;
  f(std::as_const(s[id]), t);
  return true;
}

template <class Key, class Value, class... Policies>
template <class K, class Visitor>
bool ttl_cache<Key, Value, Policies...>::visit(K const& key, Visitor&& visitor) {
  static_assert(std::is_invocable_v<Visitor&, Value const&>,
                "tideover::ttl_cache: a visitor takes the value as Value const&: other threads may read it");
  auto&& wanted = lookup_key(key);
  std::uint64_t const hash = hashing_(wanted);
  shard_type& s = shard_of(hash);
  auto const begin = s.locate(hash);
  instant const t = now();
  if constexpr (reads_without_lock) {
    reading at(s, begin, hashing_, hash, wanted, expiry_, t);
    parting const end(s, at);
    if (count_read(s, at)) {
      if (at.came_to != detail::read_outcome::live) return false;
      std::invoke(visitor, at.entry->value);
      return true;
    }
  }
  detail::removed_chain gone;
  entry_id id = no_entry;
  {
    lock_type lock(s.mutex);
    s.catch_up();
    id = find_live(s, hash, wanted, t, gone);
    if (id == no_entry) {
      ++s.counts.misses;
    } else if (s.is_nothing(id)) {
      count_nothing(s, id);
      id = no_entry;
    } else {
      count_hit(s, id, t);
      s.pin(id);
    }
  }
  if (id == no_entry) {
    dispose(s, gone);
    return false;
  }
  pinned const hold(s, id);
  std::invoke(visitor, std::as_const(s[id].value));
  return true;
}

/// The live entry of the key. One that is dead is unlinked instead.
template <class Key, class Value, class... Policies>
template <class K>
entry_id ttl_cache<Key, Value, Policies...>::find_live(shard_type& s, std::uint64_t hash, K const& key,
                                                       instant t, detail::removed_chain& gone) {
  entry_id const id = s.find(hashing_, hash, key);
  if (id == no_entry || !s.dead(expiry_, id, t)) return id;
  s.unlink(id, s.death_of(id), gone);
  return no_entry;
}

/// Keeps an entry in place until the end of the scope.
template <class Key, class Value, class... Policies>
class ttl_cache<Key, Value, Policies...>::pinned {
 public:
  pinned(shard_type& s, entry_id id, detail::departure how = detail::departure::prompt) noexcept
      : shard_(s), id_(id), how_(how) {}
  pinned(pinned const&) = delete;
  pinned& operator=(pinned const&) = delete;
  ~pinned() { shard_.unpin(id_, how_); }

 private:
  shard_type& shard_;
  entry_id id_;
  detail::departure how_;
};

/// After a visit, which may be long: what was removed from under it is destroyed.
template <class Key, class Value, class... Policies>
class ttl_cache<Key, Value, Policies...>::parting {
 public:
  parting(shard_type& s, reading& at) noexcept : shard_(s), at_(at) {}
  parting(parting const&) = delete;
  parting& operator=(parting const&) = delete;
  ~parting() {
    at_.end_in_order();
    shard_.end_visit();
  }

 private:
  shard_type& shard_;
  reading& at_;
};
template <class Key, class Value, class... Policies>
struct ttl_cache<Key, Value, Policies...>::no_parting {
  no_parting(shard_type const&, reading const&) noexcept {}
};

// ---- Computing what is missing ----------------------------------------------------------------------------

// How a value is read: copied out, with the lock if reads need it, or visited where it is, without a lock.

template <class Key, class Value, class... Policies>
struct ttl_cache<Key, Value, Policies...>::copying {
  static constexpr bool under_lock = true;
  /// A template, so that a cache of values that cannot be copied can be instantiated as a whole.
  template <class V>
  V operator()(V const& value) const {
    return value;
  }
};
template <class Key, class Value, class... Policies>
template <class Visitor>
struct ttl_cache<Key, Value, Policies...>::visiting {
  static constexpr bool under_lock = false;
  Visitor& visitor;
  std::invoke_result_t<Visitor&, Value const&> operator()(Value const& value) const {
    return std::invoke(visitor, value);
  }
};

// How a call ends: the throwing verbs give the value or throw, the `try_` verbs give a result.

#if TIDEOVER_EXCEPTIONS
template <class Key, class Value, class... Policies>
struct ttl_cache<Key, Value, Policies...>::throwing {
  static constexpr bool throws = true;
  static constexpr bool may_be_nothing = false;
  template <class Read>
  using type = std::invoke_result_t<Read&, Value const&>;
  template <class Read>
  static type<Read> give(Read& read, Value const& value) {
    return read(value);
  }
  template <class Read>
  [[noreturn]] static type<Read> fail(failure const& why) {
    if (why.cause && why.code == errc::computation_failed) std::rethrow_exception(why.cause);
    detail::raise(why);
  }
};
#endif
template <class Key, class Value, class... Policies>
struct ttl_cache<Key, Value, Policies...>::returning {
  static constexpr bool throws = false;
  static constexpr bool may_be_nothing = false;
  template <class Read>
  using type = result<std::invoke_result_t<Read&, Value const&>>;
  template <class Read>
  static type<Read> give(Read& read, Value const& value) {
    if constexpr (std::is_void_v<std::invoke_result_t<Read&, Value const&>>) {
      read(value);
      return {};
    } else if constexpr (Read::under_lock) {
      return type<Read>(std::in_place, value);  // in its place: no copy dies under the lock
    } else {
      return read(value);
    }
  }
  template <class Read>
  static type<Read> fail(failure const& why) {
    return why;
  }
};

/// The same where the function may say that there is nothing: an optional, or whether the visitor was called.
template <class Key, class Value, class... Policies>
template <class Exit>
struct ttl_cache<Key, Value, Policies...>::or_nothing {
  static constexpr bool throws = Exit::throws;
  static constexpr bool may_be_nothing = true;
  template <class Read>
  using answer = typename detail::or_nothing<std::invoke_result_t<Read&, Value const&>>::type;
  template <class Read>
  using type = std::conditional_t<throws, answer<Read>, result<answer<Read>>>;

  template <class Read>
  static type<Read> give(Read& read, Value const& value) {
    if constexpr (std::is_void_v<std::invoke_result_t<Read&, Value const&>>) {
      read(value);
      return true;
    } else if constexpr (Read::under_lock) {
      return made<Read>(value);  // in its place: no copy dies under the lock
    } else {
      return made<Read>(read(value));
    }
  }
  template <class Read>
  static type<Read> nothing() {
    return answer<Read>();
  }
  template <class Read>
  static type<Read> fail(failure const& why) {
    if constexpr (throws) {
      Exit::template fail<Read>(why);
    } else {
      return why;
    }
  }

 private:
  template <class Read, class V>
  static type<Read> made(V&& value) {
    if constexpr (throws) {
      return type<Read>(std::in_place, std::forward<V>(value));
    } else {
      return type<Read>(std::in_place, std::in_place, std::forward<V>(value));
    }
  }
};

#if TIDEOVER_EXCEPTIONS
template <class Key, class Value, class... Policies>
template <class K, class F>
detail::computed_answer<F, Key, Value, Value> ttl_cache<Key, Value, Policies...>::get_or_compute(
    K&& key, F&& compute) requires std::copy_constructible<Value> {
  return obtain<ends<throwing, F>>(lookup_key(std::forward<K>(key)), compute, detail::no_deadline{},
                                   copying{});
}
template <class Key, class Value, class... Policies>
template <class K, class F>
detail::computed_answer<F, Key, Value, Value> ttl_cache<Key, Value, Policies...>::get_or_compute(
    K&& key, F&& compute, deadline const& until) requires std::copy_constructible<Value> {
  return obtain<ends<throwing, F>>(lookup_key(std::forward<K>(key)), compute, until, copying{});
}
template <class Key, class Value, class... Policies>
template <class K, class F, class Visitor>
  requires std::is_invocable_v<Visitor&, Value const&>
      detail::computed_answer<F, Key, Value, std::invoke_result_t<Visitor&, Value const&>>
      ttl_cache<Key, Value, Policies...>::visit_or_compute(K&& key, F&& compute, Visitor&& visitor) {
    using read = visiting<std::remove_reference_t<Visitor>>;
    return obtain<ends<throwing, F>>(lookup_key(std::forward<K>(key)), compute, detail::no_deadline{},
                                     read{visitor});
  }
template <class Key, class Value, class... Policies>
template <class K, class F, class Visitor>
  requires std::is_invocable_v<Visitor&, Value const&>
      detail::computed_answer<F, Key, Value, std::invoke_result_t<Visitor&, Value const&>>
      ttl_cache<Key, Value, Policies...>::visit_or_compute(K&& key, F&& compute, Visitor&& visitor,
                                                           deadline const& until) {
    using read = visiting<std::remove_reference_t<Visitor>>;
    return obtain<ends<throwing, F>>(lookup_key(std::forward<K>(key)), compute, until, read{visitor});
  }
#endif

template <class Key, class Value, class... Policies>
template <class K, class F>
result<detail::computed_answer<F, Key, Value, Value>> ttl_cache<Key, Value, Policies...>::try_get_or_compute(
    K&& key, F&& compute) requires std::copy_constructible<Value> {
  return obtain<ends<returning, F>>(lookup_key(std::forward<K>(key)), compute, detail::no_deadline{},
                                    copying{});
}
template <class Key, class Value, class... Policies>
template <class K, class F>
result<detail::computed_answer<F, Key, Value, Value>> ttl_cache<Key, Value, Policies...>::try_get_or_compute(
    K&& key, F&& compute, deadline const& until) requires std::copy_constructible<Value> {
  return obtain<ends<returning, F>>(lookup_key(std::forward<K>(key)), compute, until, copying{});
}
template <class Key, class Value, class... Policies>
template <class K, class F, class Visitor>
  requires std::is_invocable_v<Visitor&, Value const&>
      result<detail::computed_answer<F, Key, Value, std::invoke_result_t<Visitor&, Value const&>>>
      ttl_cache<Key, Value, Policies...>::try_visit_or_compute(K&& key, F&& compute, Visitor&& visitor) {
    using read = visiting<std::remove_reference_t<Visitor>>;
    return obtain<ends<returning, F>>(lookup_key(std::forward<K>(key)), compute, detail::no_deadline{},
                                      read{visitor});
  }
template <class Key, class Value, class... Policies>
template <class K, class F, class Visitor>
  requires std::is_invocable_v<Visitor&, Value const&>
      result<detail::computed_answer<F, Key, Value, std::invoke_result_t<Visitor&, Value const&>>>
      ttl_cache<Key, Value, Policies...>::try_visit_or_compute(K&& key, F&& compute, Visitor&& visitor,
                                                               deadline const& until) {
    using read = visiting<std::remove_reference_t<Visitor>>;
    return obtain<ends<returning, F>>(lookup_key(std::forward<K>(key)), compute, until, read{visitor});
  }

/// Hits, joins or leads.
template <class Key, class Value, class... Policies>
template <class Exit, class K, class F, class Deadline, class Read>
auto ttl_cache<Key, Value, Policies...>::obtain(K&& key, F& compute, Deadline const& until, Read read) ->
    typename Exit::template type<Read> {
  std::uint64_t const hash = hashing_(key);
  shard_type& s = shard_of(hash);
  auto const begin = s.locate(hash);
  instant const t = now();
  if constexpr (reads_without_lock) {
    reading at(s, begin, hashing_, hash, key, expiry_, t);
    std::conditional_t<Read::under_lock, no_parting, parting> const end(s, at);
    if (at.came_to == detail::read_outcome::live) {
      if constexpr (Read::under_lock) {
        return copy_then<Exit>(*at.entry, read, [&]() noexcept { count_read(s, at); });
      } else {
        count_read(s, at);
        return Exit::give(read, at.entry->value);
      }
    }
    if constexpr (Exit::may_be_nothing) {
      if (at.came_to == detail::read_outcome::nothing) {
        count_read(s, at);
        return Exit::template nothing<Read>();
      }
    }
  } else {
    return obtain_with_lock<Exit>(s, hash, t, std::forward<K>(key), compute, until, read);
  }
  return obtain_apart<Exit>(s, hash, t, std::forward<K>(key), compute, until, read);
}

template <class Key, class Value, class... Policies>
template <class Exit, class K, class F, class Deadline, class Read>
auto ttl_cache<Key, Value, Policies...>::obtain_with_lock(shard_type& s, std::uint64_t hash, instant t,
                                                          K&& key, F& compute, Deadline const& until,
                                                          Read& read) -> typename Exit::template type<Read> {
  for (bool again = false;; again = true) {
    if (again) t = now();
    detail::removed_chain gone;
    entry_id hit = no_entry;
    entry_id running = no_entry;
    entry_id overruled = no_entry;
    bool leads = false;
    erasure_count erased_before{};
    {
      lock_type lock(s.mutex);
      s.catch_up();
      entry_id const id = s.find(hashing_, hash, key);
      bool const dead = id != no_entry && s.dead(expiry_, id, t);
      bool const live = id != no_entry && !dead;
      if (live && s.is_nothing(id)) {
        if constexpr (Exit::may_be_nothing) {
          if (again) {  // the call has been counted
            s.touch_nothing(id);
          } else {
            count_nothing(s, id);
          }
          return Exit::template nothing<Read>();
        }
      } else if (live) {
        auto const count = [&]() noexcept {
          if (again) return s.touch(expiry_, id, t);
          count_hit(s, id, t);
        };
        if constexpr (Read::under_lock) return copy_then<Exit>(s[id], read, count);
        count();
        s.pin(id);
        hit = id;
      }
      if (hit == no_entry) {
        running = s.find_flight(hashing_, hash, key);
        if (running == no_entry) {
          running = s.begin_flight(hash, std::forward<K>(key));  // all or nothing
          leads = true;
          ++s.counts.computations;
          if (live) s.pin(overruled = id);  // it says that there is nothing, which is no answer here
        } else {
          s.flight_at(running).references.fetch_add(1, std::memory_order_relaxed);  // under the lock
          if constexpr (has_tags) erased_before = tag_erasures_.count();
          ++s.counts.coalesced;
        }
        if (!again) ++s.counts.misses;
        if (dead) s.unlink(id, s.death_of(id), gone);
      }
    }
    dispose(s, gone);
    if (hit != no_entry) {
      pinned const hold(s, hit);
      return Exit::give(read, std::as_const(s[hit].value));
    }
    if (leads) return lead<Exit>(s, running, overruled, hash, compute, read);
    joined const in(*this, s, running, erased_before);
    if (auto const why = in.wait(until)) return Exit::template fail<Read>(*why);
    if (in.came_too_late()) continue;
    if (auto const& f = s.flight_at(running); !f.nothing) {
      return Exit::give(read, std::as_const(s[f.node].value));
    }
    if constexpr (Exit::may_be_nothing) return Exit::template nothing<Read>();
    // The one who computed found nothing, which is no answer here: this call's own function is asked.
  }
}

/// Reads the value, then does `then`, which cannot fail. One variable, one return: the copy is made in the
/// caller's place, so nothing can throw after `then`.
template <class Key, class Value, class... Policies>
template <class Exit, class Read, class Then>
auto ttl_cache<Key, Value, Policies...>::copy_then(node_type const& n, Read& read, Then then) ->
    typename Exit::template type<Read> {
  auto copy = Exit::give(read, n.value);
  then();
  return copy;
}

/// A caller's part in somebody else's computation.
template <class Key, class Value, class... Policies>
class ttl_cache<Key, Value, Policies...>::joined {
 public:
  joined(ttl_cache& cache, shard_type& s, entry_id flight, erasure_count erased_before) noexcept
      : cache_(cache), shard_(s), flight_(flight), erased_before_(erased_before) {}
  joined(joined const&) = delete;
  joined& operator=(joined const&) = delete;
  ~joined() { cache_.leave_flight(shard_, flight_); }

  /// Why there is no outcome, if there is none.
  template <class Deadline>
  std::optional<failure> wait(Deadline const& until) const {
    auto& f = shard_.flight_at(flight_);
    switch (f.sync.wait(cache_.clock_, until)) {
      case detail::flight_end::settled:
        break;
      case detail::flight_end::timed_out:
        cache_.waits_ended_.fetch_add(1, std::memory_order_relaxed);  // statistics: order nothing
        return failure{.code = errc::timed_out};
      case detail::flight_end::cancelled:
        cache_.waits_ended_.fetch_add(1, std::memory_order_relaxed);
        return failure{.code = errc::cancelled};
      case detail::flight_end::recursive:
        cache_.recursions_.fetch_add(1, std::memory_order_relaxed);
        return failure{.code = errc::recursive_computation};
    }
    if (f.failed) return f.why;
    return std::nullopt;
  }
  /// Whether a tag of the outcome was erased while it was computed, and before this caller came: he is not
  /// given what is older than the erasure. If it was another tag, he computes in vain and not wrongly.
  bool came_too_late() const noexcept {
    if constexpr (has_tags) {
      auto const& f = shard_.flight_at(flight_);
      return f.tags.overtaken && erased_before_ != f.tags.since;
    } else {
      return false;
    }
  }

 private:
  ttl_cache& cache_;
  shard_type& shard_;
  entry_id flight_;
  [[no_unique_address]] erasure_count erased_before_;
};

/// Computes the value, stores it unless the key was changed meanwhile, and tells who waits. For values that
/// are copied out the leader's copy is made first: if that throws, nothing is stored.
template <class Key, class Value, class... Policies>
template <class Exit, class F, class Read>
auto ttl_cache<Key, Value, Policies...>::lead(shard_type& s, entry_id flight, entry_id overruled,
                                              std::uint64_t hash, F& compute, Read& read) ->
    typename Exit::template type<Read> {
  leader mine(*this, s, flight, overruled, hash);
  node_type& n = s[mine.node()];
  std::optional<failure> why;
#if TIDEOVER_EXCEPTIONS
  try {
#endif
    bool nothing = false;
    why = produce(n, compute, nothing);
    if constexpr (Exit::may_be_nothing) {
      if (nothing) {
        tags_on_the_way const tags(*this, std::as_const(n.key));
        mine.found_nothing(weight_of_nothing(std::as_const(n.key)), tags);
        return Exit::template nothing<Read>();
      }
    }
    if (!why) {
      mine.has_value();
      std::size_t const weight = weigher_(std::as_const(n.key), std::as_const(n.value));
      std::chrono::nanoseconds life = options_.ttl;
      if constexpr (gives_life) life = expiry_.life(std::as_const(n.key), std::as_const(n.value));
      tags_on_the_way const tags(*this, std::as_const(n.key), std::as_const(n.value));
      if constexpr (Read::under_lock) {
        return copy_then<Exit>(n, read, [&]() noexcept { mine.succeed(weight, life, tags, false); });
      } else {
        mine.succeed(weight, life, tags, true);
      }
    }
#if TIDEOVER_EXCEPTIONS
  } catch (abi::__forced_unwind&) {
    throw;  // the thread is being cancelled: nobody may keep that from happening; `mine` settles the flight
  } catch (...) {
    if (mine.settled()) throw;
    failure thrown{.code = errc::computation_failed};
    if constexpr (locking_type::is_shared || !Exit::throws) thrown.cause = std::current_exception();
    mine.fail(thrown);
    if constexpr (Exit::throws) {
      throw;
    } else {
      return Exit::template fail<Read>(thrown);
    }
  }
#endif
  if (why) {
    mine.fail(*why);
    return Exit::template fail<Read>(*why);
  }
  return Exit::give(read, std::as_const(n.value));
}

/// Makes the value in its entry, unless there is `nothing`; gives back the failure that `compute` returned
/// instead, if it did.
template <class Key, class Value, class... Policies>
template <class F>
std::optional<failure> ttl_cache<Key, Value, Policies...>::produce(node_type& n, F& compute,
                                                                   [[maybe_unused]] bool& nothing) {
  static_assert(std::is_invocable_v<F&, Key const&> || std::is_invocable_v<F&>,
                "tideover::ttl_cache: compute must be callable as compute(Key const&) or compute()");
  auto const call = [&]() -> decltype(auto) {
    if constexpr (std::is_invocable_v<F&, Key const&>) {
      return std::invoke(compute, std::as_const(n.key));
    } else {
      return std::invoke(compute);
    }
  };
  using computed = std::remove_cvref_t<decltype(call())>;
  if constexpr (detail::is_maybe<computed, Value> && detail::is_result<computed>) {
    auto made = call();
    if (!made) return made.error();
    nothing = !made->has_value();
    if (!nothing) n.make_value(**std::move(made));
  } else if constexpr (detail::is_maybe<computed, Value>) {
    auto made = call();
    nothing = !made.has_value();
    if (!nothing) n.make_value(*std::move(made));
  } else if constexpr (detail::is_result<computed> && !std::is_same_v<computed, Value>) {
    auto made = call();
    if (!made) return made.error();
    n.make_value(*std::move(made));
  } else {
    static_assert(std::is_constructible_v<Value, decltype(call())>,
                  "tideover::ttl_cache: compute must return a value, or a result of one");
    ::new (static_cast<void*>(std::addressof(n.value))) Value(call());  // not even moved
  }
  return std::nullopt;
}

/// The one who computes. However the computation ends, the flight is settled, or everyone would wait for
/// ever.
template <class Key, class Value, class... Policies>
class ttl_cache<Key, Value, Policies...>::leader {
 public:
  /// `overruled`: a pinned entry of the key that says that there is nothing.
  leader(ttl_cache& cache, shard_type& s, entry_id flight, entry_id overruled, std::uint64_t hash) noexcept
      : cache_(cache),
        shard_(s),
        flight_(flight),
        node_(s.flight_at(flight).node),
        overruled_(overruled),
        hash_(hash) {
    if constexpr (has_tags) {
      s.flight_at(flight).tags = {.since = cache.tag_erasures_.count()};  // before anything is computed
    }
  }
  leader(leader const&) = delete;
  leader& operator=(leader const&) = delete;
  ~leader() {
    if (!settled_) fail({.code = errc::computation_failed});
    if (flight_ != no_entry) {
      cache_.leave_flight(shard_, flight_);
    } else if (node_ != no_entry) {
      shard_.unpin(node_);
    }
    if (remembers && overruled_ != no_entry) shard_.unpin(overruled_);
  }

  entry_id node() const noexcept { return node_; }
  bool settled() const noexcept { return settled_; }
  void has_value() noexcept { has_value_ = true; }

  /// `reads_on`: the value must stay where it is until the leader's end.
  void succeed(std::size_t weight, std::chrono::nanoseconds life, tags_on_the_way const& tags,
               bool reads_on) noexcept {
    bool const too_heavy = weighs && weight > cache_.max_weight();
    bool const lifeless = gives_life && life <= std::chrono::nanoseconds(0);
    detail::removed_chain gone;
    instant const t = cache_.now();
    bool joined = false;
    {
      lock_type lock(shard_.mutex);
      shard_.catch_up();
      auto& f = shard_.flight_at(flight_);
      bool const wanted = !overtaken(f, tags) && shard_.is_wanted(f);
      shard_.forget_flight(flight_);
      joined = others_joined(f);
      if (!wanted) {
        ++shard_.counts.discarded;
      } else if (too_heavy || lifeless || !has_room()) {
        ++shard_.counts.refused;
        drop_overruled(t, gone);
      } else if (auto labels = labels_for(tags); !labels) {
        ++shard_.counts.refused;
        drop_overruled(t, gone);
      } else {
        settle_in(joined || reads_on, cache_.life_of(shard_, life), weight, *labels, t, gone);
      }
      if (!joined) end(f);
    }
    finish(joined);
    cache_.dispose(shard_, gone, detail::departure::lazy);
    cache_.make_room_elsewhere(shard_);
  }

  /// The function said that there is no value: remembered for a while, if that is wanted.
  void found_nothing([[maybe_unused]] std::size_t weight,
                     [[maybe_unused]] tags_on_the_way const& tags) noexcept {
    detail::removed_chain gone;
    bool joined = false;
    bool kept = false;
    {
      instant const t = cache_.now();
      lock_type lock(shard_.mutex);
      shard_.catch_up();
      auto& f = shard_.flight_at(flight_);
      [[maybe_unused]] bool const wanted = !overtaken(f, tags) && shard_.is_wanted(f);
      shard_.forget_flight(flight_);
      joined = others_joined(f);
      f.nothing = true;
      if constexpr (remembers) {
        if (cache_.options_.negative_ttl == std::chrono::nanoseconds(0)) {
        } else if (!wanted) {
          ++shard_.counts.discarded;
        } else if ((weighs && weight > cache_.max_weight()) || !has_room()) {
          ++shard_.counts.refused;
        } else if (auto labels = labels_for(tags); !labels) {
          ++shard_.counts.refused;
        } else {
          shard_[node_].says_nothing();
          settle_in(joined, cache_.life_of_nothing(shard_), weight, *labels, t, gone);
          kept = true;
        }
      }
      if (!kept) f.node = no_entry;
      if (!joined) end(f);
    }
    if (!kept) {
      shard_.destroy_key(node_);
      shard_.give_back(std::exchange(node_, no_entry));
    }
    finish(joined);
    cache_.dispose(shard_, gone, detail::departure::lazy);
    cache_.make_room_elsewhere(shard_);
  }

  void fail(failure const& why) noexcept {
    bool joined = false;
    {
      lock_type lock(shard_.mutex);
      auto& f = shard_.flight_at(flight_);
      ++shard_.counts.computations_failed;
      shard_.forget_flight(flight_);
      joined = others_joined(f);
      f.failed = true;
      if (joined) {
        f.why = why;
      } else {
        end(f);
      }
    }
    if (has_value_) {
      shard_.destroy(node_);
    } else {
      shard_.destroy_key(node_);
    }
    shard_.give_back(std::exchange(node_, no_entry));
    finish(joined);
  }

 private:
  /// With the lock: the entry becomes resident. `shared`: somebody reads on where it is.
  template <class Labels>
  void settle_in(bool shared, typename shard_type::life_type const& life, std::size_t weight, Labels& labels,
                 instant t, detail::removed_chain& gone) noexcept {
    cache_.free_some_dead(shard_, t, gone);
    entry_id const id = node_;
    if (shared) {
      shard_.pin(id);  // the new reference is the residence's
    } else {
      node_ = no_entry;  // our reference becomes the residence's
    }
    bool replaces =
        remembers && overruled_ != no_entry && shard_[overruled_].where == node_type::state::resident;
    if (replaces && shard_.dead(cache_.expiry_, overruled_, t)) {
      shard_.unlink(overruled_, shard_.death_of(overruled_), gone);
      replaces = false;
    }
    if (replaces) {
      shard_.substitute(cache_.expiry_, overruled_, id, t, life, weight, gone);
      ++shard_.counts.replaced;
    } else {
      shard_.link(cache_.expiry_, hash_, id, t, life, weight);
      ++shard_.counts.inserted;
    }
    shard_.label(id, labels);
    cache_.make_room(shard_, t, gone);
  }
  /// With the lock: whether a tag of the result has been erased since the computation began. Asked of every
  /// result, stored or not: who joined after that wants to know.
  bool overtaken([[maybe_unused]] typename shard_type::flight_record& f,
                 [[maybe_unused]] tags_on_the_way const& tags) const noexcept {
    if constexpr (has_tags) {
      f.tags.overtaken = cache_.tag_erasures_.any_since(f.tags.since, tags.refs);
      return f.tags.overtaken;
    } else {
      return false;
    }
  }
  /// Nothing if there is no memory for them: then the result is delivered, and not stored.
  auto labels_for(tags_on_the_way const& tags) noexcept {
    using labels = decltype(shard_.prepare_tags(tags.refs));
    std::optional<labels> made;
#if TIDEOVER_EXCEPTIONS
    try {
#endif
      made.emplace(shard_.prepare_tags(tags.refs));
#if TIDEOVER_EXCEPTIONS
    } catch (...) {
    }
#endif
    return made;
  }
  /// With the lock: there is a value, though it is not stored, so that there is nothing is out of date.
  void drop_overruled([[maybe_unused]] instant t, [[maybe_unused]] detail::removed_chain& gone) noexcept {
    if constexpr (remembers) {
      if (overruled_ == no_entry || shard_[overruled_].where != node_type::state::resident) return;
      bool const dead = shard_.dead(cache_.expiry_, overruled_, t);
      shard_.unlink(overruled_, dead ? shard_.death_of(overruled_) : removal_cause::erased, gone);
    }
  }
  /// With the lock, once the flight cannot be found any more. Acquire: pairs with the release of those who
  /// joined and left again.
  static bool others_joined(typename shard_type::flight_record& f) noexcept {
    return f.references.load(std::memory_order_acquire) != 1;
  }
  void end(typename shard_type::flight_record& f) noexcept {
    f.sync.settle_unseen();
    shard_.end_flight(std::exchange(flight_, no_entry));
  }
  void finish(bool joined) noexcept {
    settled_ = true;
    if (joined) shard_.flight_at(flight_).sync.settle();
  }
  /// A result that there is no memory to index is delivered all the same.
  bool has_room() noexcept {
#if TIDEOVER_EXCEPTIONS
    try {
      shard_.reserve_one_more();
    } catch (...) {
      return false;
    }
#else
    shard_.reserve_one_more();
#endif
    return true;
  }

  ttl_cache& cache_;
  shard_type& shard_;
  entry_id flight_;
  entry_id node_;
  entry_id overruled_;
  std::uint64_t hash_;
  bool settled_ = false;
  bool has_value_ = false;
};

/// One of those who led or joined is done with the flight; the last one takes it apart.
template <class Key, class Value, class... Policies>
void ttl_cache<Key, Value, Policies...>::leave_flight(shard_type& s, entry_id flight) noexcept {
  auto& f = s.flight_at(flight);
  // Release and acquire: the last one sees that all others have read what they wanted.
  if (f.references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  failure const why = std::exchange(f.why, {});  // an exception of the user's dies after the lock
  entry_id const node = f.failed ? no_entry : f.node;
  {
    lock_type lock(s.mutex);
    s.end_flight(flight);
  }
  if (node != no_entry) s.unpin(node);
}

// ---- All keys ---------------------------------------------------------------------------------------------

template <class Key, class Value, class... Policies>
void ttl_cache<Key, Value, Policies...>::clear() {
  for (std::size_t i = 0; i != shard_count_; ++i) {
    shard_type& s = shards_[i];
    detail::removed_chain gone;
    {
      lock_type lock(s.mutex);
      s.catch_up();
      s.forget_all_flights();
      s.remove_all(gone);
    }
    dispose(s, gone);
  }
}

template <class Key, class Value, class... Policies>
std::uint64_t ttl_cache<Key, Value, Policies...>::new_generation() noexcept {
  // Release: pairs with the acquire in catch_up. Acquire: generations follow one another.
  std::uint64_t const now = generation_.fetch_add(1, std::memory_order_acq_rel) + 1;
  if (now % generations_per_sweep == 0) sweep_generations();
  return now;
}

/// Entries keep 23 bits of their generation: long before these come round, none of an older one may be left.
/// Whoever comes to the next sweep waits for this one, so listeners are told afterwards.
template <class Key, class Value, class... Policies>
void ttl_cache<Key, Value, Policies...>::sweep_generations() noexcept {
  std::array<detail::removed_chain, locking_type::max_shards> gone;
  {
    std::lock_guard one_at_a_time(resizing_);
    for (std::size_t i = 0; i != shard_count_; ++i) {
      lock_type lock(shards_[i].mutex);
      shards_[i].catch_up();
      std::size_t steps = std::numeric_limits<std::size_t>::max();
      shards_[i].remove_outdated(steps, gone[i]);
    }
  }
  for (std::size_t i = 0; i != shard_count_; ++i) dispose(shards_[i], gone[i]);
}

template <class Key, class Value, class... Policies>
template <class F>
void ttl_cache<Key, Value, Policies...>::for_each_pinned(F f) {
  struct to_the_end {
    shard_type& shard;
    ~to_the_end() { shard.let_go_of_pending(); }  // what was erased from under us, all at once
  };
  for (std::size_t i = 0; i != shard_count_; ++i) {
    shard_type& s = shards_[i];
    to_the_end const end{s};
    // Entries keep their numbers while they are resident, so one that stays is met exactly once. One lock for
    // each of them: `f` may take its time, and the next one's may be up meanwhile.
    for (entry_id next = 0, used = 1; next < used;) {
      entry_id found = no_entry;
      {
        instant const t = now();
        lock_type lock(s.mutex);
        s.catch_up();
        used = s.used();
        for (std::size_t steps = entries_per_lock; steps != 0 && next < used && found == no_entry;
             --steps, ++next) {
          if (is_visible(s, next, t)) s.pin(found = next);
        }
      }
      if (found == no_entry) continue;
      pinned const hold(s, found, detail::departure::lazy);
      f(s, found);
    }
  }
}

template <class Key, class Value, class... Policies>
template <class F>
  requires std::invocable<F&, Key const&, Value const&>
void ttl_cache<Key, Value, Policies...>::for_each(F f) {
  for_each_pinned([&](shard_type& s, entry_id id) {
    std::invoke(f, std::as_const(s[id].key), std::as_const(s[id].value));
  });
}

template <class Key, class Value, class... Policies>
template <class F>
  requires(std::invocable<F&, Key const&, Value const&> ||
           std::invocable<F&, Key const&, Value const&, entry_details const&>)
std::size_t ttl_cache<Key, Value, Policies...>::hottest(std::size_t n, F f) {
  return for_each_in_order(n, true, f);
}
template <class Key, class Value, class... Policies>
template <class F>
  requires(std::invocable<F&, Key const&, Value const&> ||
           std::invocable<F&, Key const&, Value const&, entry_details const&>)
std::size_t ttl_cache<Key, Value, Policies...>::coldest(std::size_t n, F f) {
  return for_each_in_order(n, false, f);
}

/// Lists the entries of each shard, and shows them in turn. Where all were asked for, what is not listed
/// because it came or moved meanwhile is shown at the end.
template <class Key, class Value, class... Policies>
template <class F>
std::size_t ttl_cache<Key, Value, Policies...>::for_each_in_order(std::size_t n, bool hottest, F& f) {
  static_assert(ordered_eviction_policy<eviction_type>,
                "tideover::ttl_cache: this eviction policy does not say in which order entries leave; see "
                "tideover::ordered_eviction_policy in <tideover/policy/eviction.hpp>");
  std::vector<detail::eviction_walk<shard_type>> walks(shard_count_,
                                                       detail::eviction_walk<shard_type>(n, hottest));
  std::size_t longest = 0;
  for (std::size_t i = 0; i != shard_count_; ++i) {
    shard_type& s = shards_[i];
    for (bool more = true; more;) {
      walks[i].make_room();
      instant const t = now();
      lock_type lock(s.mutex);
      s.catch_up();
      more = walks[i].step(s, [&](entry_id id) noexcept { return is_visible(s, id, t); });
    }
    walks[i].finish();
    longest = std::max(longest, walks[i].result().size());
  }
  std::size_t shown = 0;
  for (std::size_t rank = 0; rank != longest && shown != n; ++rank) {
    for (std::size_t i = 0; i != shard_count_ && shown != n; ++i) {
      if (rank >= walks[i].result().size()) continue;
      detail::listed_entry const& e = walks[i].result()[rank];
      if (walks[i].was_shown(e.id) || !show(shards_[i], e.id, e.hash, f)) continue;
      walks[i].note_shown(e.id);
      ++shown;
    }
  }
  for (std::size_t i = 0; i != shard_count_ && shown != n; ++i) {
    shard_type& s = shards_[i];
    for (entry_id id = 0, used = walks[i].is_cut() ? 0 : 1; id < used && shown != n;) {
      bool missed = false;
      {
        lock_type lock(s.mutex);
        used = s.used();
        // Few are missed: the others are passed over many at a time.
        for (std::size_t steps = entries_per_lock; steps != 0 && id < used && !missed; --steps, ++id) {
          missed = s.is_resident(id) && !walks[i].was_shown(id);
        }
      }
      if (missed && show(s, id - 1, std::nullopt, f)) ++shown;
    }
  }
  return shown;
}

/// Calls `f` for the entry, if it is still there, with no lock held.
template <class Key, class Value, class... Policies>
template <class F>
bool ttl_cache<Key, Value, Policies...>::show(shard_type& s, entry_id id, std::optional<std::uint32_t> hash,
                                              F& f) {
  constexpr bool detailed = std::invocable<F&, Key const&, Value const&, entry_details const&>;
  entry_details details;
  {
    instant const t = now();
    lock_type lock(s.mutex);
    s.catch_up();
    if (!is_visible(s, id, t) || (hash && s.hash_of(id) != *hash)) return false;
    if constexpr (detailed) details = details_of(s, id, t);
    s.pin(id);
  }
  pinned const hold(s, id);
  if constexpr (detailed) {
    std::invoke(f, std::as_const(s[id].key), std::as_const(s[id].value), std::as_const(details));
  } else {
    std::invoke(f, std::as_const(s[id].key), std::as_const(s[id].value));
  }
  return true;
}

/// With the lock.
template <class Key, class Value, class... Policies>
entry_details ttl_cache<Key, Value, Policies...>::details_of(shard_type& s, entry_id id, instant t) const {
  node_type const& n = s[id];
  entry_details d;
  instant const deadline = expiry_.deadline(n.expiry);
  d.remaining_life = deadline == instant::max() ? std::chrono::nanoseconds::max() : deadline - t;
  if constexpr (weighs) d.weight = n.weight;
  if constexpr (has_tags) s.tags().for_each_of(n.tags, [&](std::string_view name) { d.tags.add(name); });
  return d;
}

template <class Key, class Value, class... Policies>
template <class Predicate>
  requires std::predicate<Predicate&, Key const&, Value const&> std::size_t
  ttl_cache<Key, Value, Policies...>::erase_if(Predicate predicate) {
    std::size_t erased = 0;
    for_each_pinned([&](shard_type& s, entry_id id) {
      if (!std::invoke(predicate, std::as_const(s[id].key), std::as_const(s[id].value))) return;
      detail::removed_chain gone;
      instant const t = now();
      {
        lock_type lock(s.mutex);
        s.catch_up();
        if (!is_visible(s, id, t)) return;  // it left while we asked
        s.unlink(id, removal_cause::erased, gone);
      }
      ++erased;
      dispose(s, gone);
    });
    return erased;
  }

template <class Key, class Value, class... Policies>
template <class Tagging>
std::size_t ttl_cache<Key, Value, Policies...>::erase_tag(std::string_view tag) {
  static_assert(Tagging::tags,
                "tideover::ttl_cache::erase_tag: entries have tags with the policies tagged and tagged_by");
  detail::tag_ref const wanted{tag, tag_erasures_.hash(tag)};
  tag_erasures_.note(wanted.hash);
  std::size_t erased = 0;
  for (std::size_t i = 0; i != shard_count_; ++i) {
    shard_type& s = shards_[i];
    // As many as have it now, the oldest first: what is put meanwhile does not keep us here for ever.
    std::optional<std::size_t> left;
    do {
      detail::removed_chain gone;
      instant const t = now();
      {
        lock_type lock(s.mutex);
        s.catch_up();
        if (!left) left = s.tags().count(wanted);
        for (std::size_t turn = std::min(*left, entries_per_lock); turn != 0; --turn, --*left) {
          entry_id const id = s.tags().oldest(wanted);
          if (id == no_entry) {
            left = 0;
            break;
          }
          bool const live = !s.dead(expiry_, id, t);
          if (live && !s.is_nothing(id)) ++erased;
          s.unlink(id, live ? removal_cause::erased : s.death_of(id), gone);
        }
      }
      dispose(s, gone);
    } while (*left != 0);
  }
  return erased;
}

template <class Key, class Value, class... Policies>
std::size_t ttl_cache<Key, Value, Policies...>::maintain() {
  std::size_t freed = 0;
  for (std::size_t i = 0; i != shard_count_; ++i) {
    std::size_t steps = std::numeric_limits<std::size_t>::max();
    freed += free_dead(shards_[i], steps);
    shards_[i].let_go_of_pending();
  }
  return freed;
}

template <class Key, class Value, class... Policies>
bool ttl_cache<Key, Value, Policies...>::maintain_some(std::size_t steps) {
  for (std::size_t i = 0; i != shard_count_ && steps != 0; ++i) free_dead(shards_[i], steps);
  return steps != 0;
}

/// Frees what is dead in one shard, in as many turns as it takes, until `steps` are spent.
template <class Key, class Value, class... Policies>
std::size_t ttl_cache<Key, Value, Policies...>::free_dead(shard_type& s, std::size_t& steps) noexcept {
  std::size_t freed = 0;
  for (std::size_t turn = 0; turn == 0 && steps != 0;) {
    detail::removed_chain gone;
    std::size_t const most = std::min(steps, entries_per_lock);
    turn = most;
    {
      instant const t = now();
      lock_type lock(s.mutex);
      s.catch_up();
      freed += s.remove_expired(expiry_, t, turn, gone);
      freed += s.remove_outdated(turn, gone);
    }
    steps -= most - turn;
    dispose(s, gone);
  }
  return freed;
}

// ---- Observing and tuning ---------------------------------------------------------------------------------

template <class Key, class Value, class... Policies>
std::size_t ttl_cache<Key, Value, Policies...>::size() const {
  std::size_t n = 0;
  for (std::size_t i = 0; i != shard_count_; ++i) {
    lock_type lock(shards_[i].mutex);
    n += shards_[i].size();
  }
  return n;
}

template <class Key, class Value, class... Policies>
std::size_t ttl_cache<Key, Value, Policies...>::weight() const {
  if constexpr (weighs) {
    return total_weight_.load(std::memory_order_relaxed);
  } else {
    return size();
  }
}

template <class Key, class Value, class... Policies>
template <class Weigher>
void ttl_cache<Key, Value, Policies...>::set_capacity(std::size_t capacity) {
  static_assert(!Weigher::weighs,
                "tideover::ttl_cache::set_capacity: with a weigher, max_weight is the bound");
  if (capacity < shard_count_ || capacity > most_entries) {
    detail::raise_out_of_bounds("ttl_cache::set_capacity(capacity)", std::to_string(capacity),
                                capacity_bounds(shard_count_));
  }
  {
    std::lock_guard one_at_a_time(
        resizing_);  // or two calls could leave some shards with one and some with the other
    set_capacity_of_all(capacity);
  }
  for (std::size_t i = 0; i != shard_count_; ++i) {
    shard_type& s = shards_[i];
    for (bool more = true; more;) {
      detail::removed_chain gone;
      instant const t = now();
      {
        lock_type lock(s.mutex);
        s.catch_up();
        std::size_t left = entries_per_lock;
        while (left != 0 && s.over_capacity() && s.evict_one(expiry_, t, gone)) --left;
        more = left == 0;
      }
      dispose(s, gone);
    }
  }
}

template <class Key, class Value, class... Policies>
std::size_t ttl_cache<Key, Value, Policies...>::max_weight() const noexcept {
  if constexpr (weighs) {
    return max_weight_.load(std::memory_order_relaxed);  // a number by itself: orders nothing
  } else {
    return 0;
  }
}

template <class Key, class Value, class... Policies>
template <class Weigher>
void ttl_cache<Key, Value, Policies...>::set_max_weight(std::size_t max_weight) {
  static_assert(Weigher::weighs,
                "tideover::ttl_cache::set_max_weight: without a weigher, capacity is the bound");
  check_max_weight("ttl_cache::set_max_weight(max_weight)", max_weight);
  max_weight_.store(max_weight, std::memory_order_relaxed);
  for (bool found = true; found && overweight();) {
    found = false;
    for (std::size_t i = 0; i != shard_count_ && overweight(); ++i) {
      shard_type& s = shards_[i];
      detail::removed_chain gone;
      instant const t = now();
      {
        lock_type lock(s.mutex);
        s.catch_up();
        for (std::size_t left = evictions_per_turn; left != 0 && overweight(); --left) {
          if (!s.evict_one(expiry_, t, gone)) break;
          found = true;
        }
      }
      dispose(s, gone);
    }
  }
}

/// What the shards' policies share, if anything, changes first, with all of them standing still: it may fail.
template <class Key, class Value, class... Policies>
void ttl_cache<Key, Value, Policies...>::set_capacity_of_all(std::size_t capacity) {
  struct all_locked {
    ttl_cache& cache;
    std::size_t locked = 0;
    ~all_locked() {
      while (locked != 0) cache.shards_[--locked].mutex.unlock();
    }
  } all{*this};
  constexpr bool shares = !std::is_same_v<typename shard_type::shared_type, detail::no_shared>;
  if constexpr (shares) {
    for (; all.locked != shard_count_; ++all.locked) shards_[all.locked].mutex.lock();
    eviction_shared_.set_capacity(capacity);
  }
  // At no instant are there more entries than `capacity()` says, but while they are being evicted.
  if (capacity > capacity_.load(std::memory_order_relaxed)) {
    capacity_.store(capacity, std::memory_order_relaxed);
  }
  for (std::size_t i = 0; i != shard_count_; ++i) {
    if constexpr (shares) {
      shards_[i].set_capacity(share(capacity, i));
    } else {
      lock_type lock(shards_[i].mutex);
      shards_[i].set_capacity(share(capacity, i));
    }
  }
  capacity_.store(capacity, std::memory_order_relaxed);
}

template <class Key, class Value, class... Policies>
cache_stats ttl_cache<Key, Value, Policies...>::stats() const {
  cache_stats sum;
  auto const removed = [](detail::shard_counts const& c, removal_cause cause) {
    return c.removed[static_cast<std::size_t>(cause)];
  };
  for (std::size_t i = 0; i != shard_count_; ++i) {
    lock_type lock(shards_[i].mutex);
    detail::shard_counts const& c = shards_[i].counts;
    sum.hits += c.hits;
    sum.misses += c.misses;
    sum.inserted += c.inserted;
    sum.replaced += c.replaced;
    sum.refused += c.refused;
    sum.expired += removed(c, removal_cause::expired);
    sum.evicted += removed(c, removal_cause::evicted);
    sum.erased += removed(c, removal_cause::erased);
    sum.cleared += removed(c, removal_cause::cleared);
    sum.resident += shards_[i].size();
    sum.computations += c.computations;
    sum.computations_failed += c.computations_failed;
    sum.coalesced += c.coalesced;
    sum.discarded += c.discarded;
    sum.negative_hits += c.negative_hits;
    if constexpr (has_tags) sum.tags += shards_[i].tags().size();
  }
  if constexpr (reads_without_lock) {
    sum.hits += reads_.sum(read_counts::hits) + reads_.sum(read_counts::negative_hits);
    sum.misses += reads_.sum(read_counts::misses);
    sum.negative_hits += reads_.sum(read_counts::negative_hits);
  }
  sum.gets = sum.hits + sum.misses;
  sum.puts = sum.inserted + sum.replaced + sum.refused;
  sum.weight = weighs ? total_weight_.load(std::memory_order_relaxed) : sum.resident;
  sum.generations = generation();
  sum.waits_ended = waits_ended_.load(std::memory_order_relaxed);
  sum.recursions = recursions_.load(std::memory_order_relaxed);
  sum.listener_failures = listener_failures_.load(std::memory_order_relaxed);
  return sum;
}

// ---- What they share --------------------------------------------------------------------------------------

template <class Key, class Value, class... Policies>
auto ttl_cache<Key, Value, Policies...>::life_of(shard_type& s, std::chrono::nanoseconds own) const noexcept
    -> typename shard_type::life_type {
  auto const drawn = [&](std::chrono::nanoseconds life) {
    return options_.ttl_jitter > 0.0 ? s.shortened(life, options_.ttl_jitter) : life;
  };
  if constexpr (idles) {
    return {drawn(own), drawn(options_.idle_ttl)};
  } else {
    return {drawn(own)};
  }
}

template <class Key, class Value, class... Policies>
auto ttl_cache<Key, Value, Policies...>::life_of_nothing(shard_type& s) const noexcept ->
    typename shard_type::life_type {
  auto life = life_of(s, options_.negative_ttl);
  if constexpr (idles) life.idle = life.life;
  return life;
}

template <class Key, class Value, class... Policies>
void ttl_cache<Key, Value, Policies...>::free_some_dead(shard_type& s, instant t,
                                                        detail::removed_chain& gone) const noexcept {
  std::size_t steps = expiry_steps_per_put;
  s.remove_expired(expiry_, t, steps, gone);
  steps = expiry_steps_per_put;
  s.remove_outdated(steps, gone);
}

template <class Key, class Value, class... Policies>
void ttl_cache<Key, Value, Policies...>::make_room(shard_type& s, instant t,
                                                   detail::removed_chain& gone) noexcept {
  if constexpr (weighs) {
    // Not down to the last entry, which may be the one that was just put: others can make room too.
    while (overweight() && s.size() > 1 && s.evict_one(expiry_, t, gone)) {
    }
  } else {
    while (s.over_capacity() && s.evict_one(expiry_, t, gone)) {
    }
  }
}

/// Weight is bounded over all shards: where `s` has no more to give, the others make room in turn, and `s`
/// with its last entry at the end.
template <class Key, class Value, class... Policies>
void ttl_cache<Key, Value, Policies...>::make_room_elsewhere([[maybe_unused]] shard_type const& s) noexcept {
  if constexpr (weighs) {
    std::size_t const own = static_cast<std::size_t>(&s - shards_);
    instant const t = overweight() ? now() : instant{};
    for (std::size_t i = 1; overweight() && i <= shard_count_; ++i) {
      shard_type& other = shards_[(own + i) % shard_count_];
      detail::removed_chain gone;
      {
        lock_type lock(other.mutex);
        other.catch_up();
        while (overweight() && other.evict_one(expiry_, t, gone)) {
        }
      }
      dispose(other, gone, detail::departure::lazy);
    }
  }
}

template <class Key, class Value, class... Policies>
void ttl_cache<Key, Value, Policies...>::tell(Key const& key, Value const& value,
                                              removal_cause cause) noexcept {
  if constexpr (!parts::is_silent) {
#if TIDEOVER_EXCEPTIONS
    try {
      listener_.on_removal(key, value, cause);
    } catch (...) {
      listener_failures_.fetch_add(1, std::memory_order_relaxed);
    }
#else
    listener_.on_removal(key, value, cause);
#endif
  }
}

/// Tells and lets go of what was removed. Without any lock.
template <class Key, class Value, class... Policies>
void ttl_cache<Key, Value, Policies...>::dispose(shard_type& s, detail::removed_chain gone,
                                                 detail::departure how) noexcept {
  entry_id first = no_entry;
  entry_id last = no_entry;
  std::uint32_t count = 0;
  for (entry_id id = gone.first; id != no_entry;) {
    node_type& n = s[id];
    entry_id const next = n.link();  // if others hold it, it is theirs as soon as we let go
    if (!s.is_nothing(id)) tell(n.key, n.value, n.cause);
    if (s.drop_reference(id)) {
      (first == no_entry ? first : s[last].link()) = id;
      last = id;
      ++count;
    }
    id = next;
  }
  if (first != no_entry) s.let_go(first, last, count, how);
}

}  // namespace tideover::inline v0
