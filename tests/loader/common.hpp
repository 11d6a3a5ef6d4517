// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/watchdog.hpp"

#include <tideover/data_loader.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <future>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using tideover::deadline;
using tideover::errc;
using tideover::manual_clock;
using tideover_test::await;
using tideover_test::gate;
using tideover_test::watchdog;

using keys_of = std::span<int const>;
template <class... P>
using int_loader = tideover::data_loader<int, int, manual_clock, P...>;

/// Answers with ten times each key, and remembers what it was asked. Copies share what they remember.
class backend {
 public:
  std::vector<int> operator()(keys_of keys) const {
    {
      std::lock_guard lock(shared_->mutex);
      shared_->calls.emplace_back(keys.begin(), keys.end());
    }
    if (shared_->before) shared_->before(keys);
    std::vector<int> all;
    for (int k : keys) all.push_back(10 * k + shared_->version);
    return all;
  }
  std::vector<std::vector<int>> calls() const {
    std::lock_guard lock(shared_->mutex);
    return shared_->calls;
  }
  void before(std::function<void(keys_of)> f) const { shared_->before = std::move(f); }
  void version(int v) const { shared_->version = v; }

 private:
  struct state {
    std::mutex mutex;
    std::vector<std::vector<int>> calls;
    std::function<void(keys_of)> before;
    std::atomic<int> version{0};
  };
  std::shared_ptr<state> shared_ = std::make_shared<state>();
};

using calls = std::vector<std::vector<int>>;

template <class F>
auto on_thread(F f) {
  return std::async(std::launch::async, std::move(f));
}
