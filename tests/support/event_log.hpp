// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/listener.hpp>
#include <tideover/policy/policy.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace tideover_test {

/// A listener that writes down what it hears. Copies share one log, so a test keeps one and gives the cache
/// another.
template <class Key, class Value>
class event_log {
 public:
  using policy_axis = tideover::axis::listener;

  struct event {
    Key key;
    Value value;
    tideover::removal_cause cause;
    friend bool operator==(event const&, event const&) = default;
  };

  event_log() : shared_(std::make_shared<shared>()) {}

  void on_removal(Key const& key, Value const& value, tideover::removal_cause cause) {
    std::lock_guard lock(shared_->mutex);
    shared_->events.push_back(event{key, value, cause});
  }

  /// What was heard since the last `take()`.
  std::vector<event> take() {
    std::lock_guard lock(shared_->mutex);
    return std::exchange(shared_->events, {});
  }
  std::size_t count(tideover::removal_cause cause) const {
    std::lock_guard lock(shared_->mutex);
    auto const is = [&](event const& e) { return e.cause == cause; };
    return static_cast<std::size_t>(std::count_if(shared_->events.begin(), shared_->events.end(), is));
  }
  std::size_t count() const {
    std::lock_guard lock(shared_->mutex);
    return shared_->events.size();
  }

 private:
  struct shared {
    std::mutex mutex;
    std::vector<event> events;
  };
  std::shared_ptr<shared> shared_;
};

}  // namespace tideover_test
