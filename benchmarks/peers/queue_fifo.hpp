// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <unordered_map>

namespace bench {

/// First in, first out, in the fewest lines: what the hit ratio of a fifo is checked against where there is
/// no reference. No time, no threads.
template <class Key, class Value>
class queue_fifo {
 public:
  explicit queue_fifo(std::size_t capacity) : capacity_(capacity) {}

  std::optional<Value> get(Key const& key) const {
    auto const at = resident_.find(key);
    return at == resident_.end() ? std::nullopt : std::optional(at->second);
  }

  void put(Key const& key, Value value) {
    if (!resident_.insert_or_assign(key, value).second) return;
    arrived_.push_back(key);
    if (arrived_.size() <= capacity_) return;
    resident_.erase(arrived_.front());
    arrived_.pop_front();
  }

 private:
  std::size_t capacity_;
  std::deque<Key> arrived_;
  std::unordered_map<Key, Value> resident_;
};

}  // namespace bench
