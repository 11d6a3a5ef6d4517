// SPDX-License-Identifier: BSL-1.0
#include "batch/common.hpp"
#include "support/watchdog.hpp"

#include <functional>
#include <memory>
#include <thread>

namespace {

/// Its n-th reading of the time takes as long as something else needs.
struct slow_clock {
  using policy_axis = tideover::axis::clock;
  struct plan {
    int readings = 0;
    std::function<void()> then{};
  };
  manual_clock time{};
  std::shared_ptr<plan> next = std::make_shared<plan>();

  instant now() const noexcept { return precise_now(); }
  instant precise_now() const noexcept {
    if (next->readings != 0 && --next->readings == 0) next->then();
    return time.now();
  }
  template <class ConditionVariable, class Lock>
  void wait_until(ConditionVariable& cv, Lock& lock, instant t) const {
    time.wait_until(cv, lock, t);
  }
};

}  // namespace

TEST_CASE("B3: a batch that was given up between its take and its call is not sent") {
  tideover_test::watchdog const guard("given up before its call");
  slow_clock clock;
  recorder r;
  batch_processor<int, slow_clock, tideover::hand_driven> b(r.sink(), {.max_items = 2}, clock);
  auto first = b.add(1), second = b.add(2);
  std::thread closer;
  // The first reading takes the batch, under the lock; the second one is before the call.
  clock.next->then = [&] {
    closer = std::thread([&] { b.shutdown(0s); });
    while (b.stats().pending != 0) std::this_thread::yield();
  };
  clock.next->readings = 2;
  b.tick();
  closer.join();
  CHECK(first->wait().code() == errc::shut_down);
  CHECK(second->wait().code() == errc::shut_down);
  CHECK(r.calls.empty());
  auto const s = b.stats();
  CHECK(adds_up(s));
  CHECK(s.shut_down == 2);
  CHECK(s.sink_calls == 0);
  CHECK(s.in_flight == 0);
}
