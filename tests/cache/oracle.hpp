// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/clock.hpp>
#include <tideover/ttl_cache_options.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// The judge of ttl_cache: a naive cache, written from the contract and sharing no code with the real one. It
/// is not asked what the cache will do, it is told what the cache did (the result and what the listener
/// heard) and says whether that was allowed. It has to be so: which write frees which expired entry is the
/// cache's own affair, but every removal must be one that the contract permits at that moment.
namespace tideover_test {

/// Why an entry left; the oracle's own words, so that it needs no listener header.
enum class left { expired, evicted, replaced, erased, cleared };

inline char const* name_of(left why) {
  static constexpr char const* names[] = {"expired", "evicted", "replaced", "erased", "cleared"};
  return names[static_cast<int>(why)];
}

struct departure {
  int key;
  std::int64_t value;
  left why;
};
using departures = std::vector<departure>;

enum class keeps { lru, fifo, unbounded, some };  // some: which entry must go is the policy's own affair
enum class ages { after_write, after_access, after_write_or_access, per_entry, never };

struct oracle_rules {
  keeps eviction = keeps::lru;
  ages expiry = ages::after_write;
  /// False: capacity is split over shards; which entry must go, and when, is then not judged.
  bool one_shard = true;
  /// Empty: entries count one each and `capacity` is the bound; else `max_weight` is, and `capacity` none.
  std::function<std::size_t(int, std::int64_t)> weigh = {};
  /// With `per_entry` the life of each entry of which a put says nothing.
  std::function<std::chrono::nanoseconds(int, std::int64_t)> live = {};
};

/// How often each outcome was seen, by which a walk shows that it has been everywhere.
struct oracle_tally {
  std::size_t hits = 0, misses = 0, expired = 0, evicted = 0, replaced = 0, erased = 0, cleared = 0,
              refused = 0;
  std::size_t computed = 0, failed = 0, outdated = 0;
  std::size_t expired_on_read = 0, read_on_the_deadline = 0, capped_by_the_write = 0;
  /// Of the evictions, those beside an entry that had expired long before. Allowed, since a write frees a few
  /// only, but it must stay rare.
  std::size_t evicted_beside_expired = 0;

  oracle_tally& operator+=(oracle_tally const& o) {
    hits += o.hits, misses += o.misses, expired += o.expired, evicted += o.evicted, replaced += o.replaced;
    erased += o.erased, cleared += o.cleared, refused += o.refused, computed += o.computed,
        failed += o.failed;
    expired_on_read += o.expired_on_read, read_on_the_deadline += o.read_on_the_deadline;
    capped_by_the_write += o.capped_by_the_write, outdated += o.outdated;
    evicted_beside_expired += o.evicted_beside_expired;
    return *this;
  }
};

class oracle {
 public:
  using nanoseconds = std::chrono::nanoseconds;
  using verdict = std::string;  ///< empty: all is well; else what is wrong

  oracle(oracle_rules rules, tideover::ttl_cache_options options, tideover::manual_clock clock)
      : rules_(std::move(rules)), options_(options), clock_(std::move(clock)) {}

  verdict judge_put(int key, std::int64_t value, std::optional<nanoseconds> ttl, bool stored,
                    departures const& events) {
    nanoseconds const life = ttl ? *ttl : own_life(key, value);
    bool const lives = is_live(key, now());
    bool const was_there = entries_.count(key) != 0;
    ++expected_.puts;
    take_expired(events);
    bool const dead_on_arrival = life <= nanoseconds::zero();
    bool const refused = dead_on_arrival || too_heavy(key, value);
    if (was_there && !lives && entries_.count(key) != 0)
      blame("an expired entry was overwritten with no word to the listener");
    if (refused) {
      ++expected_.refused, ++tally_.refused;
      if (lives) take_own(key, left::erased, events);
    } else {
      store(key, value, life, events);
    }
    // Stored means resident: with fifo and weights, a heavier value in the oldest place may have to go at
    // once.
    if (stored != (!refused && entries_.count(key) != 0))
      blame(stored ? "stored what must be refused" : "refused a put that fits");
    return conclude(events);
  }

  verdict judge_get(int key, std::optional<std::int64_t> got, departures const& events) {
    judge_read(key, got.has_value(), got, events);
    return conclude(events);
  }

  /// `seen`: what the visitor was given, if it was called.
  verdict judge_visit(int key, bool found, std::optional<std::int64_t> seen, departures const& events) {
    if (found != seen.has_value()) blame("visit's answer and the visitor's call disagree");
    judge_read(key, found, seen, events);
    return conclude(events);
  }

  verdict judge_peek(int key, std::optional<std::int64_t> got, departures const& events) {
    judge_look(key, got.has_value(), got);
    if (!events.empty()) blame("peek removed something");
    return conclude(events);
  }

  verdict judge_contains(int key, bool found, departures const& events) {
    judge_look(key, found, std::nullopt);
    if (!events.empty()) blame("contains removed something");
    return conclude(events);
  }

  verdict judge_erase(int key, bool erased, departures const& events) {
    bool const lives = is_live(key, now());
    bool const was_there = entries_.count(key) != 0;
    take_expired(events);
    if (erased != lives) blame(erased ? "erased what was not there" : "erase did not find a live entry");
    if (lives) take_own(key, left::erased, events);
    if (was_there && entries_.count(key) != 0) blame("erase left an expired entry resident");
    return conclude(events);
  }

  /// `start`: the time when the call began, for the computation may take time. `computed`: what the function
  /// returned, if it was called and did not throw.
  verdict judge_compute(int key, tideover::instant start, std::size_t calls,
                        std::optional<std::int64_t> computed, std::optional<std::int64_t> got,
                        departures const& events) {
    ++expected_.gets;
    bool const lives = is_live(key, start);
    bool const was_there = entries_.count(key) != 0;
    if (lives) {
      if (calls != 0) blame("computed although the entry was there");
      ++expected_.hits, ++tally_.hits;
      if (!got || *got != entries_.at(key).value) blame("get_or_compute returned a wrong value");
      take_expired(events, key);
      touch(key);
      return conclude(events);
    }
    ++expected_.misses, ++tally_.misses;
    if (calls != 1)
      blame("the function must be called once on a miss, and was called " + std::to_string(calls));
    take_expired(events);
    if (was_there && entries_.count(key) != 0) blame("an expired entry stayed resident over a computation");
    ++expected_.computations, ++tally_.computed;
    if (!computed) {
      ++expected_.computations_failed, ++tally_.failed;
      if (got) blame("a computation that threw gave a value");
    } else {
      if (!got || *got != *computed) blame("get_or_compute did not return what was computed");
      ++expected_.puts;
      nanoseconds const life = own_life(key, *computed);
      if (too_heavy(key, *computed) || life <= nanoseconds::zero()) {
        ++expected_.refused, ++tally_.refused;
      } else {
        store(key, *computed, life, events);
      }
    }
    return conclude(events);
  }

  verdict judge_clear(departures const& events) {
    take_expired(events);
    for (departure const& event : events) {
      if (event.why != left::cleared || told_as_outdated(event)) continue;
      ++expected_.cleared, ++tally_.cleared;
      remove(event);
    }
    if (!entries_.empty()) blame("clear left entries, or did not tell the listener of them");
    return conclude(events);
  }

  /// Everything that is there is out of date from now on; the cache may let go of it whenever it likes.
  verdict judge_new_generation(departures const& events) {
    ++generation_;
    if (!events.empty()) blame("new_generation removed something by itself");
    return conclude(events);
  }

  verdict judge_erase_if(std::function<bool(int, std::int64_t)> const& condition,
                         std::vector<std::pair<int, std::int64_t>> const& asked, std::size_t erased,
                         departures const& events) {
    judge_visited(asked);
    take_expired(events);
    std::size_t told = 0;
    for (departure const& event : events) {
      if (event.why != left::erased) continue;
      ++told, ++expected_.erased, ++tally_.erased;
      if (!condition(event.key, event.value)) blame("erase_if erased what did not match");
      remove(event);
    }
    if (told != erased) blame("erase_if's count is not what the listener heard");
    for (auto const& [key, held] : entries_)
      if (is_live(key, now()) && condition(key, held.value)) blame("erase_if left a match");
    return conclude(events);
  }

  verdict judge_for_each(std::vector<std::pair<int, std::int64_t>> const& seen, departures const& events) {
    judge_visited(seen);
    if (!events.empty()) blame("for_each removed something");
    return conclude(events);
  }

  verdict judge_maintain(std::size_t freed, departures const& events) {
    if (freed != events.size()) blame("maintain's count is not what the listener heard");
    take_expired(events);
    for (auto const& [key, held] : entries_)
      if (held.generation != generation_)
        blame("maintain left an entry of an older generation: key " + std::to_string(key));
      else if (is_overdue(held))
        blame("maintain left an entry that expired long ago: key " + std::to_string(key));
    return conclude(events);
  }

  verdict judge_set_capacity(std::size_t capacity, departures const& events) {
    options_.capacity = capacity;
    take_expired(events);
    // Outdated ones may be come upon, some at once, after live ones have had to go.
    freed_entries_ = outdated_now_.size();
    take_evicted(events);
    return conclude(events);
  }

  /// After any operation.
  verdict judge_totals(std::size_t size, std::size_t weight, tideover::cache_stats const& stats) {
    equal("size", size, entries_.size());
    equal("weight", weight, total_weight_);
    if (rules_.eviction != keeps::unbounded) {
      if (!rules_.weigh && size > options_.capacity) blame("over capacity: " + std::to_string(size));
      if (rules_.weigh && weight > options_.max_weight)
        blame("over the weight bound: " + std::to_string(weight));
    }
    equal("stats.resident", stats.resident, entries_.size());
    equal("stats.weight", stats.weight, total_weight_);
    equal("stats.gets", stats.gets, expected_.gets);
    equal("stats.hits", stats.hits, expected_.hits);
    equal("stats.misses", stats.misses, expected_.misses);
    equal("stats.puts", stats.puts, expected_.puts);
    equal("stats.inserted", stats.inserted, expected_.inserted);
    equal("stats.replaced", stats.replaced, expected_.replaced);
    equal("stats.refused", stats.refused, expected_.refused);
    equal("stats.expired", stats.expired, expected_.expired);
    equal("stats.evicted", stats.evicted, expected_.evicted);
    equal("stats.erased", stats.erased, expected_.erased);
    equal("stats.cleared", stats.cleared, expected_.cleared);
    equal("stats.generations", stats.generations, generation_);
    equal("stats.computations", stats.computations, expected_.computations);
    equal("stats.computations_failed", stats.computations_failed, expected_.computations_failed);
    equal("stats.coalesced", stats.coalesced, 0);
    equal("stats.discarded", stats.discarded, 0);
    equal("stats.waits_ended", stats.waits_ended, 0);
    equal("stats.recursions", stats.recursions, 0);
    equal("stats.listener_failures", stats.listener_failures, 0);
    return std::exchange(blame_, {});
  }

  /// The n-th deadline (modulo how many there are), for walks that aim at the boundary; else now.
  tideover::instant some_deadline(std::size_t n) const {
    if (entries_.empty()) return now();
    return std::next(entries_.begin(), std::ptrdiff_t(n % entries_.size()))->second.deadline;
  }

  /// The earliest deadline of all; with none, now.
  tideover::instant next_deadline() const {
    auto const earlier = [](auto const& a, auto const& b) { return a.second.deadline < b.second.deadline; };
    auto const first = std::min_element(entries_.begin(), entries_.end(), earlier);
    return first == entries_.end() ? now() : first->second.deadline;
  }

  oracle_tally const& tally() const { return tally_; }
  std::size_t capacity() const { return options_.capacity; }

 private:
  struct entry {
    std::int64_t value;
    tideover::instant deadline;
    tideover::instant last;  ///< the deadline that no use puts off, where there is one
    nanoseconds life;
    std::uint64_t turn;  ///< who is evicted next: the lowest
    std::size_t weight;
    std::uint64_t generation;
  };
  struct counts {
    std::uint64_t gets = 0, hits = 0, misses = 0, puts = 0, inserted = 0, replaced = 0, refused = 0,
                  expired = 0, evicted = 0, erased = 0, cleared = 0, computations = 0,
                  computations_failed = 0;
  };

  /// Freeing may come this late: 1.05 ms, of which nobody but maintain and the writes may take notice.
  static constexpr std::int64_t freeing_slack = std::int64_t{1} << 20;

  tideover::instant now() const { return clock_.now(); }

  bool is_live(int key, tideover::instant at) const {
    auto const found = entries_.find(key);
    return found != entries_.end() && found->second.generation == generation_ &&
           (rules_.expiry == ages::never || at < found->second.deadline);
  }
  bool is_overdue(entry const& e) const {
    return rules_.expiry != ages::never && now().ns >= freeing_slack &&
           e.deadline.ns <= now().ns - freeing_slack;
  }
  bool too_heavy(int key, std::int64_t value) const {
    return rules_.weigh && rules_.weigh(key, value) > options_.max_weight;
  }
  std::size_t weight_of(int key, std::int64_t value) const {
    return rules_.weigh ? rules_.weigh(key, value) : 1;
  }

  nanoseconds own_life(int key, std::int64_t value) const {
    return rules_.live ? rules_.live(key, value) : options_.ttl;
  }

  tideover::instant after(nanoseconds life) const {
    constexpr std::int64_t last = std::numeric_limits<std::int64_t>::max();
    bool const overflows = life.count() > 0 && now().ns > last - life.count();
    return tideover::instant{overflows ? last : now().ns + life.count()};
  }

  void judge_look(int key, bool found, std::optional<std::int64_t> got) {
    bool const lives = is_live(key, now());
    if (auto const at = entries_.find(key); at != entries_.end() && at->second.deadline.ns == now().ns)
      ++tally_.read_on_the_deadline;
    if (found != lives)
      blame(found ? "found what is expired or was never there" : "a live entry was not found");
    if (found && lives && got && *got != entries_.at(key).value) blame("a wrong value");
  }

  void judge_read(int key, bool found, std::optional<std::int64_t> got, departures const& events) {
    judge_look(key, found, got);
    bool const lives = is_live(key, now());
    bool const was_there = entries_.count(key) != 0;
    ++expected_.gets;
    ++(lives ? expected_.hits : expected_.misses);
    ++(lives ? tally_.hits : tally_.misses);
    take_expired(events);
    if (lives) touch(key);
    if (was_there && !lives) {
      ++tally_.expired_on_read;
      if (entries_.count(key) != 0) blame("reading an expired entry left it resident");
    }
  }

  void judge_visited(std::vector<std::pair<int, std::int64_t>> seen) {
    std::sort(seen.begin(), seen.end());
    std::vector<std::pair<int, std::int64_t>> live;
    for (auto const& [key, held] : entries_)
      if (is_live(key, now())) live.emplace_back(key, held.value);
    if (seen != live) blame("did not see each live entry exactly once");
  }

  void touch(int key) {
    auto const found = entries_.find(key);
    if (found == entries_.end()) return;
    if (rules_.eviction == keeps::lru) found->second.turn = next_turn_++;
    if (rules_.expiry == ages::after_access) found->second.deadline = after(found->second.life);
    if (rules_.expiry == ages::after_write_or_access) {
      found->second.deadline = std::min(found->second.last, after(options_.idle_ttl));
      if (found->second.deadline == found->second.last) ++tally_.capped_by_the_write;
    }
  }

  void store(int key, std::int64_t value, nanoseconds life, departures const& events) {
    std::optional<std::uint64_t> turn;
    std::size_t const weight = weight_of(key, value);
    if (auto const found = entries_.find(key); found != entries_.end()) {
      if (rules_.eviction != keeps::lru) turn = found->second.turn;
      take_own(key, left::replaced, events);
    } else {
      ++expected_.inserted;
    }
    tideover::instant const last = after(life);
    bool const idles = rules_.expiry == ages::after_write_or_access;
    tideover::instant const deadline = idles ? std::min(last, after(options_.idle_ttl)) : last;
    entries_.insert(
        {key, entry{value, deadline, last, life, turn ? *turn : next_turn_++, weight, generation_}});
    total_weight_ += weight;
    take_evicted(events, true);
  }

  /// Entries past their deadline may leave at any time, for no other cause, and none before.
  void take_expired(departures const& events, std::optional<int> except = {}) {
    outdated_now_.clear();
    for (departure const& event : events) {
      auto const found = entries_.find(event.key);
      bool const outdated = is_resident(event) && found->second.generation != generation_;
      if (outdated && event.why != left::cleared)
        blame("an entry of an older generation left as " + std::string(name_of(event.why)) + ": key " +
              std::to_string(event.key));
      if (outdated && event.why == left::cleared) {
        ++expected_.cleared, ++tally_.outdated;
        freed_weight_ += found->second.weight;
        outdated_now_.push_back(event);
        remove(event);
        continue;
      }
      if (event.why != left::expired) {
        if (event.why != left::cleared && is_resident(event) && !is_live(event.key, now()))
          blame("an expired entry left as " + std::string(name_of(event.why)) + ": key " +
                std::to_string(event.key));
        continue;
      }
      if (except && event.key == *except) blame("an entry that was just read left as expired");
      if (is_live(event.key, now())) blame("expired before its deadline: key " + std::to_string(event.key));
      ++expected_.expired, ++tally_.expired;
      if (is_resident(event)) freed_weight_ += entries_.find(event.key)->second.weight;
      remove(event);
    }
  }

  void take_own(int key, left why, departures const& events) {
    std::size_t told = 0;
    for (departure const& event : events) {
      if (event.key != key || event.why != why) continue;
      ++told;
      remove(event);
    }
    if (told != 1) blame("the old entry must leave once as " + std::string(name_of(why)));
    ++(why == left::replaced ? expected_.replaced : expected_.erased);
    ++(why == left::replaced ? tally_.replaced : tally_.erased);
  }

  /// Judges who left for room: only while there was too much, and always the next in turn. In which order the
  /// listener hears of them is left open.
  void take_evicted(departures const& events, bool is_put = false) {
    departures victims;
    for (departure const& event : events)
      if (event.why == left::evicted) victims.push_back(event);
    auto const turn_of = [&](departure const& event) {
      auto const found = entries_.find(event.key);
      return found == entries_.end() ? 0 : found->second.turn;
    };
    std::sort(victims.begin(), victims.end(),
              [&](departure const& a, departure const& b) { return turn_of(a) < turn_of(b); });
    if (is_put && victims.size() > 1 && !rules_.weigh) blame("one put evicted several");
    for (departure const& victim : victims) {
      ++expected_.evicted, ++tally_.evicted;
      if (rules_.eviction == keeps::unbounded) blame("unbounded evicted something");
      if (rules_.one_shard) judge_victim(victim);
      // Who went first is not known then, so neither is whether the last of them still had to.
      if (rules_.eviction == keeps::some && rules_.weigh && is_resident(victim))
        freed_weight_ += entries_.find(victim.key)->second.weight;
      remove(victim);
    }
  }

  void judge_victim(departure const& victim) {
    // With weights an expired entry may be come upon among the victims only, after live ones have had to go.
    bool const too_much = rules_.weigh ? total_weight_ + freed_weight_ > options_.max_weight
                                       : entries_.size() + freed_entries_ > options_.capacity;
    if (!too_much) blame("evicted although there was room: key " + std::to_string(victim.key));
    auto const found = entries_.find(victim.key);
    bool overdue = false;
    for (auto const& [key, held] : entries_) {
      if (rules_.eviction != keeps::some && found != entries_.end() && held.turn < found->second.turn)
        return blame("evicted key " + std::to_string(victim.key) + " before key " + std::to_string(key));
      overdue = overdue || is_overdue(held);
    }
    if (overdue) ++tally_.evicted_beside_expired;
  }

  bool told_as_outdated(departure const& event) const {
    return std::any_of(outdated_now_.begin(), outdated_now_.end(),
                       [&](departure const& o) { return o.key == event.key && o.value == event.value; });
  }
  bool is_resident(departure const& event) const {
    auto const found = entries_.find(event.key);
    return found != entries_.end() && found->second.value == event.value;
  }

  void remove(departure const& event) {
    if (!is_resident(event))
      return blame("told of a removal of what was not there: key " + std::to_string(event.key) + " as " +
                   name_of(event.why));
    auto const found = entries_.find(event.key);
    total_weight_ -= found->second.weight;
    entries_.erase(found);
    ++settled_;
  }

  void blame(std::string what) {
    if (blame_.empty()) blame_ = std::move(what);  // the first is the cause, the rest follow from it
  }
  void equal(char const* what, std::uint64_t is, std::uint64_t should_be) {
    if (is != should_be)
      blame(std::string(what) + " is " + std::to_string(is) + ", must be " + std::to_string(should_be));
  }

  /// Every event must have been accounted for by the judgement of the operation.
  verdict conclude(departures const& events) {
    if (settled_ != events.size()) blame("the listener heard of a removal that this operation does not make");
    settled_ = 0;
    freed_weight_ = 0;
    freed_entries_ = 0;
    return std::exchange(blame_, {});
  }

  oracle_rules rules_;
  tideover::ttl_cache_options options_;
  tideover::manual_clock clock_;
  std::map<int, entry> entries_;
  std::size_t total_weight_ = 0;
  std::uint64_t next_turn_ = 1;
  std::size_t settled_ = 0;
  std::uint64_t generation_ = 0;
  departures outdated_now_;
  std::size_t freed_weight_ = 0;
  std::size_t freed_entries_ = 0;
  counts expected_;
  oracle_tally tally_;
  std::string blame_;
};

}  // namespace tideover_test
