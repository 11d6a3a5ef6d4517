// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/watchdog.hpp"

#include <tideover/circuit_breaker.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <random>
#include <thread>
#include <vector>

/// Threads call one breaker, keep permits for a while, drop them, and change its mode, while time passes and
/// a listener calls back. Each race that the test is about is counted where it happens, and one that never
/// happened fails the test. Bounded by the number of calls (TIDEOVER_STRESS_CALLS for each thread).
namespace {

using namespace std::chrono_literals;
using tideover::breaker_cause;
using tideover::breaker_state;
using tideover::call_outcome;

constexpr int workers = 4;

using counter = std::atomic<std::size_t>;

struct races {
  counter tripped{0}, probed{0}, recovered{0}, probe_failed{0}, lease_expired{0}, reset{0}, stale{0},
      rejected_half_open{0}, lost_the_probe{0}, told_and_called{0}, reconfigured{0};
  // And what must never happen.
  counter too_many_probes{0}, went_back{0}, out_of_order{0}, two_at_a_time{0};
};

struct listener {
  using policy_axis = tideover::axis::listener;
  races* seen;
  std::atomic<int>* inside;
  std::uint64_t* last;  // written by one teller at a time: a second one at once is a race that TSan sees
  std::function<void()>* call_back;
  void on_event(tideover::breaker_event const& e) const {
    if (inside->fetch_add(1) != 0) ++seen->two_at_a_time;
    if (e.generation <= *last && e.cause != breaker_cause::would_open) ++seen->out_of_order;
    *last = e.generation;
    if (e.generation % 8 == 3) ++seen->told_and_called, (*call_back)();
    switch (e.cause) {
      case breaker_cause::tripped:
        ++seen->tripped;
        break;
      case breaker_cause::probing:
        ++seen->probed;
        break;
      case breaker_cause::recovered:
        ++seen->recovered;
        break;
      case breaker_cause::probe_failed:
        ++seen->probe_failed;
        break;
      case breaker_cause::lease_expired:
        ++seen->lease_expired;
        break;
      case breaker_cause::reset:
        ++seen->reset;
        break;
      case breaker_cause::reconfigured:
        ++seen->reconfigured;
        break;
      default:
        break;
    }
    inside->fetch_sub(1);
  }
};

template <class Trip>
class stress {
 public:
  using breaker = tideover::circuit_breaker<Trip, tideover::manual_clock, listener, tideover::counting>;
  static constexpr std::uint32_t probes = 2;

  stress()
      : options_({.failure_threshold = 3,
                  .recovery_timeout = 3ms,
                  .call_timeout = 1s,
                  .failure_rate = 0.5,
                  .min_calls = 4,
                  .window = 1s,
                  .probes = probes,
                  .successes = 3,
                  .probe_lease = 2ms}),
        breaker_(options_, clock_, listener{&seen, &inside_, &last_, &call_back_}) {
    call_back_ = [this] { static_cast<void>(breaker_.try_acquire().has_value()); };
  }

  void run(std::size_t calls, std::uint64_t seed) {
    std::vector<std::thread> threads;
    for (int self = 0; self < workers; ++self) {
      threads.emplace_back([this, self, calls, seed] { work(self, calls, seed); });
    }
    for (auto& t : threads) t.join();
  }

  /// I6: at rest the window is what the word's generation counted, and no more than it keeps.
  void settle() {
    breaker_.reset();
    for (int i = 0; i < 3; ++i) breaker_.acquire().succeed();
    auto const s = breaker_.stats();
    CHECK(s.state == breaker_state::closed);
    CHECK(s.window_failures == 0);
    if (!Trip::in_word) CHECK(s.window_calls == 3);
    seen.stale += s.stale;
    CHECK(s.listener_failures == 0);
  }

  races seen;

 private:
  void work(int self, std::size_t calls, std::uint64_t seed) {
    std::mt19937_64 random(seed + static_cast<std::uint64_t>(self));
    std::vector<typename breaker::permit> kept;
    std::uint32_t last_generation = 0;
    for (std::size_t i = 0; i < calls; ++i) {
      std::uint32_t const g = breaker_.generation();
      if (g < last_generation) ++seen.went_back;
      last_generation = g;
      auto const s = breaker_.stats();
      if (s.probes_out > probes) ++seen.too_many_probes;
      auto p = breaker_.try_acquire();
      if (!p) {
        if (s.state == breaker_state::half_open) ++seen.rejected_half_open;
        clock_.advance(std::chrono::microseconds(random() % 400));
        if (random() % 8 == 0) std::this_thread::yield();
      } else if (random() % 4 == 0 && kept.size() < 16) {
        if (p->is_probe()) ++seen.lost_the_probe;
        kept.push_back(std::move(*p));
      } else {
        bool const failing = i / 64 % 2 == 0;
        random() % 100 < (failing ? 80 : 5) ? p->fail() : p->succeed();
      }
      if (!kept.empty() && random() % 8 == 0) {
        kept.back().report(static_cast<call_outcome>(random() % 3));
        kept.pop_back();
      }
      if (random() % 512 == 0) breaker_.reset();
      if (random() % 512 == 1) breaker_.reconfigure(options_);
    }
  }

  tideover::manual_clock clock_;
  std::atomic<int> inside_{0};
  std::uint64_t last_ = 0;
  std::function<void()> call_back_;
  tideover::breaker_options options_;
  breaker breaker_;
};

}  // namespace

TEMPLATE_TEST_CASE("I1: I3: I6: everything at once on one breaker", "[stress]",
                   tideover::consecutive_failures, tideover::failure_rate_in_last<10>,
                   tideover::failure_rate_over<4>) {
  tideover_test::watchdog const guard("breaker stress", std::chrono::seconds(600));
  std::size_t const calls = tideover_test::number_from("TIDEOVER_STRESS_CALLS", 20'000);
  stress<TestType> s;
  s.run(calls, tideover_test::run_seed());
  s.settle();
  CHECK(s.seen.too_many_probes == 0);
  CHECK(s.seen.went_back == 0);
  CHECK(s.seen.out_of_order == 0);
  CHECK(s.seen.two_at_a_time == 0);
  if (calls < 5'000) return;
  CHECK(s.seen.tripped > 0);
  CHECK(s.seen.probed > 0);
  CHECK(s.seen.recovered > 0);
  CHECK(s.seen.probe_failed > 0);
  CHECK(s.seen.lease_expired > 0);
  CHECK(s.seen.reset > 0);
  CHECK(s.seen.reconfigured > 0);
  CHECK(s.seen.stale > 0);
  CHECK(s.seen.rejected_half_open > 0);
  CHECK(s.seen.lost_the_probe > 0);
  CHECK(s.seen.told_and_called > 0);
}

TEMPLATE_TEST_CASE("I6: windows lose nothing between threads", "[stress]",
                   tideover::failure_rate_in_last<100>, tideover::failure_rate_in_last<1000>,
                   tideover::failure_rate_over<4>) {
  tideover_test::watchdog const guard("breaker windows", std::chrono::seconds(600));
  tideover::manual_clock clock;
  tideover::circuit_breaker<TestType, tideover::manual_clock, tideover::counting> b(
      {.failure_rate = 1, .min_calls = 100, .window = 1h}, clock);
  constexpr std::uint64_t each = 2'000;
  std::vector<std::thread> threads;
  for (int t = 0; t < workers; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < each; ++i) {
        auto p = b.acquire();
        (i + static_cast<std::uint64_t>(t)) % 4 == 0 ? p.fail() : p.succeed();
      }
    });
  }
  for (auto& t : threads) t.join();
  auto const s = b.stats();
  CHECK(s.successes + s.failures == workers * each);
  if constexpr (TestType::reads_clock) {
    CHECK(s.window_calls == workers * each);
    CHECK(s.window_failures == workers * each / 4);
  } else {
    CHECK(s.window_calls <= 1000);
    CHECK(s.window_calls >= 100);
    CHECK(s.window_failures > 0);
    // A success that finds its slot a failure clears it: when no failures come the ring empties, to the last.
    for (int i = 0; i < 1000; ++i) b.acquire().succeed();
    CHECK(b.stats().window_failures == 0);
    for (int i = 0; i < 7; ++i) b.acquire().fail();
    CHECK(b.stats().window_failures == 7);
  }
}
