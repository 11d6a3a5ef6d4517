// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/catch.hpp"

#include <tideover/circuit_breaker.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

/// What the tests of the breaker share.
namespace tideover_test {

using namespace std::chrono_literals;
using tideover::breaker_cause;
using tideover::breaker_event;
using tideover::breaker_options;
using tideover::breaker_state;
using tideover::breaker_stats;
using tideover::call_outcome;
using tideover::circuit_breaker;
using tideover::errc;
using tideover::instant;
using tideover::manual_clock;

/// A clock that a test may set to any time, an earlier one, too. Copies share it.
class wayward_clock {
 public:
  using policy_axis = tideover::axis::clock;

  wayward_clock() : at_(std::make_shared<instant>(instant::at(1h))) {}
  instant now() const noexcept { return *at_; }
  instant precise_now() const noexcept { return *at_; }
  template <class ConditionVariable, class Lock>
  void wait_until(ConditionVariable& cv, Lock& lock, instant) const {
    cv.wait(lock);
  }
  void move(std::chrono::nanoseconds d) const noexcept { *at_ = *at_ + d; }

 private:
  std::shared_ptr<instant> at_;
};

/// A clock that counts how often it is read.
class counted_clock {
 public:
  using policy_axis = tideover::axis::clock;

  counted_clock() : reads_(std::make_shared<std::size_t>(0)) {}
  instant now() const noexcept { return ++*reads_, clock_.now(); }
  instant precise_now() const noexcept { return ++*reads_, clock_.now(); }
  template <class ConditionVariable, class Lock>
  void wait_until(ConditionVariable& cv, Lock& lock, instant t) const {
    clock_.wait_until(cv, lock, t);
  }
  std::size_t reads() const { return *reads_; }
  void advance(std::chrono::nanoseconds d) const { clock_.advance(d); }

 private:
  manual_clock clock_;
  std::shared_ptr<std::size_t> reads_;
};

/// Writes down what it hears; copies share one list.
class breaker_log {
 public:
  using policy_axis = tideover::axis::listener;

  breaker_log() : events_(std::make_shared<std::vector<breaker_event>>()) {}
  void on_event(breaker_event const& e) { events_->push_back(e); }
  std::vector<breaker_event> const& events() const { return *events_; }
  std::vector<breaker_event> take() { return std::exchange(*events_, {}); }

 private:
  std::shared_ptr<std::vector<breaker_event>> events_;
};

struct backend_down : std::exception {};

template <class Breaker>
void fail_times(Breaker& b, int n) {
  for (int i = 0; i < n; ++i) {
    auto p = b.try_acquire();
    REQUIRE(p);
    p->fail();
  }
}
template <class Breaker>
void succeed_times(Breaker& b, int n) {
  for (int i = 0; i < n; ++i) {
    auto p = b.try_acquire();
    REQUIRE(p);
    p->succeed();
  }
}
/// What is left of a call when only its ends matter.
template <class Breaker>
bool admits(Breaker& b) {
  auto p = b.try_acquire();
  return p.has_value();  // and it dies unreported
}

}  // namespace tideover_test

using namespace tideover_test;
