// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/detail/cache/tag_table.hpp>
#include <tideover/detail/flight.hpp>
#include <tideover/detail/hash_index.hpp>
#include <tideover/detail/slab.hpp>
#include <tideover/detail/timing_wheel.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/eviction.hpp>
#include <tideover/policy/expiry.hpp>
#include <tideover/policy/listener.hpp>
#include <tideover/policy/rng.hpp>
#include <tideover/ttl_cache_options.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace tideover::inline v0::detail {

/// A cache_key, that is, which keeps more while it is made than it needs to be found; this header does not
/// know it.
template <class Key, class K>
concept has_stored_form = requires(K&& key) {
  { std::forward<K>(key).stored() } -> std::same_as<Key>;
  key.check();
  key.log_text();
};

struct no_links {};
struct no_weight {};
struct no_wheel {
  explicit no_wheel(instant) noexcept {}
};

/// How long an entry is to live: since its write and, where the policy asks for that, since its last use.
struct one_life {
  std::chrono::nanoseconds life;
};
struct two_lives {
  std::chrono::nanoseconds life;
  std::chrono::nanoseconds idle;
};

/// What a cache keeps of one entry. Key and value are made when an entry is, and destroyed when the last
/// reference is gone: being resident is one, each visitor and each flight holds one. A policy that is not
/// there takes no byte.
template <class Parts>
struct cache_node {
  using key_type = typename Parts::key_type;
  using value_type = typename Parts::value_type;
  using eviction_type = typename Parts::eviction_type;
  using expiry_type = typename Parts::expiry_type;
  enum class state : std::uint8_t { vacant, resident, removed };

  cache_node() noexcept {}
  cache_node(cache_node const&) = delete;
  cache_node& operator=(cache_node const&) = delete;
  ~cache_node() {}

  template <class K>
  void make_key(K&& k) {
    void* const place = std::addressof(key);
    if constexpr (has_stored_form<key_type, K>) {
      ::new (place) key_type(std::forward<K>(k).stored());  // less than was needed to make it
    } else {
      ::new (place) key_type(std::forward<K>(k));
    }
  }
  template <class... V>
  void make_value(V&&... v) {
    ::new (static_cast<void*>(std::addressof(value))) value_type(std::forward<V>(v)...);
  }

  union {
    key_type key;
  };
  union {
    value_type value;
  };
  [[no_unique_address]] typename expiry_type::hook expiry{};
  [[no_unique_address]] std::conditional_t<expiry_type::expires, entry_links, no_links> wheel{};
  [[no_unique_address]] std::conditional_t<Parts::weigher_type::weighs, std::size_t, no_weight> weight{};
  [[no_unique_address]] std::conditional_t<Parts::tagging_type::tags, tag_hook, no_tags> tags{};
  std::uint32_t hash = 0;
  typename Parts::locking_type::template cell<std::uint32_t> references{0};
  /// Free list, or chain of the removed; while it is resident, the lower bits of its generation.
  entry_id next = no_entry;
  [[no_unique_address]] typename eviction_type::hook eviction{};  // its padding takes what follows
  std::uint8_t generation_above = 0;                              // bits 32 to 39
  state where : 3 = state::vacant;                                // one byte with what follows
  removal_cause cause : 3 = removal_cause::expired;
  bool nothing : 1 = false;  // the value was never made: the entry says that there is none
};

/// Entries on their way out: unlinked under the lock, told and destroyed after it.
struct removed_chain {
  entry_id first = no_entry;
  entry_id last = no_entry;
  bool empty() const noexcept { return first == no_entry; }
};

/// One running computation of a cache: the flight, the entry that its result is being made in, and what those
/// who wait will read.
template <class Parts>
struct cache_flight {
  std::conditional_t<Parts::locking_type::is_shared, flight, lone_flight> sync;
  entry_id node = no_entry;
  entry_id next = no_entry;
  std::uint32_t hash = 0;
  typename Parts::locking_type::template cell<std::uint32_t> references{0};  // the leader and the joined
  std::uint64_t generation = 0;
  bool registered = false;  // later calls find it; if not, the key was written or erased since it began
  bool failed = false;
  bool nothing = false;  // it succeeded, and there is no value
  [[no_unique_address]] std::conditional_t<Parts::tagging_type::tags, flight_tags, no_tags> tags{};
  failure why{};
};

struct shard_counts {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t inserted = 0;
  std::uint64_t replaced = 0;
  std::uint64_t refused = 0;
  std::uint64_t removed[5] = {};  // by removal_cause, `replaced` unused
  std::uint64_t computations = 0;
  std::uint64_t computations_failed = 0;
  std::uint64_t coalesced = 0;
  std::uint64_t discarded = 0;
  std::uint64_t negative_hits = 0;
};

/// A part of a cache with a lock of its own: index, entries, policies and running computations of the keys
/// whose hash leads here. All members want `mutex` held unless they say otherwise, and none calls a function
/// of the user's but equality and constructors. What can fail comes first in every change: from the first
/// link that is set, nothing throws.
template <class Parts>
class alignas(cache_line) cache_shard {
 public:
  using node = cache_node<Parts>;
  using flight_record = cache_flight<Parts>;
  using key_type = typename Parts::key_type;
  using value_type = typename Parts::value_type;
  using eviction_type = typename Parts::eviction_type;
  using expiry_type = typename Parts::expiry_type;
  using allocator_type = typename Parts::allocator_type;
  using total_type = typename Parts::locking_type::template cell<std::size_t>;
  using generation_type = typename Parts::locking_type::template cell<std::uint64_t>;
  using shared_type = typename shared_part<eviction_type, typename Parts::locking_type, allocator_type>::type;
  static constexpr bool expires = expiry_type::expires;
  static constexpr bool weighs = Parts::weigher_type::weighs;
  static constexpr bool remembers = Parts::negative_type::remembers;
  static constexpr bool has_tags = Parts::tagging_type::tags;
  using tag_table_type = std::conditional_t<has_tags, tag_table<allocator_type>, no_tags>;
  using life_type = std::conditional_t<idle_expiry_policy<expiry_type>, two_lives, one_life>;

  cache_shard(eviction_type const& eviction, shared_type& shared, std::size_t number, std::size_t capacity,
              instant now, std::uint64_t seed, total_type& total_weight, generation_type const& generation,
              allocator_type const& allocator)
      : nodes_(allocator),
        index_(allocator),
        flights_(allocator),
        flight_index_(allocator),
        tags_(allocator),
        eviction_(eviction),
        place_(shared, number),
        wheel_(now),
        rng_(seed),
        total_weight_(&total_weight),
        generation_(&generation),
        seen_(generation.load(std::memory_order_relaxed)) {
    set_capacity(capacity);
    index_.reserve(std::min(capacity, reserve_at_most), hash_of_node());
  }
  cache_shard(cache_shard const&) = delete;
  cache_shard& operator=(cache_shard const&) = delete;
  ~cache_shard() {
    TIDEOVER_ASSERT(flight_index_.empty(), "tideover::ttl_cache: destroyed while it computes");
    index_.drain([this](entry_id id) {
      TIDEOVER_ASSERT(exclusive(id), "tideover::ttl_cache: destroyed while an entry is visited");
      destroy(id);
    });
  }

  typename Parts::locking_type::mutex_type mutex;
  shard_counts counts;

  node& operator[](entry_id id) noexcept { return nodes_[id]; }
  std::size_t size() const noexcept { return index_.size(); }
  std::size_t capacity() const noexcept { return capacity_; }
  entry_id used() const noexcept { return nodes_.used(); }
  bool is_resident(entry_id id) const noexcept { return nodes_[id].where == node::state::resident; }
  /// Calls `f(eviction, hooks)`, which changes nothing.
  template <class F>
  decltype(auto) ask_eviction(F f) noexcept {
    return f(std::as_const(eviction_), hooks());
  }

  void set_capacity(std::size_t capacity) noexcept {
    if constexpr (requires(eviction_type & e) { e.set_capacity(capacity); }) eviction_.set_capacity(capacity);
    capacity_ = capacity;
  }

  // Generations. An entry of an older one is as good as gone; it is freed when somebody meets it, or by a
  // sweep over the slots, of which each put does a little.

  /// First of all that look at entries with the lock held: takes notice of a new generation.
  void catch_up() noexcept {
    // Acquire: pairs with the release in new_generation. Who sees the new one sees what led to it, so what is
    // computed from then on is computed from that.
    std::uint64_t const current = generation_->load(std::memory_order_acquire);
    if (current == seen_) return;
    seen_ = current;
    outdated_ = index_.size();
    swept_ = 0;
  }
  /// Whether the resident entry is of an older generation. 40 bits of it are compared: an entry would have to
  /// stay untouched by any write to its shard for as many generations to be taken for a new one.
  bool outdated(entry_id id) const noexcept {
    node const& n = nodes_[id];
    return n.next != static_cast<entry_id>(seen_) ||
           n.generation_above != static_cast<std::uint8_t>(seen_ >> 32);
  }
  /// The generation that the resident entry is of.
  std::uint64_t generation_of(entry_id id) const noexcept {
    constexpr std::uint64_t kept = (std::uint64_t{1} << 40) - 1;
    std::uint64_t const low = nodes_[id].next | std::uint64_t{nodes_[id].generation_above} << 32;
    return seen_ - ((seen_ - low) & kept);
  }
  std::uint64_t generation() const noexcept { return seen_; }
  /// Whether the resident entry is of no more use, and of what it will be said to have died.
  bool dead(expiry_type const& expiry, entry_id id, instant now) noexcept {
    return outdated(id) || expired(expiry, id, now);
  }
  removal_cause death_of(entry_id id) const noexcept {
    return outdated(id) ? removal_cause::cleared : removal_cause::expired;
  }
  /// Removes entries of older generations, looking at no more than `steps` slots; returns how many it
  /// removed.
  std::size_t remove_outdated(std::size_t& steps, removed_chain& gone) noexcept {
    std::size_t n = 0;
    for (; outdated_ != 0 && steps != 0; --steps, ++swept_) {  // none that is outdated lies behind
      if (nodes_[swept_].where != node::state::resident || !outdated(swept_)) continue;
      unlink(swept_, removal_cause::cleared, gone);
      ++n;
    }
    return n;
  }

  /// The resident entry of `key`, dead or not.
  template <class Hashing, class K>
  entry_id find(Hashing const& hashing, std::uint64_t hash, K const& key) {
    return index_.find(hash, [&](entry_id id) {
      node& n = nodes_[id];
      return n.hash == static_cast<std::uint32_t>(hash) && hashing.equal(n.key, key);
    });
  }
  bool expired(expiry_type const& expiry, entry_id id, instant now) noexcept {
    if constexpr (expires) {
      return now >= expiry.deadline(nodes_[id].expiry);
    } else {
      return false;
    }
  }
  /// Whether the entry says that there is nothing.
  bool is_nothing([[maybe_unused]] entry_id id) const noexcept {
    if constexpr (remembers) {
      return nodes_[id].nothing;
    } else {
      return false;
    }
  }
  /// A use that does not prolong a life: what is asked for often is not the more missing for it.
  void touch_nothing(entry_id id) noexcept { eviction_.on_hit(hooks(), id); }
  void touch(expiry_type const& expiry, entry_id id, instant now) noexcept {
    eviction_.on_hit(hooks(), id);
    if constexpr (expires) expiry.on_hit(nodes_[id].expiry, now);
  }

  // References. A reference keeps key and value where they are; taking one needs the lock, giving it back
  // does not. The release pairs with the acquire of whoever gives back the last one, or finds itself alone.

  void pin(entry_id id) noexcept { nodes_[id].references.fetch_add(1, std::memory_order_relaxed); }
  bool exclusive(entry_id id) noexcept { return nodes_[id].references.load(std::memory_order_acquire) == 1; }
  /// Without the lock.
  void unpin(entry_id id) noexcept {
    if (nodes_[id].references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    destroy(id);
    give_back(id);
  }
  /// Without the lock: hands in the slot of an entry that was destroyed.
  void give_back(entry_id id) noexcept {
    node& n = nodes_[id];
    n.next = returned_.load(std::memory_order_relaxed);
    // Release: whoever takes the chain sees the slot as we left it. Only whole chains are taken: no ABA.
    while (
        !returned_.compare_exchange_weak(n.next, id, std::memory_order_release, std::memory_order_relaxed)) {
    }
  }

  // Making entries.

  /// A slot with a key and, if one is given, a value; one reference. All or nothing.
  template <class K, class... V>
  entry_id make(std::uint64_t hash, K&& key, V&&... value) {
    slot_guard slot{*this, acquire_slot()};
    node& n = nodes_[slot.id];
    if constexpr (sizeof...(V) != 0) n.make_value(std::forward<V>(value)...);
    slot.has_value = sizeof...(V) != 0;
    n.make_key(std::forward<K>(key));  // last: if the value throws, the caller still has its key
    n.hash = static_cast<std::uint32_t>(hash);
    n.where = node::state::vacant;
    n.references.store(1, std::memory_order_relaxed);
    if constexpr (remembers) n.nothing = false;
    return std::exchange(slot.id, no_entry);
  }
  /// May throw; `link` may not, after it.
  void reserve_one_more() { index_.reserve_one_more(hash_of_node()); }

  void link(expiry_type const& expiry, std::uint64_t hash, entry_id id, instant now, life_type const& life,
            std::size_t weight) noexcept {
    node& n = nodes_[id];
    weigh(n, weight);
    if constexpr (expires) {
      begin_life(expiry, n, now, life);
      wheel_.insert(wheel_links(), id, expiry.deadline(n.expiry));
    }
    settle(n);
    index_.insert(hash, id);
    eviction_.on_insert(hooks(), id);
  }
  /// The entry's value is another one since just now.
  void rewritten(expiry_type const& expiry, entry_id id, instant now, life_type const& life,
                 std::size_t weight) noexcept {
    unweigh(nodes_[id]);
    weigh(nodes_[id], weight);
    eviction_.on_hit(hooks(), id);
    if constexpr (expires) {
      node& n = nodes_[id];
      instant const before = expiry.deadline(n.expiry);
      begin_life(expiry, n, now, life);
      if (expiry.deadline(n.expiry) < before) {  // later is found out by the wheel when it comes up
        wheel_.remove(wheel_links(), id);
        wheel_.insert(wheel_links(), id, expiry.deadline(n.expiry));
      }
    }
  }
  /// Puts `id` in the place of the resident `old`, which leaves as replaced.
  void substitute(expiry_type const& expiry, entry_id old, entry_id id, instant now, life_type const& life,
                  std::size_t weight, removed_chain& gone) noexcept {
    node& o = nodes_[old];
    node& n = nodes_[id];
    weigh(n, weight);
    index_.replace(o.hash, old, id);
    if constexpr (requires { eviction_.on_replace(hooks(), old, id); }) {
      eviction_.on_replace(hooks(), old, id);
    } else {
      eviction_.on_remove(hooks(), old);
      eviction_.on_insert(hooks(), id);
    }
    if constexpr (expires) {
      wheel_.remove(wheel_links(), old);
      begin_life(expiry, n, now, life);
      wheel_.insert(wheel_links(), id, expiry.deadline(n.expiry));
    }
    settle(n);
    leave(old, removal_cause::replaced, gone);
  }

  // Tags.

  tag_table_type& tags() noexcept { return tags_; }
  tag_table_type const& tags() const noexcept { return tags_; }
  /// Makes room for the tags of an entry to come. May throw; `label` may not, after it.
  template <class Tags>
  auto prepare_tags([[maybe_unused]] Tags const& tags) {
    if constexpr (has_tags) {
      return tags_.prepare(tags);
    } else {
      return no_tags();
    }
  }
  /// Gives the resident entry these tags instead of those it had.
  template <class Prepared>
  void label([[maybe_unused]] entry_id id, [[maybe_unused]] Prepared& tags) noexcept {
    if constexpr (has_tags) tags_.attach(nodes_[id].tags, id, tags);
  }

  // Removing entries.

  void unlink(entry_id id, removal_cause cause, removed_chain& gone) noexcept {
    if constexpr (expires) wheel_.remove(wheel_links(), id);
    unlink_from_the_rest(id, cause, gone);
  }
  /// Removes expired entries, looking at no more than `steps`; returns how many it removed.
  std::size_t remove_expired([[maybe_unused]] expiry_type const& expiry, [[maybe_unused]] instant now,
                             [[maybe_unused]] std::size_t& steps,
                             [[maybe_unused]] removed_chain& gone) noexcept {
    std::size_t n = 0;
    if constexpr (expires) {
      auto const deadlines = [&](entry_id id) noexcept { return expiry.deadline(nodes_[id].expiry); };
      for (;; ++n) {
        entry_id const id = wheel_.take_due(now, steps, wheel_links(), deadlines);
        if (id == no_entry) break;
        unlink_from_the_rest(id, death_of(id), gone);
      }
    }
    return n;
  }
  /// Makes room: for nothing by entries that are outdated, if there are some near, else by evicting one;
  /// false if the policy names none. If its time was up, that is the cause.
  bool evict_one([[maybe_unused]] expiry_type const& expiry, instant now, removed_chain& gone) noexcept {
    if (index_.empty()) return false;
    std::size_t steps = outdated_steps;
    if (remove_outdated(steps, gone) != 0) return true;
    entry_id const id = eviction_.victim(hooks());
    if (id == no_entry) return false;
    unlink(id, dead(expiry, id, now) ? death_of(id) : removal_cause::evicted, gone);
    return true;
  }
  bool over_capacity() const noexcept { return !weighs && index_.size() > capacity_; }

  // Flights.

  template <class Hashing, class K>
  entry_id find_flight(Hashing const& hashing, std::uint64_t hash, K const& key) {
    return flight_index_.find(hash, [&](entry_id id) {
      flight_record const& f = flights_[id];
      return f.generation == seen_ && f.hash == static_cast<std::uint32_t>(hash) &&
             hashing.equal(nodes_[f.node].key, key);
    });
  }
  flight_record& flight_at(entry_id id) noexcept { return flights_[id]; }
  /// Begins a computation: an entry with a key and no value yet, found by `find_flight`. All or nothing.
  template <class K>
  entry_id begin_flight(std::uint64_t hash, K&& key) {
    flight_index_.reserve_one_more([this](entry_id id) { return flights_[id].hash; });
    entry_id const id = flights_.acquire();
    flight_guard slot{*this, id};
    entry_id const made = make(hash, std::forward<K>(key));
    slot.id = no_entry;
    flight_record& f = flights_[id];
    f.sync.renew();
    f.node = made;
    f.hash = static_cast<std::uint32_t>(hash);
    f.references.store(1, std::memory_order_relaxed);
    f.generation = seen_;
    f.registered = true;
    f.failed = false;
    f.nothing = false;
    flight_index_.insert(hash, id);
    f.sync.lead();
    return id;
  }
  /// Whether its result may be stored: nothing has happened to its key since it began.
  bool is_wanted(flight_record const& f) const noexcept { return f.registered && f.generation == seen_; }
  /// Later calls do not find it any more, and if it was found until now, its result will not be stored.
  void forget_flight(entry_id id) noexcept {
    if (id == no_entry) return;
    flight_record& f = flights_[id];
    if (!std::exchange(f.registered, false)) return;
    flight_index_.erase(f.hash, id);
  }
  void forget_all_flights() noexcept {
    flight_index_.drain([this](entry_id id) { flights_[id].registered = false; });
  }
  void end_flight(entry_id id) noexcept { flights_.release(id); }

  /// Calls `f(id)` for each resident entry. `f` may not throw.
  template <class F>
  void drain(F f) noexcept {
    index_.drain(f);
  }
  /// Removes every entry.
  void remove_all(removed_chain& gone) noexcept {
    index_.drain([&](entry_id id) {
      if constexpr (expires) wheel_.remove(wheel_links(), id);
      eviction_.on_remove(hooks(), id);
      leave(id, removal_cause::cleared, gone);
    });
  }

  /// A share of the life, chosen anew for each entry.
  std::chrono::nanoseconds shortened(std::chrono::nanoseconds life, double jitter) noexcept {
    if (life == std::chrono::nanoseconds::max()) return life;
    double const cut = static_cast<double>(life.count()) * jitter * to_unit_interval(rng_());
    return std::max(life - std::chrono::nanoseconds(static_cast<std::int64_t>(cut)),
                    std::chrono::nanoseconds(1));
  }

  /// Without the lock, with the last reference.
  void destroy(entry_id id) noexcept {
    node& n = nodes_[id];
    if (!is_nothing(id)) std::destroy_at(std::addressof(n.value));
    std::destroy_at(std::addressof(n.key));
  }
  /// Without the lock: an entry whose value was never made.
  void destroy_key(entry_id id) noexcept { std::destroy_at(std::addressof(nodes_[id].key)); }

 private:
  /// An index for so many entries is made at once; larger caches grow into theirs.
  static constexpr std::size_t reserve_at_most = std::size_t{1} << 20;
  /// How many slots are looked at for an outdated entry before a live one has to go.
  static constexpr std::size_t outdated_steps = 8;
  /// Nobody is told and nothing has to be destroyed: the slot is free as soon as it is unlinked.
  static constexpr bool leaves_at_once = Parts::is_silent && std::is_trivially_destructible_v<key_type> &&
                                         std::is_trivially_destructible_v<value_type>;

  /// The policies' view of the entries.
  struct hooks_view {
    cache_shard* self;
    typename eviction_type::hook& operator[](entry_id id) const noexcept { return self->nodes_[id].eviction; }
    std::uint32_t hash(entry_id id) const noexcept { return self->nodes_[id].hash; }
    template <class T>
    relaxed_ref<T, Parts::locking_type::is_shared> relaxed(T& x) const noexcept {
      return relaxed_ref<T, Parts::locking_type::is_shared>(x);
    }
    std::size_t shard() const noexcept { return self->place_.number; }
    shared_type& shared() const noexcept { return *self->place_.shared; }
  };
  /// Where this shard stands, for a policy that asks.
  struct place {
    place(shared_type& s, std::size_t n) noexcept : shared(&s), number(n) {}
    shared_type* shared;
    std::size_t number;
  };
  struct number_only {
    number_only(shared_type&, std::size_t n) noexcept : number(n) {}
    std::size_t number;
  };
  struct slot_guard {
    cache_shard& shard;
    entry_id id;
    bool has_value = false;
    ~slot_guard() {
      if (id == no_entry) return;
      if (has_value) std::destroy_at(std::addressof(shard.nodes_[id].value));
      shard.nodes_.release(id);
    }
  };
  struct flight_guard {
    cache_shard& shard;
    entry_id id;
    ~flight_guard() {
      if (id != no_entry) shard.flights_.release(id);
    }
  };

  hooks_view hooks() noexcept { return {this}; }
  auto wheel_links() noexcept {
    return [this](entry_id id) noexcept -> entry_links& { return nodes_[id].wheel; };
  }
  auto hash_of_node() noexcept {
    return [this](entry_id id) noexcept { return nodes_[id].hash; };
  }

  static void begin_life(expiry_type const& expiry, node& n, instant now, life_type const& life) noexcept {
    if constexpr (idle_expiry_policy<expiry_type>) {
      expiry.on_write(n.expiry, now, life.life, life.idle);
    } else {
      expiry.on_write(n.expiry, now, life.life);
    }
  }
  entry_id acquire_slot() {
    // Acquire: pairs with the release in give_back.
    if (!nodes_.has_free() && returned_.load(std::memory_order_relaxed) != no_entry) {
      nodes_.adopt_free(returned_.exchange(no_entry, std::memory_order_acquire));
    }
    return nodes_.acquire();
  }
  void unlink_from_the_rest(entry_id id, removal_cause cause, removed_chain& gone) noexcept {
    index_.erase(nodes_[id].hash, id);
    eviction_.on_remove(hooks(), id);
    leave(id, cause, gone);
  }
  // The total over all shards changes outside of this shard's lock too: it only has to add up, it orders
  // nothing.
  void weigh([[maybe_unused]] node& n, [[maybe_unused]] std::size_t weight) noexcept {
    if constexpr (weighs) {
      n.weight = weight;
      total_weight_->fetch_add(weight, std::memory_order_relaxed);
    }
  }
  void unweigh([[maybe_unused]] node& n) noexcept {
    if constexpr (weighs) total_weight_->fetch_sub(n.weight, std::memory_order_relaxed);
  }
  void settle(node& n) noexcept {
    n.where = node::state::resident;
    n.next = static_cast<entry_id>(seen_);
    n.generation_above = static_cast<std::uint8_t>(seen_ >> 32);
  }
  void leave(entry_id id, removal_cause cause, removed_chain& gone) noexcept {
    node& n = nodes_[id];
    if (outdated(id)) --outdated_;
    if constexpr (has_tags) tags_.detach(n.tags);
    unweigh(n);
    ++counts.removed[static_cast<std::size_t>(cause)];
    n.where = node::state::removed;
    n.cause = cause;
    if constexpr (leaves_at_once) {
      if (exclusive(id)) {
        nodes_.release(id);
        return;
      }
    }
    n.next = no_entry;
    (gone.empty() ? gone.first : nodes_[gone.last].next) = id;
    gone.last = id;
  }

  slab<node, allocator_type> nodes_;
  hash_index<allocator_type> index_;
  slab<flight_record, allocator_type> flights_;
  hash_index<allocator_type> flight_index_;
  [[no_unique_address]] tag_table_type tags_;
  typename Parts::locking_type::template cell<entry_id> returned_{no_entry};
  std::size_t capacity_ = 0;
  [[no_unique_address]] eviction_type eviction_;
  std::conditional_t<std::is_same_v<shared_type, no_shared>, number_only, place> place_;
  [[no_unique_address]] std::conditional_t<expires, timing_wheel, no_wheel> wheel_;
  [[no_unique_address]] typename Parts::rng_type rng_;
  total_type* total_weight_;
  generation_type const* generation_;
  std::uint64_t seen_;        // the generation that entries are of now
  std::size_t outdated_ = 0;  // resident entries of older ones
  entry_id swept_ = 0;        // the slots before it hold none of them
};

}  // namespace tideover::inline v0::detail
