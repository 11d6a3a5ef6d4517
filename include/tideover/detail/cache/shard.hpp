// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/detail/cache/tag_table.hpp>
#include <tideover/detail/flight.hpp>
#include <tideover/detail/hash_index.hpp>
#include <tideover/detail/hazard.hpp>
#include <tideover/detail/slab.hpp>
#include <tideover/detail/timing_wheel.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/eviction.hpp>
#include <tideover/policy/expiry.hpp>
#include <tideover/policy/listener.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/policy/rng.hpp>
#include <tideover/ttl_cache_options.hpp>

#include <algorithm>
#include <array>
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
struct no_hash {};
struct kept_hash {
  std::uint32_t lower = 0;
};
struct own_link {
  entry_id next = no_entry;
};
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
/// reference is gone: being resident is one, each flight holds one, and so does each visitor that is not seen
/// by a hazard pointer. A policy that is not there takes no byte.
///
/// While it is resident, and until nobody reads it, key, value, `hash`, `generation` and `lasting` do not
/// change where reads take no lock; what else a reader touches is the policy's and changes atomically.
/// `where` changes under the lock only, since who walks over all slots looks at it there.
template <class Parts>
struct cache_node {
  using key_type = typename Parts::key_type;
  using value_type = typename Parts::value_type;
  using eviction_type = typename Parts::eviction_type;
  using expiry_type = typename Parts::expiry_type;
  /// A number is hashed again when it leaves: that is cheaper than a place for its hash.
  static constexpr bool keeps_hash = !(std::is_scalar_v<key_type>&& noexcept(
      std::declval<typename Parts::hashing_type const&>()(std::declval<key_type const&>())));
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

  // What a hit does not touch comes first; what it does lies together, on as few cache lines as can be.
  [[no_unique_address]] std::conditional_t<Parts::weigher_type::weighs, std::size_t, no_weight> weight{};
  [[no_unique_address]] std::conditional_t<Parts::tagging_type::tags, tag_hook, no_tags> tags{};
  [[no_unique_address]] std::conditional_t<expiry_type::expires, entry_links, own_link> wheel{};
  [[no_unique_address]] typename eviction_type::hook eviction{};  // its padding takes what follows
  std::uint8_t lasting = 0;         // bits 16 to 22 of its generation, and `nothing`
  state where : 3 = state::vacant;  // one byte with what follows
  removal_cause cause : 3 = removal_cause::expired;
  std::uint16_t generation = 0;  // its lower bits
  typename Parts::locking_type::template cell<std::uint16_t> references{0};
  [[no_unique_address]] std::conditional_t<keeps_hash, kept_hash, no_hash> hash{};
  [[no_unique_address]] typename expiry_type::hook expiry{};
  union {
    key_type key;
  };
  union {
    value_type value;
  };

  /// Instead of a count, for an entry that nobody refers to any more: a hazard pointer names it.
  static constexpr std::uint16_t still_read = 0xFFFF;

  // The parts of `lasting`; `nothing`: the value was never made, the entry says that there is none.
  static constexpr unsigned nothing = 0x80;
  static constexpr unsigned above = 0x7F;

  /// Free list, or chain of the removed, while it is not resident.
  entry_id& link() noexcept { return wheel.next; }  // it has left the wheel
  void belongs_to(std::uint64_t now) noexcept {
    generation = static_cast<std::uint16_t>(now);
    lasting = static_cast<std::uint8_t>((lasting & nothing) | (upper(now) & above));
  }
  /// 23 bits are compared; the cache sees to it that no entry is left of a generation so long ago.
  bool is_of(std::uint64_t now) const noexcept {
    return generation == static_cast<std::uint16_t>(now) && ((lasting ^ upper(now)) & above) == 0;
  }
  /// Of those that end on these bits the last one up to `now`.
  std::uint64_t generation_before(std::uint64_t now) const noexcept {
    constexpr std::uint64_t kept = (std::uint64_t{1} << 23) - 1;
    return now - ((now - (generation | std::uint64_t{lasting & above} << 16)) & kept);
  }
  void says_nothing() noexcept { lasting = static_cast<std::uint8_t>(lasting | nothing); }

 private:
  static unsigned upper(std::uint64_t generation) noexcept {
    return static_cast<std::uint8_t>(generation >> 16);
  }
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
  entry_id next = no_entry;  // in its chain while it is registered
  entry_id& link() noexcept { return next; }
  std::uint32_t hash = 0;
  typename Parts::locking_type::template cell<std::uint32_t> references{0};  // the leader and the joined
  std::uint64_t generation = 0;
  bool registered = false;  // later calls find it; if not, the key was written or erased since it began
  bool failed = false;
  bool nothing = false;  // it succeeded, and there is no value
  [[no_unique_address]] std::conditional_t<Parts::tagging_type::tags, flight_tags, no_tags> tags{};
  failure why{};
};

/// Whether what nobody reads is destroyed before the call returns, or may wait until there are some more.
enum class departure { prompt, lazy };

/// What a lookup without the lock came to; `unsure`: it takes the lock to tell, or to tidy up.
enum class read_outcome { live, nothing, absent, unsure };

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
  using hashing_type = typename Parts::hashing_type;
  using allocator_type = typename Parts::allocator_type;
  using total_type = typename Parts::locking_type::template cell<std::size_t>;
  using generation_type = typename Parts::locking_type::template cell<std::uint64_t>;
  using shared_type = typename shared_part<eviction_type, typename Parts::locking_type, allocator_type>::type;
  static constexpr bool expires = expiry_type::expires;
  static constexpr bool weighs = Parts::weigher_type::weighs;
  static constexpr bool remembers = Parts::negative_type::remembers;
  static constexpr bool reads_without_lock = Parts::reads_without_lock;
  static constexpr bool has_tags = Parts::tagging_type::tags;
  using tag_table_type = std::conditional_t<has_tags, tag_table<allocator_type>, no_tags>;
  using life_type = std::conditional_t<idle_expiry_policy<expiry_type>, two_lives, one_life>;

  cache_shard(eviction_type const& eviction, shared_type& shared, std::size_t number, std::size_t capacity,
              instant now, std::uint64_t seed, hashing_type const& hashing, total_type& total_weight,
              generation_type const& generation, allocator_type const& allocator)
      : nodes_(allocator),
        index_(allocator),
        flights_(allocator),
        tags_(allocator),
        eviction_(eviction),
        place_(shared, number),
        wheel_(now),
        rng_(seed),
        hashing_(&hashing),
        total_weight_(&total_weight),
        generation_(&generation),
        seen_(generation.load(std::memory_order_relaxed)) {
    set_capacity(capacity);
    index_.reserve(std::min(capacity, reserve_at_most), hash_of_node());
  }
  cache_shard(cache_shard const&) = delete;
  cache_shard& operator=(cache_shard const&) = delete;
  ~cache_shard() {
    TIDEOVER_ASSERT(!any_flight(), "tideover::ttl_cache: destroyed while it computes");
    TIDEOVER_ASSERT(!any_is_read(), "tideover::ttl_cache: destroyed while an entry is read");
    index_.drain([this](entry_id id) {
      TIDEOVER_ASSERT(exclusive(id), "tideover::ttl_cache: destroyed while an entry is visited");
      destroy(id);
    });
    let_go_of_pending();
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
  /// Whether the resident entry is of an older generation.
  bool outdated(entry_id id) const noexcept { return outdated(nodes_[id]); }
  /// The generation that the resident entry is of.
  std::uint64_t generation_of(entry_id id) const noexcept { return nodes_[id].generation_before(seen_); }
  std::uint64_t generation() const noexcept { return seen_; }
  /// Whether the resident entry is of no more use, and of what it will be said to have died.
  bool dead(expiry_type const& expiry, entry_id id, instant now) noexcept {
    return dead(expiry, nodes_[id], now);
  }
  removal_cause death_of(entry_id id) const noexcept {
    return outdated(id) ? removal_cause::cleared : removal_cause::expired;
  }
  /// Removes entries of older generations, looking at no more than `steps` slots; returns how many it
  /// removed.
  std::size_t remove_outdated(std::size_t& steps, removed_chain& gone) noexcept {
    return outdated_ == 0 ? 0 : sweep_outdated(steps, gone);
  }

  /// At any time, without the lock: a lookup of that hash follows.
  using spot = typename hash_index<typename Parts::locking_type, allocator_type>::spot;
  [[gnu::always_inline]] spot locate(std::uint64_t hash) const noexcept { return index_.locate(hash); }

  /// The lower half of the hash of its key.
  std::uint32_t hash_of(entry_id id) const noexcept { return hash_of(nodes_[id]); }

  /// The resident entry of `key`, dead or not.
  template <class Hashing, class K>
  entry_id find(Hashing const& hashing, std::uint64_t hash, K const& key) {
    return index_.find(hash, [&](entry_id id) {
      node& n = nodes_[id];
      return may_be(n, hash) && hashing.equal(n.key, key);
    });
  }
  /// A lookup without the lock. Until its end nothing takes apart what it found: if it came to `live`, that
  /// is the entry of the key, alive at `now` and of the current generation.
  class reading {
   public:
    template <class Hashing, class K>
    [[gnu::always_inline]] reading(cache_shard& s, spot const& begin, Hashing const& hashing,
                                   std::uint64_t hash, K const& key, expiry_type const& expiry, instant now)
        : thread(hazard_record_of_this_thread()), slot_(thread) {
      if (slot_) came_to = s.read(*this, begin, hashing, hash, key, expiry, now);
    }
    /// At the end of a visit, before `end_visit`.
    void end_in_order() noexcept { slot_.end_in_order(); }

    read_outcome came_to = read_outcome::unsure;
    entry_id id = no_entry;
    node const* entry = nullptr;  // of that number
    hazard_record& thread;

   private:
    friend cache_shard;
    hazard_slot slot_;
  };
  bool expired(expiry_type const& expiry, entry_id id, instant now) const noexcept {
    return expired(expiry, nodes_[id], now);
  }
  /// Whether the entry says that there is nothing.
  bool is_nothing([[maybe_unused]] entry_id id) const noexcept {
    if constexpr (remembers) {
      return (nodes_[id].lasting & node::nothing) != 0;
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
  /// The same of what was read without the lock: no hit prolongs a life then.
  [[gnu::always_inline]] void touch(reading const& r) noexcept {
    eviction_.on_hit(hook_in_hand(*this, const_cast<node&>(*r.entry)), r.id);
  }

  // References. A reference keeps key and value where they are; taking one needs the lock, giving it back
  // does not. The release pairs with the acquire of whoever gives back the last one, or finds itself alone.

  void pin(entry_id id) noexcept {
    [[maybe_unused]] auto const before = nodes_[id].references.fetch_add(1, std::memory_order_relaxed);
    TIDEOVER_ASSERT(before != 0xFFFFu, "tideover::ttl_cache: more than 65,534 visits of one entry at once");
  }
  bool exclusive(entry_id id) noexcept { return exclusive(nodes_[id]); }
  /// Whether somebody has the resident entry in his hands, by a reference or by a hazard pointer.
  bool in_use(entry_id id) noexcept { return !exclusive(id) || is_read(id); }
  /// Without the lock.
  void unpin(entry_id id, departure how = departure::prompt) noexcept {
    if (drop_reference(id)) let_go(id, id, 1, how);
  }
  /// Without the lock: whether it was the last one. If so, `let_go` comes next.
  bool drop_reference(entry_id id) noexcept {
    return nodes_[id].references.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }
  /// Without the lock: key and value of the entries of this chain, which nobody holds any more, are destroyed
  /// and their slots handed in. Those that somebody reads at this instant stay for a later call; and if they
  /// are not prompt, so do some others where many threads are about, who would all have to be looked at.
  void let_go(entry_id first, entry_id last, std::uint32_t count, departure how) noexcept {
    nodes_[last].link() = no_entry;
    if constexpr (reads_without_lock) {
      std::uint32_t const waiting = pending_count_.load(std::memory_order_relaxed) + count;
      if (how == departure::prompt || waiting >= patience()) {
        if (waiting != count) take_pending(last);
        free_unread(first);
      } else {
        put_aside(first, last, count);
      }
    } else {
      for (entry_id id = first; id != no_entry; id = nodes_[id].link()) destroy(id);
      hand_in(first, last);
    }
  }
  /// Without the lock, at the end of a visit, when its slot is empty again: what was removed from under it.
  /// Whoever removed it either finds the slot empty, or is seen by us: as in hazard.hpp, all steps are in one
  /// order.
  void end_visit() noexcept {
    if constexpr (reads_without_lock) {
      if (looking_.load(std::memory_order_seq_cst) != 0)
        visits_ended_.fetch_add(1, std::memory_order_seq_cst);
      if (pending_.load(std::memory_order_seq_cst) != no_entry) let_go_of_pending();
    }
  }
  /// Without the lock: what `let_go` has left behind.
  void let_go_of_pending() noexcept {
    if constexpr (reads_without_lock) {
      if (pending_.load(std::memory_order_relaxed) != no_entry) free_pending();
    }
  }
  /// Without the lock: hands in the slot of an entry that was destroyed.
  void give_back(entry_id id) noexcept { hand_in(id, id); }

  // Making entries.

  /// A slot with a key and, if one is given, a value; one reference. All or nothing.
  template <class K, class... V>
  entry_id make(std::uint64_t hash, K&& key, V&&... value) {
    slot_guard slot{*this, acquire_slot()};
    node& n = nodes_[slot.id];
    if constexpr (sizeof...(V) != 0) n.make_value(std::forward<V>(value)...);
    slot.has_value = sizeof...(V) != 0;
    n.make_key(std::forward<K>(key));  // last: if the value throws, the caller still has its key
    if constexpr (node::keeps_hash) n.hash.lower = static_cast<std::uint32_t>(hash);
    n.where = node::state::vacant;
    n.references.store(1, std::memory_order_relaxed);
    n.lasting = 0;
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
    eviction_.on_insert(hooks(), id);
    index_.insert(hash, id);  // last: from now on it is read
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
    node& n = nodes_[id];
    weigh(n, weight);
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
    index_.replace(hash_of(old), old, id);  // last: from now on it is read
    leave(old, nodes_[old], removal_cause::replaced, gone);
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
    unlink(id, nodes_[id], cause, gone);
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
        unlink_from_the_rest(id, nodes_[id], death_of(id), gone);
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
    node& n = nodes_[id];
    unlink(id, n, dead(expiry, n, now) ? death_of(id) : removal_cause::evicted, gone);
    return true;
  }
  bool over_capacity() const noexcept { return !weighs && index_.size() > capacity_; }

  // Flights.

  template <class Hashing, class K>
  entry_id find_flight(Hashing const& hashing, std::uint64_t hash, K const& key) {
    entry_id id = flights_under(static_cast<std::uint32_t>(hash));
    for (; id != no_entry; id = flights_[id].next) {
      flight_record const& f = flights_[id];
      if (f.generation == seen_ && f.hash == static_cast<std::uint32_t>(hash) &&
          hashing.equal(nodes_[f.node].key, key)) {
        break;
      }
    }
    return id;
  }
  flight_record& flight_at(entry_id id) noexcept { return flights_[id]; }
  /// Begins a computation: an entry with a key and no value yet, found by `find_flight`. All or nothing.
  template <class K>
  entry_id begin_flight(std::uint64_t hash, K&& key) {
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
    f.next = std::exchange(flights_under(f.hash), id);
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
    entry_id* at = &flights_under(f.hash);
    while (*at != id) at = &flights_[*at].next;
    *at = f.next;
  }
  void forget_all_flights() noexcept {
    for (entry_id& first : flight_chains_) {
      for (entry_id id = std::exchange(first, no_entry); id != no_entry; id = flights_[id].next) {
        flights_[id].registered = false;
      }
    }
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
      leave(id, nodes_[id], removal_cause::cleared, gone);
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
    std::uint32_t hash(entry_id id) const noexcept { return self->hash_of(id); }
    template <class T>
    relaxed_ref<T, Parts::locking_type::is_shared> relaxed(T& x) const noexcept {
      return relaxed_ref<T, Parts::locking_type::is_shared>(x);
    }
    std::size_t shard() const noexcept { return self->place_.number; }
    shared_type& shared() const noexcept { return *self->place_.shared; }
  };
  /// The same of the one entry that a hit without the lock is about: its place is known.
  struct hook_in_hand : hooks_view {
    hook_in_hand(cache_shard& s, node& n) noexcept : hooks_view{&s}, entry(&n) {}
    typename eviction_type::hook& operator[](entry_id) const noexcept { return entry->eviction; }
    node* entry;
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

  template <class Hashing, class K>
  [[gnu::always_inline]] read_outcome read(reading& r, spot const& begin, Hashing const& hashing,
                                           [[maybe_unused]] std::uint64_t hash, K const& key,
                                           expiry_type const& expiry, instant now) {
    // Acquire: as in catch_up. Before the entry is looked for: what it is compared with must not be older.
    std::uint64_t const current = generation_->load(std::memory_order_acquire);
    r.id = index_.read(
        begin,
        [&](entry_id candidate) noexcept {
          r.entry = &nodes_[candidate];
          prefetch(*r.entry);  // it comes while the store that protects it is on its way
          r.slot_.protect(r.entry);
        },
        [&](entry_id) { return may_be(*r.entry, hash) && hashing.equal(r.entry->key, key); });
    if (r.id == no_entry) return read_outcome::absent;
    if (r.id == unsure_entry) return read_outcome::unsure;
    node const& n = *r.entry;
    if (!n.is_of(current)) return read_outcome::unsure;
    if constexpr (expires) {
      if (now >= expiry.deadline(n.expiry)) return read_outcome::unsure;
    }
    if constexpr (remembers) {
      if ((n.lasting & node::nothing) != 0) return read_outcome::nothing;
    }
    return read_outcome::live;
  }

  static void prefetch(node const& n) noexcept {
    auto const* const at = reinterpret_cast<char const*>(std::addressof(n.key));
    __builtin_prefetch(at);
    if constexpr (sizeof(key_type) + sizeof(value_type) >= cache_line) __builtin_prefetch(at + cache_line);
  }
  /// Comparing the kept hash first spares comparing most of the keys that are others.
  static bool may_be([[maybe_unused]] node const& n, [[maybe_unused]] std::uint64_t hash) noexcept {
    if constexpr (node::keeps_hash) {
      return n.hash.lower == static_cast<std::uint32_t>(hash);
    } else {
      return true;
    }
  }

  // The same as their namesakes, of an entry in hand: to find it by its number takes some steps.
  bool outdated(node const& n) const noexcept { return !n.is_of(seen_); }
  static bool expired([[maybe_unused]] expiry_type const& expiry, [[maybe_unused]] node const& n,
                      [[maybe_unused]] instant now) noexcept {
    if constexpr (expires) {
      return now >= expiry.deadline(n.expiry);
    } else {
      return false;
    }
  }
  bool dead(expiry_type const& expiry, node const& n, instant now) const noexcept {
    return outdated(n) || expired(expiry, n, now);
  }
  std::uint32_t hash_of(node const& n) const noexcept {
    if constexpr (node::keeps_hash) {
      return n.hash.lower;
    } else {
      return static_cast<std::uint32_t>((*hashing_)(n.key));
    }
  }
  static bool exclusive(node const& n) noexcept { return n.references.load(std::memory_order_acquire) == 1; }

  hooks_view hooks() noexcept { return {this}; }
  auto wheel_links() noexcept {
    return [this](entry_id id) noexcept -> entry_links& { return nodes_[id].wheel; };
  }
  auto hash_of_node() noexcept {
    return [this](entry_id id) noexcept { return hash_of(id); };
  }

  static void begin_life(expiry_type const& expiry, node& n, instant now, life_type const& life) noexcept {
    if constexpr (idle_expiry_policy<expiry_type>) {
      expiry.on_write(n.expiry, now, life.life, life.idle);
    } else {
      expiry.on_write(n.expiry, now, life.life);
    }
  }
  static constexpr std::array<entry_id, 32> no_flights() noexcept {
    std::array<entry_id, 32> chains{};
    chains.fill(no_entry);
    return chains;
  }
  TIDEOVER_COLD std::size_t sweep_outdated(std::size_t& steps, removed_chain& gone) noexcept {
    std::size_t n = 0;
    for (; outdated_ != 0 && steps != 0; --steps, ++swept_) {  // none that is outdated lies behind
      if (nodes_[swept_].where != node::state::resident || !outdated(swept_)) continue;
      unlink(swept_, removal_cause::cleared, gone);
      ++n;
    }
    return n;
  }

  entry_id& flights_under(std::uint32_t hash) noexcept {
    return flight_chains_[hash % flight_chains_.size()];
  }
  /// For assertions, which are not always there.
  [[maybe_unused]] bool any_flight() const noexcept { return flight_chains_ != no_flights(); }

  entry_id acquire_slot() {
    if (!nodes_.has_free()) {
      // Acquire: pairs with the release in hand_in.
      if (returned_.load(std::memory_order_relaxed) != no_entry) {
        nodes_.adopt_free(returned_.exchange(no_entry, std::memory_order_acquire));
      } else if constexpr (reads_without_lock && leaves_at_once) {
        if (retired_count_ >= retired_at_once()) reuse_unread();
      }
    }
    return nodes_.acquire();
  }

  // Entries that were unlinked while somebody may read them without the lock.

  /// As many may wait for the next look at what the threads read: none with few threads.
  std::uint32_t patience() const noexcept {
    std::uint32_t const threads = hazards.threads();
    return threads <= 8 ? 1 : threads / 2;
  }
  std::size_t retired_at_once() const noexcept { return std::clamp<std::size_t>(capacity_ / 64, 4, 32); }

  void push(typename Parts::locking_type::template cell<entry_id>& stack, entry_id first,
            entry_id last) noexcept {
    entry_id& after = nodes_[last].link();
    after = stack.load(std::memory_order_relaxed);
    // Release: whoever takes the chain sees the entries as we left them. Only whole chains are taken: no ABA.
    // And in the one order, for `end_visit`.
    while (!stack.compare_exchange_weak(after, first, std::memory_order_seq_cst, std::memory_order_relaxed)) {
    }
  }
  void hand_in(entry_id first, entry_id last) noexcept { push(returned_, first, last); }
  void put_aside(entry_id first, entry_id last, std::uint32_t count) noexcept {
    pending_count_.fetch_add(count, std::memory_order_relaxed);
    push(pending_, first, last);
  }
  void forget_count_of(entry_id first) noexcept {
    std::uint32_t n = 0;
    for (entry_id id = first; id != no_entry; id = nodes_[id].link()) ++n;
    pending_count_.fetch_sub(n, std::memory_order_relaxed);
  }
  /// Adds what is pending to a chain.
  void take_pending(entry_id last) noexcept {
    entry_id const more = pending_.exchange(no_entry, std::memory_order_acquire);
    nodes_[last].link() = more;
    forget_count_of(more);
  }
  /// Marks those of the chain that somebody reads. What the slots say is asked after the entries were
  /// unlinked: see hazard.hpp.
  void mark_read(entry_id first) noexcept {
    std::array<void const*, 64> read;  // looked up together: a chain may be long, and cold
    std::size_t n = 0;
    auto const mark = [&]() noexcept {
      for (entry_id id = first; id != no_entry; id = nodes_[id].link()) {
        void const* const p = &nodes_[id];
        if (std::find(read.begin(), read.begin() + n, p) == read.begin() + n) continue;
        nodes_[id].references.store(node::still_read, std::memory_order_relaxed);
      }
      n = 0;
    };
    hazards.for_each_read([&](void const* p) noexcept {
      read[n++] = p;
      if (n == read.size()) mark();
    });
    if (n != 0) mark();
  }
  /// Whether it was marked. The chain is ours alone: what marks an entry orders nothing.
  static bool takes_mark_off(node& n) noexcept {
    bool const marked = n.references.load(std::memory_order_relaxed) == node::still_read;
    if (marked) n.references.store(0, std::memory_order_relaxed);
    return marked;
  }
  void free_unread(entry_id first) noexcept {
    // Somebody who copies a value is done in no time.
    for (int looks = 8; first != no_entry && looks != 0; --looks) first = free_unread_once(first);
    if (first == no_entry) return;
    // What is put aside now is left to the end of the visit. One that ended just before that, and after we
    // looked, found nothing; but it has told us.
    looking_.fetch_add(1, std::memory_order_seq_cst);
    while (first != no_entry) {
      std::uint32_t const before = visits_ended_.load(std::memory_order_seq_cst);
      first = free_unread_once(first);
      if (first == no_entry) break;
      entry_id last = first;
      std::uint32_t count = 1;
      for (; nodes_[last].link() != no_entry; ++count) last = nodes_[last].link();
      put_aside(first, last, count);
      if (visits_ended_.load(std::memory_order_seq_cst) == before) break;
      first = pending_.exchange(no_entry, std::memory_order_acquire);
      forget_count_of(first);
    }
    looking_.fetch_sub(1, std::memory_order_seq_cst);
  }
  TIDEOVER_COLD void free_pending() noexcept {
    entry_id const first = pending_.exchange(no_entry, std::memory_order_acquire);
    if (first == no_entry) return;
    forget_count_of(first);
    free_unread(first);
  }
  bool is_read(entry_id id) const noexcept {
    bool read = false;
    if constexpr (reads_without_lock) {
      hazards.for_each_read([&](void const* p) noexcept { read = read || p == &nodes_[id]; });
    }
    return read;
  }
  /// For assertions, which are not always there.
  [[maybe_unused]] bool any_is_read() const noexcept {
    bool read = false;
    if constexpr (reads_without_lock) {
      hazards.for_each_read([&](void const* p) noexcept { read = read || nodes_.contains(p); });
    }
    return read;
  }
  /// Gives back the chain of those that are read.
  entry_id free_unread_once(entry_id first) noexcept {
    mark_read(first);
    entry_id read = no_entry;
    entry_id free_first = no_entry;
    entry_id free_last = no_entry;
    while (first != no_entry) {
      entry_id const id = first;
      node& n = nodes_[id];
      first = n.link();
      if (takes_mark_off(n)) {
        n.link() = std::exchange(read, id);
      } else {
        destroy(id);
        n.link() = std::exchange(free_first, id);
        if (free_last == no_entry) free_last = id;
      }
    }
    if (free_first != no_entry) hand_in(free_first, free_last);
    return read;
  }
  /// With the lock: the slots of retired entries, whose ending is nothing, become free ones.
  void reuse_unread() noexcept {
    mark_read(retired_);
    entry_id first = std::exchange(retired_, no_entry);
    retired_count_ = 0;
    while (first != no_entry) {
      entry_id const id = first;
      node& n = nodes_[id];
      first = n.link();
      if (takes_mark_off(n)) {
        retire(id, n);
      } else {
        nodes_.release(id);
      }
    }
  }
  void retire(entry_id id, node& n) noexcept {
    n.link() = std::exchange(retired_, id);
    ++retired_count_;
  }
  void unlink(entry_id id, node& n, removal_cause cause, removed_chain& gone) noexcept {
    if constexpr (expires) wheel_.remove(wheel_links(), n.wheel);
    unlink_from_the_rest(id, n, cause, gone);
  }
  void unlink_from_the_rest(entry_id id, node& n, removal_cause cause, removed_chain& gone) noexcept {
    index_.erase(hash_of(n), id);
    eviction_.on_remove(hooks(), id);
    leave(id, n, cause, gone);
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
    n.belongs_to(seen_);
  }
  void leave(entry_id id, node& n, removal_cause cause, removed_chain& gone) noexcept {
    if (outdated(n)) --outdated_;
    if constexpr (has_tags) tags_.detach(n.tags);
    unweigh(n);
    ++counts.removed[static_cast<std::size_t>(cause)];
    n.where = node::state::removed;
    n.cause = cause;
    if constexpr (leaves_at_once) {
      if (exclusive(n)) {
        if constexpr (reads_without_lock) {
          retire(id, n);
        } else {
          nodes_.release(id);
        }
        return;
      }
    }
    n.link() = no_entry;
    (gone.empty() ? gone.first : nodes_[gone.last].link()) = id;
    gone.last = id;
  }

  slab<node, allocator_type> nodes_;
  hash_index<typename Parts::locking_type, allocator_type> index_;
  slab<flight_record, allocator_type> flights_;
  /// Chains of the registered ones by some bits of their hash: there are as many flights as threads compute
  /// here at this moment, so that a chain is hardly ever longer than one, and to come and to go costs next to
  /// nothing.
  std::array<entry_id, 32> flight_chains_ = no_flights();
  [[no_unique_address]] tag_table_type tags_;
  typename Parts::locking_type::template cell<entry_id> returned_{no_entry};
  typename Parts::locking_type::template cell<entry_id> pending_{no_entry};  // let go, and perhaps still read
  typename Parts::locking_type::template cell<std::uint32_t> pending_count_{0};
  typename Parts::locking_type::template cell<std::uint32_t> looking_{0};       // threads in free_unread
  typename Parts::locking_type::template cell<std::uint32_t> visits_ended_{0};  // while somebody was looking
  entry_id retired_ = no_entry;  // the same where ending them is nothing; under the lock
  std::size_t retired_count_ = 0;
  std::size_t capacity_ = 0;
  [[no_unique_address]] eviction_type eviction_;
  std::conditional_t<std::is_same_v<shared_type, no_shared>, number_only, place> place_;
  [[no_unique_address]] std::conditional_t<expires, timing_wheel, no_wheel> wheel_;
  [[no_unique_address]] typename Parts::rng_type rng_;
  hashing_type const* hashing_;
  total_type* total_weight_;
  generation_type const* generation_;
  std::uint64_t seen_;        // the generation that entries are of now
  std::size_t outdated_ = 0;  // resident entries of older ones
  entry_id swept_ = 0;        // the slots before it hold none of them
};

}  // namespace tideover::inline v0::detail
