// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/deadline.hpp>
#include <tideover/detail/flight.hpp>
#include <tideover/detail/hash_index.hpp>
#include <tideover/detail/slab.hpp>
#include <tideover/error.hpp>
#include <tideover/policy/locking.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace tideover::inline v0::detail {

/// How a computation ended; `abandoned`: it did not, who ran it went away.
enum class flight_outcome : unsigned char { none, value, failed, abandoned };

/// Stands for a stop_source where there is but one thread: nobody can ask while a computation runs.
struct lone_stop {
  lone_stop() noexcept = default;
  explicit lone_stop(std::nostopstate_t) noexcept {}
  static std::stop_token get_token() noexcept { return {}; }
  static bool stop_possible() noexcept { return false; }
  static bool stop_requested() noexcept { return false; }
  static bool request_stop() noexcept { return false; }
};

/// A flight that is found by its key, with the place where its outcome is left for those who joined. Whoever
/// computes or waits holds a reference; the last one takes the outcome down. Parts: key_type, value_type,
/// hashing_type, locking_type, state_type.
template <class Parts>
struct keyed_flight {
  using locking_type = typename Parts::locking_type;
  using stop_type = std::conditional_t<locking_type::is_shared, std::stop_source, lone_stop>;

  std::conditional_t<locking_type::is_shared, flight, lone_flight> sync;
  entry_id next = no_entry;  // the slab's while the slot is free
  entry_id& link() noexcept { return next; }
  std::uint64_t hash = 0;
  typename locking_type::template cell<std::uint32_t> references{0};

  // Guarded by the shard's mutex.
  std::uint32_t callers = 0;     // how many it serves or has served
  std::uint32_t waiting = 0;     // of these, how many wait at this moment
  std::uint32_t interested = 0;  // whose call has not been given up
  std::uint64_t generation = 0;  // of the store when it began
  std::int64_t ahead_ns = 0;     // by how much it is early
  unsigned char purpose = 0;     // what it was begun for, in its component's words
  bool registered = false;       // `find` finds it
  bool outdated = false;         // its key was written since it began: its result may not be stored
  bool storing = false;          // its result is being stored
  bool queued = false;           // nobody computes yet: a task that has not begun is to
  bool unwanted = false;         // it is told to stop: who comes now needs another
  stop_type stop{std::nostopstate};

  // Written by the one who computes before it settles, and by nobody from then on.
  flight_outcome outcome = flight_outcome::none;
  std::optional<typename Parts::key_type> key;  // as long as it is referred to
  std::optional<typename Parts::value_type> value;
  failure why;
};

/// The computations that are running, one for each key, in as many shards as the locking policy allows. It
/// computes nothing and waits for nothing: a component's calls find, begin, join and end flights here.
/// With no flight under way nothing but a slot for each that ever was at once stays allocated.
template <class Parts>
class flight_table {
 public:
  using key_type = typename Parts::key_type;
  using hashing_type = typename Parts::hashing_type;
  using locking_type = typename Parts::locking_type;
  using record = keyed_flight<Parts>;
  using stop_type = typename record::stop_type;
  using lock_type = std::unique_lock<typename locking_type::mutex_type>;
  static constexpr std::size_t shard_count = locking_type::max_shards;

  struct alignas(locking_type::is_shared ? cache_line : alignof(std::max_align_t)) shard {
    [[no_unique_address]] typename locking_type::mutex_type mutex;
    slab<record, std::allocator<std::byte>> flights{std::allocator<std::byte>()};
    hash_index<single_threaded, std::allocator<std::byte>> index{std::allocator<std::byte>()};
    // Slots whose last reference went, which happens without the mutex: pushed one by one, taken all at once.
    typename locking_type::template cell<entry_id> given_back{no_entry};
    typename Parts::state_type state;
  };

  flight_table() = default;
  flight_table(flight_table const&) = delete;
  flight_table& operator=(flight_table const&) = delete;

  shard& shard_of(std::uint64_t hash) noexcept {
    return shards_[static_cast<std::size_t>(hash >> 40) & (shard_count - 1)];
  }
  auto begin() noexcept { return shards_.begin(); }
  auto end() noexcept { return shards_.end(); }
  auto begin() const noexcept { return shards_.begin(); }
  auto end() const noexcept { return shards_.end(); }

  // ---- With the shard's mutex -----------------------------------------------------------------------------

  template <class K>
  static entry_id find(shard& s, hashing_type const& hashing, std::uint64_t hash, K const& key) {
    return s.index.find(hash, [&](entry_id id) {
      record const& f = s.flights[id];
      return f.hash == hash && hashing.equal(*f.key, key);
    });
  }

  /// A flight of a key that has none; the caller holds the reference. `stoppable`: its function takes a
  /// stop_token. All or nothing.
  template <class K>
  static entry_id enter(shard& s, std::uint64_t hash, K&& key, bool stoppable) {
    s.index.reserve_one_more([&s](entry_id id) { return lower(s.flights[id].hash); });
    if (!s.flights.has_free()) {
      // Acquire: pairs with the release of whoever gave the slot back.
      entry_id const chain = s.given_back.exchange(no_entry, std::memory_order_acquire);
      if (chain != no_entry) s.flights.adopt_free(chain);
    }
    struct slot_guard {
      shard& of;
      entry_id id;
      ~slot_guard() {
        if (id != no_entry) of.flights.release(id);
      }
    } slot{s, s.flights.acquire()};
    record& f = s.flights[slot.id];
    f.stop = stoppable ? stop_type() : stop_type(std::nostopstate);
    f.key.emplace(std::forward<K>(key));
    f.sync.renew();
    f.hash = hash;
    f.references.store(1, std::memory_order_relaxed);
    f.callers = f.interested = 1;
    f.waiting = 0;
    f.registered = true;
    f.outdated = f.storing = f.queued = f.unwanted = false;
    f.outcome = flight_outcome::none;
    s.index.insert(hash, slot.id);
    return std::exchange(slot.id, no_entry);
  }

  static void hold(shard& s, entry_id id) noexcept {
    s.flights[id].references.fetch_add(1, std::memory_order_relaxed);  // under the mutex
  }
  static void join(shard& s, entry_id id) noexcept {
    record& f = s.flights[id];
    hold(s, id);
    ++f.callers;
    ++f.waiting;
    ++f.interested;
  }
  /// Later calls do not find it any more. By its number, so that one that took its place stays.
  static void forget(shard& s, entry_id id) noexcept {
    record& f = s.flights[id];
    if (std::exchange(f.registered, false)) s.index.erase(lower(f.hash), id);
  }
  /// Whether anybody but the caller refers to it. Once it is forgotten nobody else will. Acquire: pairs with
  /// the release of those who have left.
  static bool shared(shard& s, entry_id id) noexcept {
    return s.flights[id].references.load(std::memory_order_acquire) != 1;
  }

  // ---- Without it -----------------------------------------------------------------------------------------

  /// Who counted as interested has given up. Where nobody is left, and that is to end it, the flight is told.
  static void lose_interest(shard& s, entry_id id, bool stop_unwanted) noexcept {
    stop_type stop(std::nostopstate);
    {
      lock_type lock(s.mutex);
      record& f = s.flights[id];
      if (--f.interested == 0 && stop_unwanted) {
        stop = f.stop;
        f.unwanted = stop.stop_possible();
      }
    }
    stop.request_stop();  // may run functions of the user's
  }

  /// Gives a reference back.
  static void leave(shard& s, entry_id id) noexcept {
    record& f = s.flights[id];
    // Release and acquire: the last one sees that all others have read what they wanted.
    if (f.references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    f.value.reset();
    f.key.reset();
    if (f.why.code || f.why.cause) f.why = {};
    if (f.stop.stop_possible()) f.stop = stop_type(std::nostopstate);
    entry_id head = s.given_back.load(std::memory_order_relaxed);
    do {
      f.next = head;
    } while (
        !s.given_back.compare_exchange_weak(head, id, std::memory_order_release, std::memory_order_relaxed));
  }

 private:
  static std::uint32_t lower(std::uint64_t hash) noexcept { return static_cast<std::uint32_t>(hash); }

  std::array<shard, shard_count> shards_;
};

/// A reference to a flight, for as long as the scope.
template <class Parts>
class flight_hold {
 public:
  using table = flight_table<Parts>;
  flight_hold(typename table::shard& s, entry_id id) noexcept : shard_(s), id_(id) {}
  flight_hold(flight_hold const&) = delete;
  flight_hold& operator=(flight_hold const&) = delete;
  ~flight_hold() { table::leave(shard_, id_); }

  typename table::record& flight() const noexcept { return shard_.flights[id_]; }

 private:
  typename table::shard& shard_;
  entry_id id_;
};

/// Waits for a flight that this thread has joined, until it ends or the caller's patience does; then it is no
/// longer among those who wait, and not among those interested if it gave up.
template <class Parts, class Clock, class Deadline>
flight_end wait_in(typename flight_table<Parts>::shard& s, entry_id id, Clock const& clock,
                   Deadline const& until, bool stop_unwanted) {
  using table = flight_table<Parts>;
  struct waiting {
    typename table::shard& s;
    entry_id id;
    bool stop_unwanted;
    bool gave_up = true;  // also when the wait ends by an exception
    ~waiting() {
      {
        typename table::lock_type lock(s.mutex);
        --s.flights[id].waiting;
      }
      if (gave_up) table::lose_interest(s, id, stop_unwanted);
    }
  } me{s, id, stop_unwanted};
  flight_end const end = s.flights[id].sync.wait(clock, until);
  me.gave_up = end != flight_end::settled;
  return end;
}

/// How often one caller takes part in the loss of whoever computes before it is told errc::flight_abandoned.
inline constexpr unsigned most_losses = 2;

/// For as long as a caller computes with a function that can be stopped: its own stop_token says that it has
/// lost interest.
template <class Parts, class Deadline, bool Stoppable>
struct stop_of_leader {
  template <class Shard>
  stop_of_leader(Shard&, entry_id, Deadline const&, bool) noexcept {}
};
template <class Parts>
struct stop_of_leader<Parts, deadline, true> {
  using table = flight_table<Parts>;
  stop_of_leader(typename table::shard& s, entry_id id, deadline const& until, bool stop_unwanted) {
    if (until.stop.stop_possible()) callback.emplace(until.stop, gives_up{s, id, stop_unwanted});
  }
  struct gives_up {
    typename table::shard& s;
    entry_id id;
    bool stop_unwanted;
    void operator()() const noexcept { table::lose_interest(s, id, stop_unwanted); }
  };
  std::optional<std::stop_callback<gives_up>> callback;
};

}  // namespace tideover::inline v0::detail
