// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/catch.hpp"
#include "support/watchdog.hpp"

#include <tideover/connection_pool.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

/// What the tests of the pool share: a back-end that counts, and does what the test says.
namespace tideover_test {

using namespace std::chrono_literals;
using tideover::connection_pool;
using tideover::deadline;
using tideover::errc;
using tideover::instant;
using tideover::lease;
using tideover::manual_clock;
using tideover::pool_close_reason;
using tideover::pool_event;
using tideover::pool_event_kind;
using tideover::pool_options;
using tideover::pool_stats;

struct back_end {
  std::atomic<int> made{0}, alive{0}, most{0}, checks{0}, resets{0}, goodbyes{0}, attempts{0};
  std::function<void(deadline const&)> on_connect = [](deadline const&) {};
  std::function<bool(int, deadline const&)> on_check = [](int, deadline const&) { return true; };
  std::function<bool(int)> on_reset = [](int) { return true; };
  std::function<void(int)> on_destroy = [](int) {};
};

/// Neither copies nor moves.
struct fake {
  explicit fake(std::shared_ptr<back_end> b) : home(std::move(b)), id(++home->made) {
    int const n = ++home->alive;
    if (n > home->most) home->most = n;
  }
  fake(fake const&) = delete;
  fake& operator=(fake const&) = delete;
  ~fake() { --home->alive; }
  std::shared_ptr<back_end> home;
  int id;
  int uses = 0;
};

struct fake_factory {
  using connection = fake;
  std::shared_ptr<back_end> home;
  fake connect(deadline const& d) {
    ++home->attempts;
    home->on_connect(d);
    return fake(home);
  }
  bool healthy(fake& f, deadline const& d) {
    ++home->checks;
    return home->on_check(f.id, d);
  }
  bool reset(fake& f) {
    ++home->resets;
    return home->on_reset(f.id);
  }
  void destroy(fake& f) {
    ++home->goodbyes;
    home->on_destroy(f.id);
  }
};

/// Writes down what it hears; copies share one list.
class pool_log {
 public:
  using policy_axis = tideover::axis::listener;
  pool_log() : shared_(std::make_shared<shared>()) {}
  void on_event(pool_event const& e) {
    {
      std::lock_guard lock(shared_->mutex);
      shared_->events.push_back(e);
    }
    if (shared_->then) shared_->then(e);
  }
  std::vector<pool_event> take(pool_event_kind kind) const {
    std::lock_guard lock(shared_->mutex);
    std::vector<pool_event> some;
    for (auto const& e : shared_->events) {
      if (e.kind == kind) some.push_back(e);
    }
    return some;
  }
  std::size_t closed_for(pool_close_reason r) const {
    std::size_t n = 0;
    for (auto const& e : take(pool_event_kind::closed)) n += e.reason == r ? 1 : 0;
    return n;
  }
  void then(std::function<void(pool_event const&)> f) const { shared_->then = std::move(f); }

 private:
  struct shared {
    std::mutex mutex;
    std::vector<pool_event> events;
    std::function<void(pool_event const&)> then;
  };
  std::shared_ptr<shared> shared_;
};

struct server_down : std::runtime_error {
  server_down() : std::runtime_error("the server is down") {}
};

/// Time and work are the test's: nothing happens by itself.
template <class... P>
using hand_pool = connection_pool<fake_factory, tideover::hand_driven, manual_clock, pool_log, P...>;

template <class... P>
struct by_hand {
  explicit by_hand(pool_options const& o) : pool(fake_factory{home}, o, clock, log) {}
  template <class... More>
  by_hand(pool_options const& o, More&&... more) : pool(fake_factory{home}, o, clock, log, more...) {}

  std::shared_ptr<back_end> home = std::make_shared<back_end>();
  manual_clock clock;
  pool_log log;
  hand_pool<P...> pool;
};

/// A thread that acquires, says how that ended, and keeps the lease until it is let go.
template <class Pool>
class borrower {
 public:
  using lease_type = typename Pool::lease_type;
  borrower(Pool& pool, std::chrono::nanoseconds patience, std::stop_token stop = {})
      : borrower(pool, deadline::after(pool.clock(), patience, std::move(stop))) {}
  borrower(Pool& pool, deadline until)
      : thread_([this, &pool, until] {
          auto got = pool.try_acquire_until(until);
          if (got) {
            held = std::move(*got);
          } else {
            why = got.error();
          }
          done = true;
        }) {}
  ~borrower() { join(); }
  void join() {
    if (thread_.joinable()) thread_.join();
  }
  lease_type held;
  tideover::failure why;
  std::atomic<bool> done{false};

 private:
  std::thread thread_;
};

template <class Pool>
void await_waiting(Pool& pool, std::size_t n) {
  await([&] { return pool.stats().waiting == n; });
}
/// P27.
inline void check_sums(pool_stats const& s) {
  CHECK(s.started == s.granted + s.timed_out + s.cancelled + s.closed + s.rejected + s.errored + s.waiting);
  CHECK(s.created - s.destroyed == s.idle + s.leased + s.checking + s.closing);
}

}  // namespace tideover_test

using namespace tideover_test;
