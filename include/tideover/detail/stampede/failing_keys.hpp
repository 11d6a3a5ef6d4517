// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/detail/hash_index.hpp>
#include <tideover/detail/slab.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/eviction.hpp>
#include <tideover/policy/locking.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace tideover::inline v0::detail {

/// The last failure of each key that failed lately, and until when nobody is to try again. Bounded: the one
/// that failed longest ago makes room. Guarded by its owner. What is removed is handed out, so that
/// exceptions and keys of the user's end outside of the owner's lock.
template <class Key>
class failing_keys {
 public:
  struct record {
    entry_id next = no_entry;  // the slab's while the slot is free
    entry_id& link() noexcept { return next; }
    entry_links links;
    std::uint64_t hash = 0;
    unsigned attempts = 0;  // failures in a row
    instant until;
    std::optional<Key> key;
    failure why;
  };
  /// What is removed, for its destructor to run elsewhere.
  struct removed {
    std::optional<Key> key;
    failure why;
  };

  bool empty() const noexcept { return index_.empty(); }
  std::size_t size() const noexcept { return index_.size(); }

  template <class Hashing>
  record* find(Hashing const& hashing, std::uint64_t hash, Key const& key) {
    entry_id const id = id_of(hashing, hash, key);
    return id == no_entry ? nullptr : &slots_[id];
  }

  /// The record of a key that is to have one, as the newest; made with no attempts if there is none. May
  /// throw; then nothing has changed.
  template <class Hashing>
  record& note(Hashing const& hashing, std::uint64_t hash, Key const& key) {
    entry_id id = id_of(hashing, hash, key);
    if (id == no_entry) {
      index_.reserve_one_more([this](entry_id other) { return lower(slots_[other].hash); });
      struct slot_guard {
        failing_keys& of;
        entry_id slot;
        ~slot_guard() {
          if (slot != no_entry) of.slots_.release(slot);
        }
      } guard{*this, slots_.acquire()};
      record& r = slots_[guard.slot];
      r.key.emplace(key);
      r.hash = hash;
      r.attempts = 0;
      index_.insert(hash, guard.slot);
      id = std::exchange(guard.slot, no_entry);
      newest_first_.push_front(links(), id);
    } else {
      newest_first_.move_to_front(links(), id);
    }
    return slots_[id];
  }

  template <class Hashing>
  removed forget(Hashing const& hashing, std::uint64_t hash, Key const& key) {
    entry_id const id = id_of(hashing, hash, key);
    return id == no_entry ? removed{} : take(id);
  }
  /// Removes the oldest if there are more than `most`, or if it may have been tried again since before
  /// `then`.
  removed trim(std::size_t most, instant then) {
    entry_id const oldest = newest_first_.back();
    if (index_.empty() || (size() <= most && slots_[oldest].until >= then)) return removed{};
    return take(oldest);
  }

 private:
  static std::uint32_t lower(std::uint64_t hash) noexcept { return static_cast<std::uint32_t>(hash); }
  auto links() noexcept {
    return [this](entry_id id) noexcept -> entry_links& { return slots_[id].links; };
  }
  template <class Hashing>
  entry_id id_of(Hashing const& hashing, std::uint64_t hash, Key const& key) {
    return index_.find(
        hash, [&](entry_id id) { return slots_[id].hash == hash && hashing.equal(*slots_[id].key, key); });
  }
  removed take(entry_id id) {
    record& r = slots_[id];
    removed out{std::move(r.key), std::exchange(r.why, {})};
    newest_first_.remove(links(), id);
    index_.erase(lower(r.hash), id);
    r.key.reset();
    slots_.release(id);
    return out;
  }

  slab<record, std::allocator<std::byte>> slots_{std::allocator<std::byte>()};
  hash_index<single_threaded, std::allocator<std::byte>> index_{std::allocator<std::byte>()};
  entry_list newest_first_;
};

}  // namespace tideover::inline v0::detail
