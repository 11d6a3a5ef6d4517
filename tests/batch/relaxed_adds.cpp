// SPDX-License-Identifier: BSL-1.0
// Relaxed bounds: what a thread adds without the lock of all is there for everybody who asks.
#include "batch/relaxed.hpp"
#include "support/allocation_counter.hpp"
#include "support/fail_points.hpp"
#include "support/throwing.hpp"
#include "support/watchdog.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>

TEST_CASE("B1: relaxed bounds: a rejection says why and leaves the item where it was") {
  using text = std::unique_ptr<int>;
  batch_processor<text, tideover::hand_driven, tideover::relaxed_bounds, tideover::reject> b(
      [](std::span<text>) {}, {.max_items = 4, .max_pending = 3});
  for (int i = 0; i != 3; ++i) REQUIRE(b.add(std::make_unique<int>(i)));
  auto mine = std::make_unique<int>(3);
  CHECK(b.add(std::move(mine)).code() == errc::queue_full);
  REQUIRE(mine);
  CHECK(b.add(std::move(mine), {instant::min(), {}}).code() == errc::expired);
  REQUIRE(mine);
  CHECK(b.flush(1s));
  REQUIRE(b.add(std::make_unique<int>(4)));
  b.shutdown(1s);
  CHECK(b.add(std::move(mine)).code() == errc::closed);
  REQUIRE(mine);
  auto const s = b.stats();
  CHECK(s.accepted == 4);
  CHECK(s.delivered == 4);
  CHECK(s.rejected_full == 1);
  CHECK(s.rejected_expired == 1);
  CHECK(s.rejected_closed == 1);
}

TEST_CASE("B2: relaxed bounds: what is counted is exact after each add of any thread") {
  tideover_test::watchdog const guard("relaxed counts", 20s);
  recorder r;
  relaxed<> b(r.sink(), {.max_items = 200}, manual_clock());
  another_thread other;
  for (std::uint64_t n = 1; n <= 150; ++n) {
    REQUIRE(b.add(int(n)));
    other([&] { REQUIRE(b.add(int(n))); });
    auto const s = b.stats();
    REQUIRE(s.accepted == 2 * n);
    REQUIRE(s.pending == 2 * n);
    REQUIRE(s.open == 2 * n);
    REQUIRE(s.pending_bytes == 2 * n * sizeof(int));
    REQUIRE(adds_up(s));
  }
  CHECK(b.flush(1s));
  CHECK(r.calls.size() == 2);  // each has a batch of its own
  CHECK(b.stats().delivered == 300);
  CHECK(b.stats().pending == 0);
}

TEST_CASE("B5: relaxed bounds: the add that fills a batch seals it, of whatever size") {
  for (std::size_t const size : {1u, 2u, 3u, 64u, 65u, 66u, 200u}) {
    recorder r;
    relaxed<> b(r.sink(), {.max_items = size}, manual_clock());
    for (std::size_t round = 0; round != 3; ++round) {
      for (std::size_t i = 0; i + 1 != size; ++i) {
        REQUIRE(b.add(int(i)));
        REQUIRE(b.next_deadline() != instant::min());
      }
      REQUIRE(b.add(int(size)));
      CHECK(b.next_deadline() == instant::min());
      CHECK(b.tick() == 1);
      CHECK(r.calls.back().size() == size);
    }
    CHECK(b.stats()[batch_trigger::count] == 3);
  }
  recorder r;
  relaxed<> bytes(r.sink(), {.max_items = 100, .max_bytes = 3 * sizeof(int)}, manual_clock());
  add_all(bytes, {1, 2, 3, 4});
  bytes.tick();
  CHECK(r.calls == calls_of{{1, 2, 3}});
  CHECK(bytes.stats()[batch_trigger::bytes] == 1);
  relaxed<> no_linger(r.sink(), {.linger = 0ns}, manual_clock());
  add_all(no_linger, {1, 2});
  CHECK(no_linger.tick() == 2);
}

TEST_CASE("B6: relaxed bounds: each thread's batch is sealed when its first item has lingered") {
  manual_clock clock;
  recorder r;
  relaxed<> b(r.sink(), {.max_items = 100, .linger = 10ms}, clock);
  another_thread other;
  add_all(b, {1, 2});
  clock.advance(4ms);
  other([&] { add_all(b, {3, 4}); });
  CHECK(b.next_deadline() == clock.now() + 6ms);
  clock.advance(5ms);
  add_all(b, {5});
  CHECK(b.tick() == 0);
  clock.advance(1ms);
  CHECK(b.tick() == 1);
  CHECK(r.calls == calls_of{{1, 2, 5}});
  CHECK(b.next_deadline() == clock.now() + 4ms);
  add_all(b, {6});
  clock.advance(4ms);
  CHECK(b.tick() == 1);
  CHECK(r.calls.back() == std::vector<int>{3, 4});
  clock.advance(6ms);
  CHECK(b.tick() == 1);
  CHECK(r.calls.back() == std::vector<int>{6});
  CHECK(b.stats()[batch_trigger::time] == 3);
}

TEST_CASE("B6: relaxed bounds: a thread of its own seals in time, however many batches follow each other") {
  tideover_test::watchdog const guard("relaxed linger");
  manual_clock clock;
  std::atomic<int> calls{0};
  using threaded = batch_processor<int, manual_clock, tideover::relaxed_bounds>;
  threaded* self = nullptr;
  another_thread other;
  std::atomic<bool> lingered{false};
  threaded b(
      [&](std::span<int> batch) {
        if (batch[0] == 7) lingered = true;
        ++calls;
        if (lingered || calls == 1000) return;
        // There is always one more that is full.
        clock.advance(1ms);
        static_cast<void>(self->add(1));
        static_cast<void>(self->add(2));
      },
      {.max_items = 2, .linger = 20ms}, clock);
  self = &b;
  auto waits = b.add(7);
  REQUIRE(waits);
  other([&] { add_all(b, {1, 2}); });
  CHECK(waits->wait().delivered());
  CHECK(calls >= 20);
  CHECK(calls < 1000);
  // And alone, asleep.
  auto alone = b.add(8);
  REQUIRE(alone);
  tideover_test::await([&] {
    clock.advance(1ms);
    return alone->ready();
  });
  CHECK(alone->wait().delivered());
}

TEST_CASE("B8: relaxed bounds: a flush covers what all threads had added, and nothing later") {
  recorder r;
  relaxed<>* self = nullptr;
  bool within = false;
  another_thread other;
  r.answer = [&](std::span<int> batch) {
    if (batch[0] == 1) {
      add_all(*self, {8});
      other([&] { add_all(*self, {9}); });
      within = self->stats().open == 2;
    }
    return std::vector<outcome>(batch.size());
  };
  relaxed<> b(r.sink(), {.max_items = 100}, manual_clock());
  self = &b;
  other([&] { add_all(b, {4, 5}); });
  add_all(b, {1, 2, 3});
  CHECK(b.flush(1s));
  CHECK(within);
  std::vector<int> sent;
  for (auto const& c : r.calls) sent.insert(sent.end(), c.begin(), c.end());
  std::sort(sent.begin(), sent.end());
  CHECK(sent == std::vector<int>{1, 2, 3, 4, 5});
  CHECK(b.stats().pending == 2);
  CHECK(b.stats()[batch_trigger::flush] == 2);
}

TEST_CASE("B11: relaxed bounds: one thread keeps to the bound, each one more may exceed it by 64") {
  auto const fill = [](auto& b) {
    int n = 0;
    while (b.add(n)) ++n;
    return n;
  };
  for (std::size_t const room : {1u, 10u, 64u, 65u, 1000u}) {
    recorder r;
    relaxed<tideover::reject> b(r.sink(), {.max_items = 5000, .max_pending = room}, manual_clock());
    CHECK(fill(b) == int(room));
    CHECK(b.flush(1s));
    CHECK(fill(b) == int(room));
  }
  recorder r;
  relaxed<tideover::reject> b(r.sink(), {.max_items = 5000, .max_pending = 200}, manual_clock());
  std::array<another_thread, 3> others;
  REQUIRE(b.add(0));
  for (auto& t : others) {
    t([&] { REQUIRE(b.add(0)); });
  }
  // Each has been told of room for 64 by now.
  CHECK(fill(b) == 199 - 3);
  std::size_t beyond = 0;
  for (auto& t : others) {
    t([&] {
      int const n = fill(b);
      CHECK(n <= 64);
      beyond += std::size_t(n);
    });
  }
  CHECK(beyond == 3 * 64);
  CHECK(b.stats().pending == 200 + 3 * 64);
  CHECK(fill(b) == 0);
  for (auto& t : others) {
    t([&] { CHECK(fill(b) == 0); });
  }
  CHECK(b.flush(1s));
  CHECK(adds_up(b.stats()));
}

TEST_CASE("B11: relaxed bounds: who adds to what is full waits, or runs a batch itself") {
  recorder c;
  relaxed<tideover::caller_runs> runs(c.sink(), {.max_items = 4, .max_pending = 3}, manual_clock());
  add_all(runs, {1, 2, 3, 4, 5});
  CHECK(c.calls == calls_of{{1, 2, 3}});
  relaxed<> waits(c.sink(), {.max_items = 4, .max_pending = 3, .max_block = 0ms}, manual_clock());
  add_all(waits, {1, 2, 3});
  CHECK(waits.add(4).code() == errc::queue_full);
  CHECK(waits.stats().blocked == 0);
  CHECK(waits.stats()[batch_trigger::pressure] == 1);
}

TEST_CASE("B12: relaxed bounds: who waits is served in order, and no thread's batch lingers meanwhile") {
  tideover_test::watchdog const guard("relaxed blocked adders");
  manual_clock clock;
  recorder r;
  relaxed<> b(r.sink(), {.max_items = 4, .linger = 1h, .max_pending = 3, .max_block = 1h}, clock);
  another_thread idle;
  idle([&] { add_all(b, {1}); });
  add_all(b, {2, 3});
  CHECK(b.next_deadline() != instant::min());
  auto const blocked = [&](std::uint64_t n) { tideover_test::await([&] { return b.stats().blocked == n; }); };
  std::thread first([&] {
    for (int i : {4, 10, 11}) static_cast<void>(b.add(i));
  });
  blocked(1);
  CHECK(b.next_deadline() == instant::min());
  CHECK(b.stats().open == 0);
  std::thread second([&] { static_cast<void>(b.add(5)); });
  blocked(2);
  std::error_code late;
  idle([&] { late = b.add(6, {clock.now(), {}}).code(); });
  CHECK(late == errc::expired);
  b.tick();
  tideover_test::await([&] {
    b.tick();
    return b.stats().accepted == 7;
  });
  first.join(), second.join();
  CHECK(b.flush(1s));
  std::vector<int> order;
  for (auto const& call : r.calls) order.insert(order.end(), call.begin(), call.end());
  auto const at = [&](int i) { return std::find(order.begin(), order.end(), i) - order.begin(); };
  CHECK(order.size() == 7);
  CHECK(at(4) < at(5));
  CHECK(at(4) < at(10));
  CHECK(at(10) < at(11));
  CHECK(b.stats()[batch_trigger::pressure] > 0);
}

TEST_CASE("B17: relaxed bounds: what is not sealed is taken back, by whatever thread") {
  tideover_test::watchdog const guard("relaxed cancel", 20s);
  manual_clock clock;
  recorder r;
  relaxed<> b(r.sink(), {.max_items = 5, .linger = 10ms}, clock);
  another_thread other;
  std::vector<tideover::ticket> t;
  other([&] {
    for (int i = 0; i != 3; ++i) t.push_back(std::move(*b.add(i)));
  });
  CHECK(b.cancel(t[1]));
  CHECK(!b.cancel(t[1]));
  CHECK(t[1].wait().code() == errc::cancelled);
  CHECK(b.stats().open == 2);
  other([&] {
    // Into the same batch, which is not what it was.
    t.push_back(std::move(*b.add(3)));
    t.push_back(std::move(*b.add(4)));
    CHECK(b.cancel(t[3]));
  });
  CHECK(b.flush(1s));
  CHECK(r.calls == calls_of{{0, 2, 4}});
  for (int const i : {0, 2, 4}) {
    CHECK(t[std::size_t(i)].wait().delivered());
    CHECK(!b.cancel(t[std::size_t(i)]));
  }
  auto alone = b.add(9);
  CHECK(b.cancel(*alone));
  CHECK(b.next_deadline() == instant::max());
  add_all(b, {10, 11});
  CHECK(b.flush(1s));
  CHECK(r.calls.back() == std::vector<int>{10, 11});
  CHECK(b.stats().cancelled == 3);
  CHECK(adds_up(b.stats()));
}

TEST_CASE("B17: relaxed bounds: deadlines are the items' own") {
  manual_clock clock;
  recorder r;
  relaxed<> b(r.sink(), {.max_items = 5, .linger = 10ms}, clock);
  add_all(b, {1, 2});
  auto soon = b.add(3, {clock.now() + 5ms, {}});
  add_all(b, {4});
  clock.advance(10ms);
  b.tick();
  CHECK(r.calls == calls_of{{1, 2, 4}});
  CHECK(soon->wait().code() == errc::expired);
  relaxed<> timed(r.sink(), {.linger = 10ms, .item_timeout = 4ms}, clock);
  auto first = timed.add(1), second = timed.add(2);
  clock.advance(10ms);
  timed.tick();
  CHECK(first->wait().code() == errc::expired);
  CHECK(second->wait().code() == errc::expired);
}

TEST_CASE("B20: relaxed bounds: callbacks and tickets of one thread go in one order") {
  tideover_test::watchdog const guard("relaxed order", 20s);
  recorder r;
  relaxed<> b(r.sink(), {.max_items = 100}, manual_clock());
  int told = 0;
  auto const tell = [&](outcome const& o) {
    if (!o.delivered()) return;
    ++told;
    static_cast<void>(b.stats());
    static_cast<void>(b.add(100));
  };
  add_all(b, {1, 2});
  REQUIRE(b.add(3, tell));
  add_all(b, {4});
  REQUIRE(b.add(5, tell));
  CHECK(b.flush(1s));
  CHECK(r.calls == calls_of{{1, 2, 3, 4, 5}});
  CHECK(told == 2);
  CHECK(b.stats().pending == 2);
}

TEST_CASE("B21: relaxed bounds: what a shutdown does not wait for has failed, whoever added it") {
  recorder r;
  relaxed<> b(r.sink(), {.max_items = 100}, manual_clock());
  another_thread other;
  std::vector<tideover::ticket> t;
  other([&] {
    for (int i = 0; i != 3; ++i) t.push_back(std::move(*b.add(i)));
  });
  for (int i = 0; i != 3; ++i) t.push_back(std::move(*b.add(i)));
  b.shutdown(0ns);
  for (auto const& one : t) CHECK(one.wait().code() == errc::shut_down);
  other([&] { CHECK(b.add(1).code() == errc::closed); });
  CHECK(b.add(1).code() == errc::closed);
  CHECK(b.stats().shut_down == 6);
}

TEST_CASE("B24: relaxed bounds: sealing, cancelling, flushing and shutting down take no memory") {
  REQUIRE(allocation_counter::works());
  manual_clock clock;
  std::size_t items = 0;
  relaxed<> b([&](std::span<int> batch) { items += batch.size(); }, {.max_items = 10}, clock);
  another_thread other;
  std::vector<tideover::ticket> t;
  auto const some = [&] {
    for (int i = 0; i != 4; ++i) t.push_back(std::move(*b.add(i)));
    other([&] { add_all(b, {1, 2, 3}); });
  };
  auto const frugal = [](auto&& work) {
    allocation_counter const counter;
    work();
    return counter.allocations();
  };
  some();
  CHECK(frugal([&] {
          static_cast<void>(b.cancel(t[1]));
          clock.advance(5s);
          b.tick();
        }) == 0);
  CHECK(items == 6);
  some();
  CHECK(frugal([&] { static_cast<void>(b.flush(1s)); }) == 0);
  CHECK(items == 13);
  t.clear();
  CHECK(frugal([&] {
          for (int i = 0; i != 100; ++i) {
            static_cast<void>(b.add(i));
            b.tick();
          }
        }) == 0);
  some();
  CHECK(frugal([&] { b.shutdown(0ns); }) == 0);
  CHECK(b.stats().shut_down == 7);
}

TEST_CASE("B24: relaxed bounds: what fails at any point of an add has changed nothing") {
  using fragile = throwing<point::copy>;
  struct state {
    std::unique_ptr<std::size_t> items = std::make_unique<std::size_t>(0);
    std::unique_ptr<batch_processor<fragile, tideover::hand_driven, tideover::relaxed_bounds>> b =
        std::make_unique<batch_processor<fragile, tideover::hand_driven, tideover::relaxed_bounds>>(
            [n = items.get()](std::span<fragile> batch) { *n += batch.size(); },
            batch_options{.max_items = 3});
    fragile item{1};
    std::size_t accepted = 0, no_memory = 0;
  };
  std::size_t const points =
      fail_at_every_point([] { return std::make_unique<state>(); },
                          [](std::unique_ptr<state>& s) {
                            for (int i = 0; i != 5; ++i) {
                              auto const r = s->b->add(s->item);
                              r ? ++s->accepted : ++s->no_memory;
                            }
                            s->b->add(s->item, [](outcome const&) {}) ? ++s->accepted : ++s->no_memory;
                          },
                          [](std::unique_ptr<state>& s, attempt const& a) {
                            auto const now = s->b->stats();
                            CHECK(adds_up(now));
                            CHECK(now.accepted == s->accepted);
                            CHECK(now.rejected_no_memory == s->no_memory);
                            CHECK((a.fired || s->accepted == 6));
                            CHECK(s->b->add(fragile(2)).has_value());
                            CHECK(s->b->flush(1s));
                            CHECK(*s->items == s->accepted + 1);
                          });
  CHECK(points >= 8);
}

TEST_CASE("B26: relaxed bounds: the counts by reason and by trigger add up") {
  manual_clock clock;
  recorder r;
  relaxed<tideover::reject> b(r.sink(), {.max_items = 4, .linger = 10ms, .max_pending = 9}, clock);
  another_thread other;
  std::uint64_t accepted = 0;
  auto const some = [&](int n) {
    for (int i = 0; i != n; ++i) accepted += b.add(i) ? 1u : 0u;
    CHECK(adds_up(b.stats()));
  };
  for (int round = 0; round != 20; ++round) {
    some(round % 7);
    other([&] { some(round % 5); });
    if (round % 3 == 0) clock.advance(6ms);
    if (round % 4 == 0) b.tick();
    if (round % 11 == 10) CHECK(b.flush(1s));
    CHECK(adds_up(b.stats()));
    CHECK(b.stats().accepted == accepted);
  }
  b.shutdown(1s);
  auto const s = b.stats();
  CHECK(s.delivered == accepted);
  CHECK(s.items_by[std::size_t(batch_trigger::count)] > 0);
  CHECK(s.items_by[std::size_t(batch_trigger::time)] > 0);
  CHECK(s.items_by[std::size_t(batch_trigger::flush)] > 0);
}

TEST_CASE("B27: relaxed bounds: an executor that refused is asked again by any add") {
  bool refuses = true;
  std::vector<tideover::task> taken;
  auto take = [&](tideover::task& work) {
    if (refuses) return false;
    taken.push_back(std::move(work));
    return true;
  };
  std::size_t items = 0;
  batch_processor<int, tideover::relaxed_bounds, tideover::run_by<decltype(take)>> b(
      [&](std::span<int> batch) { items += batch.size(); }, {.max_items = 4}, tideover::run_by(take));
  another_thread other;
  other([&] { add_all(b, {1, 2}); });
  add_all(b, {1, 2, 3, 4});
  CHECK(taken.empty());
  CHECK(b.stats().runner_failures > 0);
  refuses = false;
  other([&] { add_all(b, {3}); });  // it has room in a batch of its own
  REQUIRE(!taken.empty());
  taken.back()();
  CHECK(items == 4);
  CHECK(b.flush(1s));
}
