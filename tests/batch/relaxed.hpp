// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "batch/common.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <optional>

/// What the tests of `relaxed_bounds` share.
namespace tideover_test {

template <class... Policies>
using relaxed = by_hand<tideover::relaxed_bounds, Policies...>;

/// A thread that does what it is told, one thing after the other, and has batches of its own: it lives as
/// long as the test, beside the others.
class another_thread {
 public:
  /// Returns when `f` has.
  template <class F>
  void operator()(F f) {
    std::unique_lock lock(mutex_);
    next_ = [&f] { f(); };
    changed_.notify_all();
    changed_.wait(lock, [this] { return !next_; });
  }
  another_thread() = default;
  another_thread(another_thread const&) = delete;
  another_thread& operator=(another_thread const&) = delete;
  ~another_thread() {
    {
      std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return over_ || next_; });
      if (!next_) return;
      next_();
      next_ = nullptr;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> next_;
  bool over_ = false;
  std::thread thread_{[this] { serve(); }};
};

}  // namespace tideover_test
