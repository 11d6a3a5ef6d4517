// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

namespace bench {

/// The cache that people write by hand: a mutex, a std::list in order of use, a std::unordered_map into it.
/// Written as well as that design allows: buckets reserved, the clock read outside the lock, a full cache
/// reuses the node of its victim in both containers, so that it allocates nothing. Misses of one key are not
/// coalesced. `Now` returns nanoseconds; the default is steady_clock.
struct steady_now {
  std::chrono::nanoseconds operator()() const { return std::chrono::steady_clock::now().time_since_epoch(); }
};

template <class Key, class Value, class Now = steady_now, class Hash = std::hash<Key>>
class list_map_lru {
 public:
  list_map_lru(std::size_t capacity, std::chrono::nanoseconds ttl, Now now = {})
      : capacity_(capacity), ttl_(ttl), now_(std::move(now)) {
    index_.reserve(capacity);
  }

  std::optional<Value> get(Key const& key) {
    auto const now = now_();
    std::lock_guard const lock(mutex_);
    auto const at = index_.find(key);
    if (at == index_.end()) return std::nullopt;
    if (now >= at->second->deadline) {
      order_.erase(at->second);
      index_.erase(at);
      return std::nullopt;
    }
    order_.splice(order_.begin(), order_, at->second);
    return at->second->value;
  }

  void put(Key const& key, Value value) {
    auto const deadline = now_() + ttl_;
    std::lock_guard const lock(mutex_);
    if (auto const at = index_.find(key); at != index_.end()) {
      order_.splice(order_.begin(), order_, at->second);
      at->second->value = std::move(value);
      at->second->deadline = deadline;
    } else if (index_.size() < capacity_) {
      order_.push_front({key, std::move(value), deadline});
      index_.emplace(key, order_.begin());
    } else {
      auto const victim = std::prev(order_.end());
      auto node = index_.extract(victim->key);
      *victim = {key, std::move(value), deadline};
      order_.splice(order_.begin(), order_, victim);
      node.key() = key;
      index_.insert(std::move(node));
    }
  }

  template <class F>
  Value get_or_compute(Key const& key, F&& compute) {
    if (auto hit = get(key)) return *std::move(hit);
    Value value = compute(key);
    put(key, value);
    return value;
  }

  bool erase(Key const& key) {
    std::lock_guard const lock(mutex_);
    auto const at = index_.find(key);
    if (at == index_.end()) return false;
    order_.erase(at->second);
    index_.erase(at);
    return true;
  }

  std::size_t size() const {
    std::lock_guard const lock(mutex_);
    return index_.size();
  }

 private:
  struct entry {
    Key key;
    Value value;
    std::chrono::nanoseconds deadline;
  };

  std::size_t capacity_;
  std::chrono::nanoseconds ttl_;
  Now now_;
  mutable std::mutex mutex_;
  std::list<entry> order_;
  std::unordered_map<Key, typename std::list<entry>::iterator, Hash> index_;
};

}  // namespace bench
