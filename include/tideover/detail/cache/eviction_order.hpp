// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/eviction.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tideover::inline v0::detail {

/// An entry on a list that was made under a lock which is gone: the hash tells one from another that was
/// given its slot meanwhile.
struct listed_entry {
  entry_id id;
  std::uint32_t hash;
  std::uint32_t turn;
  std::uint32_t number;  // in the order in which they were met
};

/// Lists the entries of a shard from the one that would leave first, or last, a few at a time under its lock.
///
/// Between two turns the queues go on changing under the walk. It remembers the last entries that it met, and
/// finds its place by them. So the order is exact while nothing changes, and near it while something does; an
/// entry may then be met twice, or be missed.
template <class Shard>
class eviction_walk {
 public:
  static constexpr std::size_t at_once = 256;

  /// The first, or with `hottest` the last `most` to leave.
  eviction_walk(std::size_t most, bool hottest) noexcept : most_(most), hottest_(hottest) {}

  /// Without the lock; may throw.
  void make_room() {
    if (found_.capacity() - found_.size() >= at_once) return;
    if (found_.size() > 2 * std::min(most_, no_limit) + 4 * at_once) {
      prune();
      return;  // half of it is free again
    }
    found_.reserve(std::max(2 * found_.capacity(), found_.size() + at_once));
  }
  /// With the lock, after `make_room`: meets some entries, and lists those for which `wanted(id)`. False at
  /// the end.
  template <class Wanted>
  bool step(Shard& s, Wanted wanted) noexcept {
    if (steps_left_ == 0) steps_left_ = begun_ ? 0 : 2 * s.size() + at_once;
    begun_ = true;
    return s.ask_eviction([&](auto const& policy, auto hooks) noexcept {
      for (std::size_t n = 0; n != at_once; ++n) {
        if (extreme_ >= most_ || steps_left_ == 0) return false;
        if (!advance(policy, hooks, s, n == 0)) return false;
        --steps_left_;
        if (!wanted(at_)) continue;
        unsigned const turn = policy.turn(hooks, at_);
        found_.push_back({at_, hooks.hash(at_), turn, next_++});
        if (turn == (hottest_ ? policy.turns - 1 : 0)) ++extreme_;
      }
      return true;
    });
  }
  /// Whether there may be more than were asked for.
  bool is_cut() const noexcept { return found_.size() >= most_; }
  /// In order, once the walk is at its end.
  void finish() { prune(); }
  std::vector<listed_entry> const& result() const noexcept { return found_; }

  /// Which entries were shown, by number.
  bool was_shown(entry_id id) const noexcept { return id < shown_.size() && shown_[id]; }
  void note_shown(entry_id id) {
    if (id >= shown_.size()) shown_.resize(std::max<std::size_t>(2 * shown_.size(), std::size_t{id} + 64));
    shown_[id] = true;
  }

 private:
  static constexpr std::array<entry_id, at_once> none() noexcept {
    std::array<entry_id, at_once> ids{};
    ids.fill(no_entry);
    return ids;
  }
  /// As many behind an entry are not there by chance.
  static constexpr std::size_t certain = 8;
  static constexpr std::size_t no_limit = static_cast<std::size_t>(-1) / 4;

  void prune() {
    std::sort(found_.begin(), found_.end(), [this](listed_entry const& a, listed_entry const& b) {
      if (a.turn != b.turn) return hottest_ ? a.turn > b.turn : a.turn < b.turn;
      return a.number < b.number;
    });
    if (found_.size() > most_) found_.resize(most_, {});
  }

  /// Where the walk through a queue begins, and whether it begins in the midst.
  template <class Hooks>
  entry_id first_of(eviction_queue const& q, Hooks hooks) noexcept {
    start_ = q.next == no_entry ? q.back : q.next;
    round_the_end_ = start_ == q.back;
    if (!hottest_) return start_;
    entry_id const before = start_ == no_entry ? no_entry : hooks[start_].links.next;
    round_the_end_ = before == no_entry;
    return round_the_end_ ? q.front : before;
  }
  template <class Hooks>
  entry_id after(eviction_queue const& q, Hooks hooks, entry_id id) noexcept {
    if (hottest_ && round_the_end_ && id == start_) return no_entry;
    entry_id next = hottest_ ? hooks[id].links.next : hooks[id].links.previous;
    if (next == no_entry && !round_the_end_) {
      round_the_end_ = true;
      next = hottest_ ? q.front : q.back;
    }
    return !hottest_ && round_the_end_ && next == start_ ? no_entry : next;
  }
  template <class Hooks>
  static entry_id neighbour(Hooks hooks, entry_id id, bool hottest) noexcept {
    return hottest ? hooks[id].links.previous : hooks[id].links.next;
  }

  /// Goes to the next entry, in this queue or another. `new_turn`: others may have changed the queues.
  template <class Policy, class Hooks>
  bool advance(Policy const& policy, Hooks hooks, Shard& s, bool new_turn) noexcept {
    if constexpr (Policy::queues == 0) {
      return false;
    } else {
      for (;;) {
        if (queue_ == Policy::queues) return false;
        std::size_t const number = hottest_ ? Policy::queues - 1 - queue_ : queue_;
        eviction_queue const q = policy.queue(number);
        if (met_ == 0) {
          at_ = first_of(q, hooks);
        } else if (new_turn && ahead_ != no_entry) {
          auto const is_there = [&](entry_id id) noexcept {
            return s.is_resident(id) && policy.queue_of(hooks, id) == number;
          };
          at_ = resume(q, hooks, is_there);
        } else {
          at_ = ahead_;
        }
        if (at_ != no_entry) {
          trail_[met_++ % at_once] = at_;
          ahead_ = after(q, hooks, at_);
          return true;
        }
        ++queue_;
        met_ = 0;
      }
    }
  }
  /// Where to go on: at the one that was to be next, or after the newest of the trail, if it is where it was.
  /// Who was used meanwhile has gone to the front, and has others behind it there; who was not has behind it
  /// those of the trail that were not either, in their order.
  template <class Hooks, class IsThere>
  entry_id resume(eviction_queue const& q, Hooks hooks, IsThere is_there) noexcept {
    std::size_t surest = 0, likely = 0;
    for (std::size_t age = 0; age <= std::min(met_, at_once) && surest != certain; ++age) {
      entry_id const id = met(age);
      std::size_t const length = is_there(id) ? followers(hooks, id, age) : 0;
      if (length > surest) surest = length, likely = age;
    }
    if (surest == 0) return first_of(q, hooks);
    return likely == 0 ? ahead_ : after(q, hooks, met(likely));
  }
  /// The one that was met `age` turns ago; at 0 the one that is to be next.
  entry_id met(std::size_t age) const noexcept { return age == 0 ? ahead_ : trail_[(met_ - age) % at_once]; }
  /// How many stand behind an entry as they did when the walk came by, one after the other.
  template <class Hooks>
  std::size_t followers(Hooks hooks, entry_id id, std::size_t age) const noexcept {
    std::size_t const known = std::min(met_, at_once);
    for (std::size_t n = 0; n != certain; ++n) {
      id = neighbour(hooks, id, hottest_);
      if (id == no_entry) return hottest_ ? n : certain;
      do {
        if (++age > known) return n;
      } while (met(age) != id);
    }
    return certain;
  }

  std::size_t most_;
  bool hottest_;
  bool begun_ = false;
  std::size_t steps_left_ = 0;
  std::size_t extreme_ = 0;  // found of the turn than which there is no other beyond
  std::size_t queue_ = 0;
  std::size_t met_ = 0;  // in this queue
  std::uint32_t next_ = 0;
  entry_id at_ = no_entry;
  entry_id ahead_ = no_entry;  // the next one in this queue
  entry_id start_ = no_entry;
  bool round_the_end_ = false;
  std::array<entry_id, at_once> trail_ = none();
  std::vector<listed_entry> found_;
  std::vector<bool> shown_;
};

}  // namespace tideover::inline v0::detail
