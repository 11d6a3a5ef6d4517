// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "cache/oracle.hpp"
#include "cache/walk.hpp"

#include <tideover/policy/clock.hpp>
#include <tideover/ttl_cache_options.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <utility>

/// A cache as one would write it in an afternoon, with a switch for each mistake that one would make. It is
/// what the oracle is tried on; nothing else uses it.
namespace tideover_test {

enum class mistake {
  none,
  alive_on_the_deadline,
  expires_early,
  access_revives,
  own_ttl_ignored,
  access_uses_default_ttl,
  evicts_the_newest,
  peek_counts_as_use,
  replacing_keeps_the_turn,
  one_too_many,
  evicts_before_need,
  replacement_not_told,
  eviction_told_twice,
  expired_told_as_evicted,
  hits_off_by_one,
  weight_of_the_old_kept,
  refused_put_leaves_the_old,
  failed_computation_stored,
  maintain_frees_nothing,
  erase_finds_the_expired,
  stale_value_returned,
  use_outlives_the_write,
  idle_time_ignored,
  own_function_ignored,
  own_function_beats_the_put,
  generations_ignored,
  outdated_told_as_expired,
};

class toy_cache final : public walked {
 public:
  toy_cache(mistake wrong, oracle_rules rules, tideover::ttl_cache_options options,
            tideover::manual_clock clock)
      : wrong_(wrong), rules_(std::move(rules)), options_(options), clock_(std::move(clock)) {}

  bool put(int key, std::int64_t value, std::optional<nanoseconds> ttl) override {
    ++stats_.puts;
    nanoseconds const given =
        rules_.live && !is(mistake::own_function_ignored) ? rules_.live(key, value) : options_.ttl;
    bool const deaf =
        (is(mistake::own_ttl_ignored) || is(mistake::own_function_beats_the_put)) && ttl && ttl->count() > 0;
    nanoseconds const life = deaf ? given : ttl.value_or(given);
    std::size_t const weight = weigh(key, value);
    auto const old = find(key);
    bool const replaces = old != entries_.end() && lives(*old);
    if (old != entries_.end() && !replaces) remove(old, death_of(*old));
    if (life.count() <= 0 || (rules_.weigh && weight > options_.max_weight)) {
      ++stats_.refused;
      if (replaces && !is(mistake::refused_put_leaves_the_old)) remove(old, left::erased);
      return false;
    }
    store(key, value, life, weight, replaces ? old : entries_.end());
    return true;
  }

  std::optional<std::int64_t> get(int key) override {
    ++stats_.gets;
    auto const found = find(key);
    if (found == entries_.end() || !lives(*found)) {
      if (found != entries_.end() && !revives(*found)) remove(found, death_of(*found));
      ++stats_.misses;
      return std::nullopt;
    }
    stats_.hits += is(mistake::hits_off_by_one) && key == 1 ? 2u : 1u;
    touch(found);
    return is(mistake::stale_value_returned) ? found->first_value : found->value;
  }

  std::optional<std::int64_t> peek(int key) override {
    auto const found = find(key);
    if (found == entries_.end() || !lives(*found)) return std::nullopt;
    if (is(mistake::peek_counts_as_use)) touch(found);
    return found->value;
  }
  bool contains(int key) override {
    auto const found = find(key);
    return found != entries_.end() && lives(*found);
  }
  bool visit(int key, std::function<void(std::int64_t const&)> const& f) override {
    auto const value = get(key);
    if (value) f(*value);
    return value.has_value();
  }

  bool erase(int key) override {
    auto const found = find(key);
    if (found == entries_.end()) return false;
    bool const live = lives(*found) || is(mistake::erase_finds_the_expired);
    remove(found, live ? left::erased : death_of(*found));
    return live;
  }

  std::int64_t get_or_compute(int key, std::function<std::int64_t()> const& f) override {
    if (auto const hit = get(key)) return *hit;
    ++stats_.computations;
    std::int64_t value = 0;
    try {
      value = f();
    } catch (...) {
      ++stats_.computations_failed;
      if (is(mistake::failed_computation_stored)) put(key, 0, std::nullopt);
      throw;
    }
    put(key, value, std::nullopt);
    return value;
  }

  void clear() override {
    while (!entries_.empty())
      remove(entries_.begin(), lives(entries_.front()) ? left::cleared : death_of(entries_.front()));
  }
  void new_generation() override {
    ++stats_.generations;
    if (!is(mistake::generations_ignored)) ++generation_;
  }
  std::size_t erase_if(std::function<bool(int const&, std::int64_t const&)> const& f) override {
    std::size_t erased = 0;
    for (auto e = entries_.begin(); e != entries_.end();) {
      auto const at = e++;
      if (lives(*at) && f(at->key, at->value)) remove(at, left::erased), ++erased;
    }
    return erased;
  }
  void for_each(std::function<void(int const&, std::int64_t const&)> const& f) override {
    for (entry const& e : entries_)
      if (lives(e)) f(e.key, e.value);
  }
  std::size_t maintain() override { return is(mistake::maintain_frees_nothing) ? 0 : free_expired(); }
  void set_capacity(std::size_t n) override {
    options_.capacity = n;
    make_room(0, 0);
  }

  std::size_t size() override { return entries_.size(); }
  std::size_t weight() override { return weight_; }
  tideover::cache_stats stats() override {
    tideover::cache_stats now = stats_;
    now.resident = entries_.size();
    now.weight = weight_;
    return now;
  }
  departures drain() override { return std::exchange(told_, {}); }

 private:
  struct entry {
    int key;
    std::int64_t value, first_value;
    tideover::instant deadline, last;
    nanoseconds life;
    std::size_t weight;
    std::uint64_t generation;
  };
  using place = std::list<entry>::iterator;  // front: who is evicted next

  bool is(mistake m) const { return wrong_ == m; }
  std::size_t weigh(int key, std::int64_t value) const { return rules_.weigh ? rules_.weigh(key, value) : 1; }

  place find(int key) {
    return std::find_if(entries_.begin(), entries_.end(), [&](entry const& e) { return e.key == key; });
  }
  left death_of(entry const& e) const {
    bool const outdated = e.generation != generation_ && !is(mistake::outdated_told_as_expired);
    return outdated ? left::cleared : left::expired;
  }
  bool lives(entry const& e) const {
    if (e.generation != generation_) return false;
    if (rules_.expiry == ages::never) return true;
    if (is(mistake::alive_on_the_deadline)) return clock_.now() <= e.deadline;
    if (is(mistake::expires_early)) return clock_.now() + nanoseconds(1) < e.deadline;
    return clock_.now() < e.deadline;
  }
  bool revives(entry& e) const {
    if (!is(mistake::access_revives)) return false;
    e.deadline = clock_.now() + e.life;
    return true;
  }
  void touch(place e) {
    nanoseconds const life = is(mistake::access_uses_default_ttl) ? options_.ttl : e->life;
    if (rules_.expiry == ages::after_access) e->deadline = clock_.now() + life;
    if (rules_.expiry == ages::after_write_or_access) {
      e->deadline = clock_.now() + options_.idle_ttl;
      if (!is(mistake::use_outlives_the_write)) e->deadline = std::min(e->deadline, e->last);
    }
    if (rules_.eviction == keeps::lru) entries_.splice(entries_.end(), entries_, e);
  }

  void store(int key, std::int64_t value, nanoseconds life, std::size_t weight, place old) {
    bool const replaces = old != entries_.end();
    tideover::instant const last = clock_.now() + life;
    entry fresh{key, value, value, last, last, life, weight, generation_};
    if (rules_.expiry == ages::after_write_or_access && !is(mistake::idle_time_ignored))
      fresh.deadline = std::min(last, clock_.now() + options_.idle_ttl);
    if (replaces) {
      fresh.first_value = old->first_value;
      bool const stays = rules_.eviction == keeps::fifo || is(mistake::replacing_keeps_the_turn);
      ++stats_.replaced;
      if (!is(mistake::replacement_not_told)) told_.push_back({key, old->value, left::replaced});
      if (!is(mistake::weight_of_the_old_kept)) weight_ -= old->weight;
      weight_ += weight;
      *old = fresh;
      if (!stays) entries_.splice(entries_.end(), entries_, old);
      make_room(0, 0, key);
      return;
    }
    ++stats_.inserted;
    make_room(1, weight);
    entries_.push_back(fresh);
    weight_ += weight;
  }

  void make_room(std::size_t count, std::size_t weight, std::optional<int> except = {}) {
    free_expired();
    std::size_t const slack = is(mistake::one_too_many) ? 1 : 0;
    std::size_t const haste = is(mistake::evicts_before_need) && options_.capacity > 2 ? 1 : 0;
    auto const full = [&] {
      return rules_.weigh ? weight_ + weight > options_.max_weight
                          : entries_.size() + count + haste > options_.capacity + slack;
    };
    while (rules_.eviction != keeps::unbounded && !entries_.empty() && full()) {
      auto victim = is(mistake::evicts_the_newest) ? std::prev(entries_.end()) : entries_.begin();
      if (except && victim->key == *except) ++victim;
      if (victim == entries_.end()) return;
      if (is(mistake::eviction_told_twice)) told_.push_back({victim->key, victim->value, left::evicted});
      remove(victim, left::evicted);
    }
  }

  std::size_t free_expired() {
    std::size_t freed = 0;
    for (auto e = entries_.begin(); e != entries_.end();) {
      auto const at = e++;
      if (!lives(*at)) remove(at, death_of(*at)), ++freed;
    }
    return freed;
  }

  void remove(place e, left why) {
    if (why == left::expired && is(mistake::expired_told_as_evicted)) why = left::evicted;
    told_.push_back({e->key, e->value, why});
    if (why == left::expired) ++stats_.expired;
    if (why == left::evicted) ++stats_.evicted;
    if (why == left::erased) ++stats_.erased;
    if (why == left::cleared) ++stats_.cleared;
    weight_ -= e->weight;
    entries_.erase(e);
  }

  mistake wrong_;
  oracle_rules rules_;
  tideover::ttl_cache_options options_;
  tideover::manual_clock clock_;
  std::list<entry> entries_;
  std::size_t weight_ = 0;
  std::uint64_t generation_ = 0;
  tideover::cache_stats stats_;
  departures told_;
};

}  // namespace tideover_test
