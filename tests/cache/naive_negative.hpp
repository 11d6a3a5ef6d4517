// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/clock.hpp>
#include <tideover/ttl_cache_options.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

/// The judge of negative results: what a cache that never runs out of room must answer, written from the
/// contract with a map. A listener does not hear of negative results, so unlike the oracle of values this one
/// says itself what must happen.
namespace tideover_test {

class naive_negative {
 public:
  using nanoseconds = std::chrono::nanoseconds;
  using maybe = std::optional<std::int64_t>;

  naive_negative(tideover::ttl_cache_options options, bool renewed_by_use, tideover::manual_clock clock)
      : options_(options), renewed_by_use_(renewed_by_use), clock_(clock) {}

  void put(int key, std::int64_t value, std::optional<nanoseconds> ttl) {
    nanoseconds const life = ttl.value_or(options_.ttl);
    if (life <= nanoseconds::zero()) {
      entries_.erase(key);
    } else {
      entries_[key] = {value, clock_.now() + life, life};
    }
  }
  bool erase(int key) {
    bool const had_value = peek(key).has_value();
    entries_.erase(key);
    return had_value;
  }
  void clear() { entries_.clear(); }
  maybe peek(int key) const {
    auto const at = entries_.find(key);
    return at != entries_.end() && lives(at->second) ? at->second.value : std::nullopt;
  }
  maybe get(int key) {
    auto const at = entries_.find(key);
    if (at == entries_.end() || !lives(at->second)) return ++misses, std::nullopt;
    ++hits;
    use(at->second);
    return at->second.value;
  }

  /// Whether the function must be called: one that may find nothing if nothing is known, one that always has
  /// a value if no value is.
  bool must_compute(int key, bool may_find_nothing) const {
    auto const at = entries_.find(key);
    return at == entries_.end() || !lives(at->second) || (!may_find_nothing && !at->second.value);
  }
  /// The answer without calling it.
  maybe known(int key) {
    ++hits;
    use(entries_.at(key));
    return entries_.at(key).value;
  }
  /// It was called, and gave this.
  void computed(int key, maybe value) {
    ++misses;
    nanoseconds const life = value ? options_.ttl : options_.negative_ttl;
    if (life > nanoseconds::zero()) entries_[key] = {value, clock_.now() + life, life};
  }
  void failed() { ++misses; }

  /// How many entries live, or died less than `slack` ago.
  std::size_t resident(std::chrono::nanoseconds slack) const {
    std::size_t n = 0;
    for (auto const& [key, held] : entries_) n += clock_.now() < held.deadline + slack;
    return n;
  }
  tideover::instant some_deadline(std::size_t n) const {
    if (entries_.empty()) return clock_.now();
    return std::next(entries_.begin(), std::ptrdiff_t(n % entries_.size()))->second.deadline;
  }

  std::uint64_t hits = 0, misses = 0, negative_hits = 0;

 private:
  struct entry {
    maybe value;
    tideover::instant deadline;
    nanoseconds life;
  };
  bool lives(entry const& e) const { return clock_.now() < e.deadline; }
  void use(entry& e) {
    if (!e.value) ++negative_hits;
    if (e.value && renewed_by_use_) e.deadline = clock_.now() + e.life;
  }

  tideover::ttl_cache_options options_;
  bool renewed_by_use_;
  tideover::manual_clock clock_;
  std::map<int, entry> entries_;
};

}  // namespace tideover_test
