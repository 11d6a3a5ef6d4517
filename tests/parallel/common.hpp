// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/watchdog.hpp"

#include <tideover/parallel.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using tideover::errc;
using tideover::error_handling;
using tideover::hand_driven;
using tideover::inline_run;
using tideover::instant;
using tideover::manual_clock;
using tideover::owned_threads;
using tideover::parallel_options;
using tideover::parallel_report;
using tideover_test::gate;
using tideover_test::watchdog;

inline std::vector<int> numbers(int n) {
  std::vector<int> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

inline auto same = [](auto values) { return values; };

/// Sleeps for `d` of a manual clock's time.
inline void sleep_for(manual_clock const& clock, std::chrono::nanoseconds d) {
  std::mutex mutex;
  std::condition_variable cv;
  std::unique_lock lock(mutex);
  instant const until = clock.now() + d;
  while (clock.now() < until) clock.wait_until(cv, lock, until);
}

/// How many are inside at once, and the most that ever were.
class crowd {
 public:
  class visit {
   public:
    explicit visit(crowd& c) : crowd_(c) {
      int const now = ++crowd_.now_;
      int most = crowd_.most_;
      while (now > most && !crowd_.most_.compare_exchange_weak(most, now)) {
      }
    }
    visit(visit const&) = delete;
    visit& operator=(visit const&) = delete;
    ~visit() { --crowd_.now_; }

   private:
    crowd& crowd_;
  };
  int now() const { return now_; }
  int most() const { return most_; }

 private:
  std::atomic<int> now_{0};
  std::atomic<int> most_{0};
};
