// SPDX-License-Identifier: BSL-1.0
#include "batch/common.hpp"
#include "support/gate.hpp"
#include "support/watchdog.hpp"

#include <memory>
#include <stop_token>

namespace {
using text = std::unique_ptr<std::string>;
using texts = batch_processor<text, manual_clock, tideover::hand_driven, tideover::reject>;
}  // namespace

TEST_CASE("B1: a rejection says why, leaves the item where it was, and changes nothing") {
  manual_clock clock;
  std::vector<std::string> got;
  texts b(
      [&](std::span<text> items) {
        for (auto& t : items) got.push_back(*t);
      },
      {.max_items = 10, .max_pending = 2}, clock);
  text t = std::make_unique<std::string>("x");
  auto const before = b.stats();
  auto const late = b.add(std::move(t), {clock.now(), {}});
  CHECK(late.code() == errc::expired);
  REQUIRE(t);
  CHECK(b.add(std::make_unique<std::string>("a")));
  CHECK(b.add(std::make_unique<std::string>("b")));
  CHECK(b.add(std::move(t)).code() == errc::queue_full);
  REQUIRE(t);
  CHECK(b.add(std::move(t), [](outcome const&) { FAIL("it was rejected"); }).code() == errc::queue_full);
  REQUIRE(t);
  CHECK(b.stats().accepted == before.accepted + 2);
  CHECK(b.stats().rejected_full == 2);
  CHECK(b.stats().rejected_expired == 1);
  b.shutdown(1s);
  CHECK(b.add(std::move(t)).code() == errc::closed);
  REQUIRE(t);
  CHECK(b.stats().rejected_closed == 1);
  CHECK(got == std::vector<std::string>{"a", "b"});

  batch_processor<std::string, tideover::hand_driven> small([](std::span<std::string>) {},
                                                            {.max_bytes = 100});
  std::string big(200, 'x');
  CHECK(small.add(std::move(big)).code() == errc::too_large);
  CHECK(big.size() == 200);
  CHECK(small.stats().rejected_too_large == 1);
  CHECK(small.stats().accepted == 0);
}

TEST_CASE("B4: no call of the sink is larger than it may be, however it was sealed") {
  manual_clock clock;
  std::vector<std::size_t> sizes;
  batch_processor<std::string, manual_clock, tideover::hand_driven, tideover::oversize_alone> b(
      [&](std::span<std::string> items) {
        std::size_t n = 0;
        for (auto const& s : items) n += sizeof(std::string) + s.size();
        sizes.push_back(n);
        REQUIRE(!items.empty());
        REQUIRE(items.size() <= 3);
        REQUIRE((n <= 300 || items.size() == 1));
      },
      {.max_items = 3, .max_bytes = 300}, clock);
  for (int n : {10, 200, 50, 60, 1000, 5, 5, 5, 5}) REQUIRE(b.add(std::string(std::size_t(n), 'x')));
  b.flush(1s);
  for (int n : {1, 2}) REQUIRE(b.add(std::string(std::size_t(n), 'x')));
  b.shutdown(1s);
  CHECK(b.stats().delivered == 11);
  CHECK(std::count_if(sizes.begin(), sizes.end(), [](std::size_t n) { return n > 1000; }) == 1);
}

TEST_CASE("B5: the add that fills a batch seals it, one that would exceed its bytes seals it first") {
  recorder r;
  by_hand<> b(r.sink(), {.max_items = 3}, manual_clock());
  add_all(b, {1, 2});
  CHECK(b.next_deadline() != instant::min());
  add_all(b, {3});
  CHECK(b.next_deadline() == instant::min());
  CHECK(b.stats()[batch_trigger::count] == 1);
  add_all(b, {4});
  CHECK(b.tick() == 1);
  CHECK(r.calls == calls_of{{1, 2, 3}});
  CHECK(b.stats().open == 1);

  recorder s;
  by_hand<> by_bytes(s.sink(), {.max_items = 100, .max_bytes = 2 * sizeof(int)}, manual_clock());
  add_all(by_bytes, {1, 2, 3});
  by_bytes.tick();
  CHECK(s.calls == calls_of{{1, 2}});
  CHECK(by_bytes.stats()[batch_trigger::bytes] == 1);
}

TEST_CASE("B6: a batch is sealed when its first item has lingered, and a sealed one's time means nothing") {
  manual_clock clock;
  recorder r;
  by_hand<> b(r.sink(), {.max_items = 2, .linger = 100ms}, clock);
  add_all(b, {1});
  auto const first = clock.now() + 100ms;
  CHECK(b.next_deadline() == first);
  clock.advance(60ms);
  add_all(b, {2, 3});  // 1 and 2 are sealed by count: their deadline is none of 3's
  CHECK(b.tick() == 1);
  CHECK(b.next_deadline() == clock.now() + 100ms);
  clock.set(first);
  CHECK(b.tick() == 0);
  clock.advance(59ms);
  CHECK(b.tick() == 0);
  clock.advance(1ms);
  CHECK(b.tick() == 1);
  CHECK(r.calls == calls_of{{1, 2}, {3}});
  CHECK(b.stats()[batch_trigger::time] == 1);

  recorder s;
  by_hand<> at_once(s.sink(), {.max_items = 9, .linger = 0ms}, clock);
  add_all(at_once, {1, 2});
  at_once.tick();
  CHECK(s.calls == calls_of{{1}, {2}});
}

TEST_CASE("B6: a thread of its own seals in time, without being told of the next batch") {
  tideover_test::watchdog const guard("linger");
  manual_clock clock;
  std::atomic<int> calls{0};
  batch_processor<int, manual_clock> b([&](std::span<int>) { ++calls; }, {.linger = 50ms}, clock);
  for (int i = 1; i != 6; ++i) {
    auto t = b.add(i);
    REQUIRE(t);
    clock.await_sleepers(1);
    clock.advance(25ms);
    if (!t->ready()) {
      auto const until = b.next_deadline();
      if (until != instant::max()) {
        clock.await_sleepers(1);
        clock.set(until);
      }
    }
    CHECK(t->wait().delivered());
    CHECK(calls == i);
  }
}

TEST_CASE("B6: a free thread looks at the time while another one is in the sink") {
  tideover_test::watchdog const guard("linger beside a sink");
  manual_clock clock;
  tideover_test::gate door;
  auto tens = [](int i) { return i / 10; };
  batch_processor<int, manual_clock, tideover::keyed<decltype(tens)>> b(
      [&](std::span<int> batch) {
        if (batch[0] == 21) door.pass();
      },
      {.max_items = 2, .linger = 50ms, .max_in_flight = 2}, clock, tideover::keyed(tens),
      tideover::owned_threads{3});
  REQUIRE(b.add(91));
  REQUIRE(b.flush(tideover::deadline::never()));
  // Until all of them sleep for good.
  tideover_test::await([&] {
    clock.advance(50ms);
    return clock.sleepers() == 3 && clock.next_wake() == instant::max();
  });
  auto lingers = b.add(11);
  REQUIRE(lingers);
  clock.await_sleepers(3);  // one of them was told of it
  tideover_test::await([&] { return clock.next_wake() != instant::max(); });
  REQUIRE(b.add(21));
  REQUIRE(b.add(22));
  door.await_arrivals(1);
  clock.advance(50ms);
  CHECK(lingers->wait().delivered());  // while the other one stands at the door
  door.open();
}

TEST_CASE("B7: eager: at once while nothing is under way, else what comes meanwhile goes together") {
  manual_clock clock;
  recorder r;
  by_hand<tideover::eager>* self = nullptr;
  r.answer = [&](std::span<int> batch) {
    if (batch[0] == 1) add_all(*self, {2, 3, 4});
    return std::vector<outcome>(batch.size());
  };
  by_hand<tideover::eager> b(r.sink(), {.max_items = 10}, clock);
  self = &b;
  add_all(b, {1});
  CHECK(b.tick() == 2);
  CHECK(r.calls == calls_of{{1}, {2, 3, 4}});
  CHECK(b.stats()[batch_trigger::idle] == 2);
}

TEST_CASE("B11: what is pending never exceeds its bound, and each policy does what it says") {
  manual_clock clock;
  auto const o = batch_options{.max_items = 4, .max_pending = 3};
  recorder r;
  by_hand<tideover::drop_newest> newest(r.sink(), o, clock);
  add_all(newest, {1, 2, 3});
  CHECK(newest.add(4).code() == errc::queue_full);

  recorder s;
  by_hand<tideover::drop_oldest> oldest(s.sink(), o, clock);
  auto first = oldest.add(1);
  add_all(oldest, {2, 3, 4, 5});
  CHECK(first->wait().code() == errc::dropped);
  CHECK(oldest.stats().dropped == 2);
  CHECK(oldest.stats().pending == 3);
  oldest.flush(1s);
  CHECK(s.calls == calls_of{{3, 4, 5}});
  for (int i = 0; i != 100; ++i) REQUIRE(oldest.add(i));
  oldest.flush(1s);
  CHECK(s.calls.back() == std::vector<int>{97, 98, 99});
  CHECK(adds_up(oldest.stats()));

  recorder c;
  by_hand<tideover::caller_runs> runs(c.sink(), o, clock);
  add_all(runs, {1, 2, 3, 4, 5});
  CHECK(c.calls == calls_of{{1, 2, 3}});

  by_hand<> blocks(r.sink(), {.max_items = 4, .max_pending = 3, .max_block = 0ms}, clock);
  add_all(blocks, {1, 2, 3});
  CHECK(blocks.add(4).code() == errc::queue_full);
  CHECK(blocks.stats().blocked == 0);

  recorder d;
  by_hand<tideover::reject> bytes(
      d.sink(), {.max_bytes = 4, .max_pending = 9, .max_pending_bytes = 2 * sizeof(int)}, clock);
  add_all(bytes, {1, 2});
  CHECK(bytes.add(3).code() == errc::queue_full);
}

TEST_CASE("B12: who waits for room is served in order, and nothing lingers meanwhile") {
  tideover_test::watchdog const guard("blocked adders");
  manual_clock clock;
  recorder r;
  by_hand<> b(r.sink(), {.max_items = 4, .linger = 1h, .max_pending = 2, .max_block = 1h}, clock);
  add_all(b, {1, 2});
  CHECK(b.next_deadline() != instant::min());
  std::vector<std::thread> threads;
  std::stop_source stop;
  std::error_code by_stop, by_time;
  auto const blocked = [&](std::uint64_t n) { tideover_test::await([&] { return b.stats().blocked == n; }); };
  threads.emplace_back([&] { static_cast<void>(b.add(3)); });
  blocked(1);
  CHECK(b.next_deadline() == instant::min());  // 1 and 2 linger no longer
  threads.emplace_back([&] { by_stop = b.add(90, {instant::max(), stop.get_token()}).code(); });
  blocked(2);
  threads.emplace_back([&] { by_time = b.add(91, {clock.now() + 5ms, {}}).code(); });
  blocked(3);
  threads.emplace_back([&] { static_cast<void>(b.add(4)); });
  blocked(4);
  stop.request_stop();
  blocked(3);
  clock.await_sleepers(3);
  clock.advance(5ms);
  blocked(2);
  threads[1].join(), threads[2].join();
  CHECK(by_stop == errc::cancelled);
  CHECK(by_time == errc::expired);
  b.tick();
  threads[0].join(), threads[3].join();
  b.flush(1s);
  std::vector<int> order;
  for (auto const& c : r.calls) order.insert(order.end(), c.begin(), c.end());
  CHECK(order == std::vector<int>{1, 2, 3, 4});
  CHECK(b.stats()[batch_trigger::pressure] > 0);
  CHECK(b.stats().accepted == 4);
}
