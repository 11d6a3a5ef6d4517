// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/catch.hpp"
#include "support/watchdog.hpp"

#include <tideover/keyed_pool.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/executor.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

/// What the tests of the keyed pool share: hosts that count their connections, the most ever of each and of
/// all.
namespace tideover_test {

using namespace std::chrono_literals;
using tideover::deadline;
using tideover::errc;
using tideover::instant;
using tideover::keyed_pool;
using tideover::keyed_pool_options;
using tideover::keyed_pool_stats;
using tideover::lease;
using tideover::manual_clock;
using tideover::pool_close_reason;
using tideover::pool_event;
using tideover::pool_event_kind;
using tideover::pool_options;
using tideover::pool_stats;

struct hosts {
  void opened(std::string const& key) {
    std::lock_guard lock(mutex);
    most[key] = std::max(most[key], ++open[key]);
    most_of_all = std::max(most_of_all, ++all);
    ++made;
  }
  void closed(std::string const& key) {
    std::lock_guard lock(mutex);
    --open[key];
    --all;
  }
  int open_at(std::string const& key) {
    std::lock_guard lock(mutex);
    return open[key];
  }

  std::mutex mutex;
  std::map<std::string, int> open, most;
  int all = 0, most_of_all = 0, made = 0;
  std::function<void(std::string const&, deadline const&)> on_connect = [](std::string const&,
                                                                           deadline const&) {};
  std::function<bool(std::string const&)> on_check = [](std::string const&) { return true; };
  std::function<void(std::string const&)> on_reset = [](std::string const&) {};
  std::function<void(std::string const&)> on_destroy = [](std::string const&) {};
};

/// Neither copies nor moves.
struct wire {
  wire(std::shared_ptr<hosts> h, std::string k) : home(std::move(h)), key(std::move(k)) { home->opened(key); }
  wire(wire const&) = delete;
  wire& operator=(wire const&) = delete;
  ~wire() { home->closed(key); }
  std::shared_ptr<hosts> home;
  std::string key;
};

struct wire_factory {
  using connection = wire;
  std::shared_ptr<hosts> home;
  wire connect(std::string const& key, deadline const& until) {
    home->on_connect(key, until);
    return wire(home, key);
  }
  bool healthy(wire& l, deadline const&) { return home->on_check(l.key); }
  void reset(wire& l) { home->on_reset(l.key); }
  void destroy(wire& l) { home->on_destroy(l.key); }
};

/// Tells of what it hears; copies share one count.
class closings {
 public:
  using policy_axis = tideover::axis::listener;
  closings() : shared_(std::make_shared<shared>()) {}
  void on_event(pool_event const& e) {
    if (e.kind != pool_event_kind::closed) return;
    std::lock_guard lock(shared_->mutex);
    ++shared_->count[{std::string(e.pool), e.reason}];
  }
  int of(std::string const& key, pool_close_reason why) const {
    std::lock_guard lock(shared_->mutex);
    auto const at = shared_->count.find({key, why});
    return at == shared_->count.end() ? 0 : at->second;
  }

 private:
  struct shared {
    std::mutex mutex;
    std::map<std::pair<std::string, pool_close_reason>, int> count;
  };
  std::shared_ptr<shared> shared_;
};

/// Time and work are the test's.
template <class... P>
struct keyed_by_hand {
  using pool_type =
      keyed_pool<std::string, wire_factory, tideover::hand_driven, manual_clock, closings, P...>;
  using lease_type = typename pool_type::lease_type;

  explicit keyed_by_hand(keyed_pool_options const& o) : pool(wire_factory{home}, o, clock, closed) {}

  std::shared_ptr<hosts> home = std::make_shared<hosts>();
  manual_clock clock;
  closings closed;
  pool_type pool;
};

/// Options without what the test did not ask for. What is being closed counts: hosts that one thread asks
/// while another one leaves see both.
inline keyed_pool_options plain(std::size_t max_size, std::size_t max_total) {
  return {.each = {.max_size = max_size,
                   .max_idle_time = 0s,
                   .max_lifetime = 0s,
                   .validate_after_idle = -1ns,
                   .max_connecting = 65'534,
                   .count_closing = true},
          .max_total = max_total};
}

/// A thread that acquires, says how that ended, and keeps what it got.
template <class Pool>
class caller {
 public:
  caller(Pool& pool, std::string key, std::chrono::nanoseconds patience, std::stop_token stop = {})
      : thread_([this, &pool, key = std::move(key), until = deadline::after(pool.clock(), patience, stop)] {
          auto got = pool.try_acquire_until(key, until);
          if (got) {
            held = std::move(*got);
          } else {
            why = got.error().code;
          }
          done = true;
        }) {}
  ~caller() { join(); }
  void join() {
    if (thread_.joinable()) thread_.join();
  }
  typename Pool::lease_type held;
  std::error_code why;
  std::atomic<bool> done{false};

 private:
  std::thread thread_;
};

template <class Pool>
void await_waiting(Pool& pool, std::string const& key, std::size_t n) {
  await([&] { return pool.stats(key).waiting == n; });
}
inline void check_sums(keyed_pool_stats const& k) {
  pool_stats const& s = k.all;
  CHECK(s.started == s.granted + s.timed_out + s.cancelled + s.closed + s.rejected + s.errored + s.waiting);
  CHECK(s.created - s.destroyed == s.idle + s.leased + s.checking + s.closing);
  CHECK(k.used == s.size() + s.closing);
}

}  // namespace tideover_test

using namespace tideover_test;
