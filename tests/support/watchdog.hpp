// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace tideover_test {

/// Turns a deadlock into a failure that names itself: when the scope is not left in time the program ends.
/// The time is far beyond what any test needs, also under a sanitizer on a busy machine.
class watchdog {
 public:
  explicit watchdog(char const* what, std::chrono::seconds limit = std::chrono::seconds(120))
      : thread_([this, what, limit] { watch(what, limit); }) {}
  ~watchdog() {
    {
      std::lock_guard lock(mutex_);
      done_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  watchdog(watchdog const&) = delete;
  watchdog& operator=(watchdog const&) = delete;

 private:
  void watch(char const* what, std::chrono::seconds limit) {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, limit, [this] { return done_; })) return;
    std::fprintf(stderr, "watchdog: stuck: %s\n", what);
    std::fflush(nullptr);
    std::abort();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::thread thread_;
};

/// Waits, without sleeping, until `condition()` holds; a `watchdog` of the caller bounds it.
template <class Condition>
void await(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

}  // namespace tideover_test
