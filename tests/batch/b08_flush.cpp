// SPDX-License-Identifier: BSL-1.0
#include "batch/common.hpp"
#include "support/gate.hpp"
#include "support/watchdog.hpp"

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

namespace {
using threaded = batch_processor<int, manual_clock>;
}  // namespace

TEST_CASE("B8: a flush covers what was accepted before it, and later adds do not prolong it") {
  tideover_test::watchdog const guard("flush");
  manual_clock clock;
  gate first, second;
  std::atomic<int> calls{0};
  threaded b([&](std::span<int>) { (++calls == 1 ? first : second).pass(); }, {.max_items = 10, .linger = 1h},
             clock);
  REQUIRE(b.add(1));
  std::atomic<bool> over{false};
  bool result = false;
  std::thread flusher([&] {
    result = b.flush(1h);
    over = true;
  });
  first.await_arrivals(1);
  REQUIRE(b.add(2));  // after it
  bool other_result = false;
  std::thread another([&] { other_result = b.flush(1h); });
  tideover_test::await([&] { return b.stats()[batch_trigger::flush] == 2; });
  first.open();
  flusher.join();
  CHECK(result);
  second.await_arrivals(1);  // 2 is still under way
  CHECK(b.stats().pending == 1);
  CHECK(!b.flush(0ns));
  bool all_settled = true;
  std::thread in_vain([&] { all_settled = b.flush(5s); });
  tideover_test::await([&] { return clock.next_wake() == clock.now() + 5s; });
  clock.advance(5s);
  in_vain.join();
  CHECK(!all_settled);
  second.open();
  another.join();
  CHECK(other_result);
  CHECK(b.flush(0ns));
  CHECK(b.stats().pending == 0);
}

TEST_CASE("B10: batches and bytes in flight stay within their bounds, but one may always go") {
  tideover_test::watchdog const guard("in flight");
  std::atomic<int> now{0}, most{0};
  gate door;
  {
    batch_processor<int> b(
        [&](std::span<int>) {
          int const n = ++now;
          int seen = most.load();
          while (seen < n && !most.compare_exchange_weak(seen, n)) {
          }
          door.pass();
          --now;
        },
        {.max_items = 1, .max_in_flight = 3});
    for (int i = 0; i != 50; ++i) REQUIRE(b.add(i));
    door.await_arrivals(3);
    CHECK(b.stats().in_flight == 3);
    CHECK(b.stats().in_flight_bytes == 3 * sizeof(int));
    door.open();
    CHECK(b.flush(60s));
  }
  CHECK(most == 3);
  recorder r;
  by_hand<> big(r.sink(), {.max_items = 4, .max_in_flight = 2, .max_in_flight_bytes = 1}, manual_clock());
  r.answer = [&](std::span<int> batch) {
    CHECK(big.stats().in_flight == 1);
    CHECK(big.tick() == 0);  // nothing beside it
    return std::vector<outcome>(batch.size());
  };
  for (int i = 0; i != 8; ++i) REQUIRE(big.add(i));
  CHECK(big.tick() == 2);
}

TEMPLATE_TEST_CASE(
    "B21: an add beside a shutdown is drained or rejected, and the shutdown says what became of all", "",
    tideover::exact_bounds, tideover::relaxed_bounds) {
  tideover_test::watchdog const guard("shutdown");
  for (int round = 0; round != 30; ++round) {
    std::atomic<std::uint64_t> delivered{0};
    batch_processor<int, TestType> b([&](std::span<int> batch) { delivered += batch.size(); },
                                     {.max_items = round % 2 == 0 ? 7u : 90u});
    std::atomic<std::uint64_t> accepted{0};
    std::vector<std::thread> adders;
    for (int t = 0; t != 2; ++t) {
      adders.emplace_back([&] {
        for (;;) {
          auto const r = b.add(1);
          if (r)
            ++accepted;
          else if (r.code() == errc::closed)
            return;
        }
      });
    }
    tideover_test::await([&] { return accepted > std::uint64_t(round * 10); });
    auto const totals = b.shutdown(60s);
    for (auto& t : adders) t.join();
    CHECK(totals.accepted == accepted);
    CHECK(totals.delivered == accepted);
    CHECK(totals.pending == 0);
    CHECK(delivered == accepted);
    CHECK(b.shutdown(1s) == totals);
  }
}

TEST_CASE("B21: within a callback or a sink a shutdown does not wait for itself") {
  tideover_test::watchdog const guard("shutdown within");
  std::atomic<std::uint64_t> seen{0};
  std::atomic<bool> begun{false};
  batch_processor<int>* self = nullptr;
  batch_processor<int> b([&](std::span<int> batch) { seen += batch.size(); }, {.max_items = 2});
  self = &b;
  std::array<bool, 4> right{};  // by the callback's thread, until it has begun
  auto const first = b.add(1, [&](outcome const&) {
    right[0] = self->add(3).has_value();
    right[1] = self->shutdown(60s).accepted == 3;
    right[2] = self->add(4).code() == errc::closed;
    right[3] = self->add(5).code() == errc::closed;
    static_cast<void>(self->flush(60s));  // nor does a flush
    begun = true;
  });
  auto const second = b.add(2);
  tideover_test::await([&] { return begun.load(); });
  CHECK(first);
  CHECK(second);
  CHECK(right == std::array<bool, 4>{true, true, true, true});
  CHECK(b.shutdown(60s).delivered == 3);
  CHECK(seen == 3);
}

TEST_CASE("B21: what is left when the time is up has failed as shut down, in a sink or not") {
  tideover_test::watchdog const guard("time is up");
  manual_clock clock;
  gate door;
  threaded b([&](std::span<int>) { door.pass(); }, {.max_items = 1}, clock);
  auto in_sink = b.add(1), waiting = b.add(2);
  door.await_arrivals(1);
  decltype(b.shutdown(10s)) told;
  std::thread closer([&] { told = b.shutdown(10s); });
  tideover_test::await([&] { return clock.next_wake() <= clock.now() + 10s; });
  clock.advance(10s);
  // Both are settled while the sink still runs.
  CHECK(in_sink->wait().code() == errc::shut_down);
  CHECK(waiting->wait().code() == errc::shut_down);
  door.open();
  closer.join();
  CHECK(told.shut_down == 2);
  CHECK(told.pending == 0);
  CHECK(in_sink->wait().code() == errc::shut_down);  // its late answer is none
  CHECK(b.stats().delivered == 0);
}

TEST_CASE("B22: a sink that is left behind has all it needs, and nobody hears its answer") {
  tideover_test::watchdog const guard("detached");
  struct shared {
    gate door;
    std::atomic<int> sum{0};
    std::atomic<bool> left{false};
  };
  auto const s = std::make_shared<shared>();
  tideover::ticket kept;
  {
    manual_clock clock;
    batch_processor<int, manual_clock, tideover::detach_sink> b(
        [s](std::span<int> batch) {
          s->door.pass();
          for (int i : batch) s->sum += i;
          s->left = true;
        },
        {.max_items = 2, .shutdown_timeout = 0ns}, clock);
    auto t = b.add(20);
    REQUIRE(t);
    kept = std::move(*t);
    REQUIRE(b.add(22));
    s->door.await_arrivals(1);
  }
  CHECK(kept.wait().code() == errc::shut_down);
  s->door.open();
  tideover_test::await([&] { return s->left.load(); });
  CHECK(s->sum == 42);
  CHECK(kept.wait().code() == errc::shut_down);
}

TEST_CASE("B23: the destructor is a shutdown: nothing is lost, and tickets live on") {
  std::vector<int> got;
  std::vector<tideover::ticket> tickets;
  {
    batch_processor<int> b([&](std::span<int> batch) { got.insert(got.end(), batch.begin(), batch.end()); },
                           {.max_items = 10, .linger = 1h});
    for (int i = 0; i != 25; ++i) tickets.push_back(std::move(*b.add(i)));
  }
  CHECK(got.size() == 25);
  for (auto const& t : tickets) CHECK(t.wait().delivered());
}

TEST_CASE("a ticket may be waited for with a deadline, moved, and given up") {
  tideover_test::watchdog const guard("ticket");
  manual_clock clock;
  threaded b([](std::span<int>) {}, {.max_items = 2, .linger = 1h}, clock);
  auto t = b.add(1);
  REQUIRE(t);
  tideover::ticket own = std::move(*t);
  CHECK(!t->valid());
  CHECK(own.wait(tideover::deadline{clock.now(), {}}) == nullptr);
  std::stop_source stop;
  bool in_vain = false;  // one thread at a time writes them
  bool served = false;
  std::thread waits([&] {
    in_vain = own.wait(tideover::deadline{instant::max(), stop.get_token()}) == nullptr;
  });
  stop.request_stop();
  waits.join();
  CHECK(std::exchange(in_vain, false));
  std::thread waits_too([&] { in_vain = own.wait(tideover::deadline{clock.now() + 1s, {}}) == nullptr; });
  tideover_test::await([&] { return clock.next_wake() == clock.now() + 1s; });
  clock.advance(1s);
  waits_too.join();
  CHECK(in_vain);
  std::thread waits_long([&] { served = own.wait().delivered(); });
  REQUIRE(b.add(2));
  waits_long.join();
  CHECK(served);
  CHECK(own.peek()->delivered());
  own = tideover::ticket();
}
