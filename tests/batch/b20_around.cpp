// SPDX-License-Identifier: BSL-1.0
#include "batch/common.hpp"

#include "support/gate.hpp"
#include "support/watchdog.hpp"

#include <atomic>
#include <set>
#include <type_traits>

namespace {
using tideover_test::gate;

struct file {
  std::set<int> kept;
  int next = 0, fail_append = -1, fail_retire = -1;
};
struct file_journal {
  using policy_axis = tideover::axis::journal;
  static constexpr bool keeps = true;
  using entry_type = int;
  file* f;
  int append(int const&) {
    if (f->next == f->fail_append) throw sink_down();
    f->kept.insert(f->next);
    return f->next++;
  }
  void retire(int const& e) {
    if (e == f->fail_retire) throw sink_down();
    f->kept.erase(e);
  }
};
/// Whether a shutdown that begins while a callback waits at the door returns only when it has told.
template <class Processor>
bool shut_down_tells_first(Processor& b, tideover_test::gate& door, std::atomic<bool> const& told) {
  bool told_first = false;
  std::atomic<bool> back{false};
  std::thread closer([&] {
    b.shutdown(1h);
    told_first = told;
    back = true;
  });
  tideover_test::await([&] { return b.add(2, {instant::min(), {}}).code() == errc::closed; });
  // Long enough for a shutdown that does not wait: its look at the state is behind this one's turns.
  for (int i = 0; i != 2000 && !back; ++i) std::this_thread::yield();
  door.open();
  closer.join();
  return told_first;
}
}  // namespace

TEST_CASE("B9: a key's batches go in order, one at a time; its retry holds it; keys take turns") {
  manual_clock clock;
  recorder r;
  int fails = 1;
  r.answer = [&](std::span<int> batch) {
    if (batch[0] / 10 == 1 && fails-- > 0) throw sink_down();
    return std::vector<outcome>(batch.size());
  };
  auto tens = [](int i) { return i / 10; };
  by_hand<tideover::keyed<decltype(tens)>, tideover::retry_items, tideover::constant_backoff> b(
      r.sink(), {.max_items = 2, .max_in_flight = 2}, clock, tideover::keyed(tens),
      tideover::constant_backoff{10ms});
  for (int i : {11, 12, 13, 14, 21, 22, 23, 24, 31, 32}) REQUIRE(b.add(i));
  b.tick();
  CHECK(r.calls == calls_of{{11, 12}, {21, 22}, {31, 32}, {23, 24}});
  clock.advance(10ms);
  b.tick();
  CHECK(calls_of(r.calls.begin() + 4, r.calls.end()) == calls_of{{11, 12}, {13, 14}});
}

TEST_CASE("B18: equal items share a place and an outcome; the newest is sent; they count once") {
  recorder r;
  auto tens = [](int i) { return i / 10; };
  using deduped = by_hand<tideover::dedupe_by<decltype(tens)>>;
  deduped b(r.sink(), {.max_items = 2}, manual_clock(), tideover::dedupe_by(tens));
  int heard = 0;
  auto a = b.add(11), c = b.add(12);
  REQUIRE(b.add(13, [&](outcome const& o) { heard += o.delivered() ? 1 : 0; }));
  CHECK(!a->ready());
  CHECK(b.stats().open == 3);
  CHECK(b.add(21).has_value());
  b.tick();
  CHECK(r.calls == calls_of{{13, 21}});
  CHECK(a->wait().delivered());
  CHECK(c->wait().delivered());
  CHECK(heard == 1);
  CHECK(b.stats().duplicates == 2);
  CHECK(b.stats().delivered == 4);
  // One that is sealed is joined by nobody: a newer value would be lost.
  REQUIRE(b.add(11));
  REQUIRE(b.add(21));
  REQUIRE(b.add(12));
  b.flush(1s);
  CHECK(calls_of(r.calls.begin() + 1, r.calls.end()) == calls_of{{11, 21}, {12}});
}

TEST_CASE("B18: an equal item finds the one for which an older one was dropped") {
  recorder r;
  auto tens = [](int i) { return i / 10; };
  by_hand<tideover::dedupe_by<decltype(tens)>, tideover::drop_oldest> b(
      r.sink(), {.max_items = 3, .max_pending = 2}, manual_clock(), tideover::dedupe_by(tens));
  auto first = b.add(11), second = b.add(21), third = b.add(31);
  REQUIRE(third);
  CHECK(first->wait().code() == errc::dropped);
  REQUIRE(b.cancel(*second));
  auto again = b.add(32);
  REQUIRE(again);
  CHECK(b.stats().duplicates == 1);
  b.flush(0s);
  CHECK(r.calls == calls_of{{32}});
  CHECK(third->wait().delivered());
  CHECK(again->wait().delivered());
}

TEST_CASE("B11: B18: where all is full, an equal item makes the oldest of the others give way") {
  recorder r;
  auto tens = [](int i) { return i / 10; };
  by_hand<tideover::dedupe_by<decltype(tens)>, tideover::drop_oldest> b(
      r.sink(), {.max_items = 5, .max_pending = 3}, manual_clock(), tideover::dedupe_by(tens));
  auto first = b.add(11), second = b.add(21), third = b.add(31);
  auto renewed = b.add(12);  // it is the oldest, and the one that is renewed
  REQUIRE(renewed);
  CHECK(second->wait().code() == errc::dropped);
  auto again = b.add(32);
  REQUIRE(again);
  CHECK(first->wait().code() == errc::dropped);
  CHECK(renewed->wait().code() == errc::dropped);
  CHECK(b.stats().pending == 2);
  // All there is, and as many as may be pending: it gives way itself.
  REQUIRE(b.add(33));
  auto alone = b.add(34);
  REQUIRE(alone);
  CHECK(third->wait().code() == errc::dropped);
  CHECK(b.stats().dropped == 6);
  CHECK(adds_up(b.stats()));
  b.flush(0s);
  CHECK(r.calls == calls_of{{34}});
  CHECK(alone->wait().delivered());
}

TEST_CASE("B20: callbacks run without a lock, after the change, and may do anything") {
  tideover_test::watchdog const guard("callbacks");
  std::vector<batch_event> events;
  recorder r;
  using heard = by_hand<event_list>;
  heard b(r.sink(), {.max_items = 2}, manual_clock(), event_list{&events});
  int called = 0;
  REQUIRE(b.add(1, [&](outcome const& o) {
    ++called;
    CHECK(o.delivered());
    CHECK(b.stats().delivered == 2);  // it has happened, and no lock is held
    CHECK(b.add(3).has_value());
    CHECK(!b.flush(1s));
    throw sink_down();
  }));
  REQUIRE(b.add(2, [&](outcome const&) { ++called; }));
  b.tick();
  CHECK(called == 2);
  CHECK(b.stats().callback_failures == 1);
  CHECK(r.calls == calls_of{{1, 2}, {3}});
  REQUIRE(events.size() == 3);
  CHECK(events[0].kind == batch_event_kind::callback_failed);
  CHECK_THROWS_AS(std::rethrow_exception(events[0].cause), sink_down);
  CHECK(events[1].kind == batch_event_kind::sent);
  CHECK(events[1].items == 2);
  CHECK(events[1].delivered == 2);
  CHECK(events[1].trigger == batch_trigger::count);

  heard deaf(r.sink(), {.max_items = 1}, manual_clock(), event_list{&events, true});
  REQUIRE(deaf.add(1));
  deaf.tick();
  CHECK(deaf.stats().listener_failures == 1);
  CHECK(deaf.stats().delivered == 1);
}

TEST_CASE("B21: a shutdown returns when the callbacks of what it covers have returned") {
  tideover_test::watchdog const guard("callbacks of a shutdown");
  // With threads of its own, left behind or not: one of them is in the callback.
  auto const told_before_the_end = [](auto* subject, auto... policies) {
    using subject_type = std::remove_pointer_t<decltype(subject)>;
    gate door;
    std::atomic<bool> told{false};
    manual_clock clock;
    subject_type b([](std::span<int>) {}, {.max_items = 1}, clock, policies...);
    REQUIRE(b.add(1, [&](outcome const&) {
      door.pass();
      told = true;
    }));
    door.await_arrivals(1);
    CHECK(shut_down_tells_first(b, door, told));
  };
  told_before_the_end(static_cast<batch_processor<int, manual_clock>*>(nullptr));
  told_before_the_end(static_cast<batch_processor<int, manual_clock, tideover::detach_sink>*>(nullptr));
}

TEST_CASE("B21: a callback that a tick calls is waited for, too") {
  tideover_test::watchdog const guard("callback of a tick");
  gate door;
  manual_clock clock;
  std::atomic<bool> told{false};
  by_hand<> b([](std::span<int>) {}, {.max_items = 2, .linger = 50ms}, clock);
  REQUIRE(b.add(1,
                [&](outcome const&) {
                  door.pass();
                  told = true;
                },
                {clock.now() + 20ms, {}}));
  clock.advance(50ms);
  std::thread ticker([&] { b.tick(); });
  door.await_arrivals(1);
  CHECK(shut_down_tells_first(b, door, told));
  ticker.join();
}

TEST_CASE("B26: the counts by reason and by trigger add up, and the histograms have every call") {
  manual_clock clock;
  recorder r;
  by_hand<tideover::drop_oldest>* self = nullptr;
  r.answer = [&](std::span<int> batch) {
    clock.advance(1us);
    std::vector<outcome> o(batch.size());
    if (batch[0] % 5 == 0) o[0] = outcome(errc::timed_out);
    if (batch[0] % 7 == 0) o.pop_back();
    return o;
  };
  by_hand<tideover::drop_oldest> b(r.sink(), {.max_items = 4, .linger = 10ms, .max_pending = 6}, clock);
  self = &b;
  for (int i = 0; i != 200; ++i) {
    auto t = self->add(i, {clock.now() + 12ms, {}});
    REQUIRE(t);
    if (i % 13 == 0) b.cancel(*t);
    if (i % 11 == 0) b.flush(1s);
    if (i % 9 == 0) clock.advance(11ms);
    if (i % 6 == 0) b.tick();
    REQUIRE(adds_up(b.stats()));
  }
  b.shutdown(1s);
  auto const s = b.stats();
  CHECK(adds_up(s));
  CHECK(s.pending == 0);
  for (auto const n : {s.delivered, s.failed_by_sink, s.mismatched, s.cancelled, s.dropped}) CHECK(n > 0);
  CHECK(s.sizes.count == s.sink_calls);
  CHECK(s.sink_times.count == s.sink_calls);
  CHECK(s.sink_times.sum == 1000.0 * double(s.sink_calls));
  CHECK(s.waits.count > 0);
  CHECK(s.waits.sum >= 10e6);
  for (auto const why : {batch_trigger::count, batch_trigger::time, batch_trigger::flush}) CHECK(s[why] > 0);
}

TEST_CASE("B28: an item is delivered once its journal entry is retired") {
  file f;
  std::vector<int> written_in_sink;
  batch_processor<int, tideover::hand_driven, file_journal> b(
      [&](std::span<int> batch) {
        written_in_sink.push_back(int(f.kept.size()));
        std::vector<outcome> o(batch.size());
        for (std::size_t i = 0; i != o.size(); ++i) {
          if (batch[i] == 3) o[i] = outcome(errc::timed_out);
        }
        return o;
      },
      {.max_items = 10, .max_pending = 5, .max_block = 0ns}, file_journal{&f});
  bool retired_first = false;
  REQUIRE(b.add(1, [&](outcome const& o) { retired_first = o.delivered() && f.kept.count(0) == 0; }));
  f.fail_append = 1;
  auto const refused = b.add(2);
  CHECK(refused.code() == errc::journal_failed);
  CHECK_THROWS_AS(std::rethrow_exception(refused.error().cause), sink_down);
  f.fail_append = -1;
  auto bad = b.add(3), stuck = b.add(4);
  f.fail_retire = 2;
  b.flush(1s);
  CHECK(retired_first);
  CHECK(written_in_sink == std::vector<int>{3});
  CHECK(bad->wait().code() == errc::timed_out);
  CHECK(stuck->wait().code() == errc::journal_failed);
  CHECK(f.kept == std::set<int>{1, 2});
  for (int i = 0; i != 5; ++i) REQUIRE(b.add(10 + i));
  CHECK(b.add(99).code() == errc::queue_full);
  CHECK(f.kept.size() == 7);  // what was not accepted is not written
  CHECK(b.stats().rejected_by_journal == 1);
  CHECK(b.stats().policy_failures == 0);
  f.fail_retire = f.next;
  CHECK(b.add(99).code() == errc::queue_full);
  CHECK(b.stats().policy_failures == 1);  // its entry is left in the journal
}

TEST_CASE("an executor runs what is sealed, and what it refuses is run by who waits for it") {
  tideover_test::watchdog const guard("executor");
  recorder r;
  batch_processor<int, tideover::inline_run> at_once(r.sink(), {.max_items = 2});
  add_all(at_once, {1, 2, 3});
  CHECK(r.calls == calls_of{{1, 2}});
  CHECK(at_once.flush(1s));
  CHECK(r.calls == calls_of{{1, 2}, {3}});

  std::vector<tideover::task> tasks;
  bool refuses = false;
  auto take = [&](tideover::task& t) {
    if (refuses) return false;
    tasks.push_back(std::move(t));
    return true;
  };
  recorder s;
  tideover::run_by<decltype(take)> own(take);
  manual_clock clock;
  {
    batch_processor<int, decltype(own), manual_clock> b(s.sink(), {.max_items = 2, .linger = 10ms}, own,
                                                        clock);
    add_all(b, {1, 2, 3});
    REQUIRE(tasks.size() == 1);
    tasks[0]();
    CHECK(s.calls == calls_of{{1, 2}});
    clock.set(b.next_deadline());
    b.tick();
    REQUIRE(tasks.size() == 2);
    tasks[1]();
    CHECK(s.calls.back() == std::vector<int>{3});
    refuses = true;
    add_all(b, {4, 5});
    CHECK(b.stats().runner_failures == 1);
    CHECK(b.next_deadline() == instant::min());
    CHECK(b.flush(1s));
    CHECK(s.calls.back() == std::vector<int>{4, 5});
    refuses = false;
    add_all(b, {6, 7});
  }
  CHECK(s.calls.size() == 4);
  tasks.back()();  // late: there is nothing left for it
  CHECK(s.calls.size() == 4);
}

TEST_CASE("an executor that refused is asked again by any add") {
  std::vector<tideover::task> tasks;
  bool refuses = true;
  auto take = [&](tideover::task& t) {
    if (!refuses) tasks.push_back(std::move(t));
    return !refuses;
  };
  recorder r;
  tideover::run_by<decltype(take)> own(take);
  batch_processor<int, decltype(own), manual_clock> b(
      r.sink(), {.max_items = 3, .linger = 1h, .shutdown_timeout = 0ns}, own, manual_clock());
  add_all(b, {1, 2, 3, 4});
  CHECK(b.stats().runner_failures == 2);
  refuses = false;
  REQUIRE(b.add(5));  // opens no batch and fills none
  REQUIRE(tasks.size() == 1);
  tasks[0]();
  CHECK(r.calls == calls_of{{1, 2, 3}});
}

TEST_CASE("B8: what a flush leaves behind when its time is up is somebody else's at once") {
  tideover_test::watchdog const guard("what a flush leaves");
  std::vector<tideover::task> tasks;
  auto take = [&](tideover::task& t) {
    tasks.push_back(std::move(t));
    return true;
  };
  manual_clock clock;
  std::function<void()> within;
  auto const sink = [&](std::span<int>) {
    if (within) std::exchange(within, nullptr)();
  };
  tideover::run_by<decltype(take)> own(take);
  {
    batch_processor<int, decltype(own), manual_clock> b(
        sink, {.max_items = 2, .linger = 10ms, .shutdown_timeout = 0ns}, own, clock);
    REQUIRE(b.add(1));
    within = [&] {
      for (auto& t : std::exchange(tasks, {})) t();  // in vain: one is in flight
      add_all(b, {2, 3});
      clock.advance(50ms);
    };
    b.flush(50ms);
    CHECK(b.stats().sink_calls == 1);
    CHECK(tasks.size() == 1);
    // And what a callback on the thread of a tick fills.
    for (auto& t : std::exchange(tasks, {})) t();
    CHECK(b.stats().sink_calls == 2);
    REQUIRE(b.add(4, [&](outcome const&) { add_all(b, {5, 6}); }, {clock.now() + 5ms, {}}));
    clock.advance(10ms);
    b.tick();
    REQUIRE(tasks.size() == 1);
    tasks[0]();
    CHECK(b.stats().sink_calls == 3);
    CHECK(b.stats().pending == 0);
  }
  // By hand: a flush that waits is told that there is something to send.
  tideover_test::gate door;
  by_hand<> b(
      [&](std::span<int> batch) {
        if (batch[0] == 1) door.pass();
      },
      {.max_items = 1}, clock);
  add_all(b, {1, 2});
  std::thread first([&] { b.flush(50ms); });
  door.await_arrivals(1);
  std::thread second([&] { b.flush(tideover::deadline::never()); });
  clock.await_sleepers(1);
  clock.advance(50ms);
  door.open();
  first.join();
  second.join();
  CHECK(b.stats().pending == 0);
}

TEST_CASE("options are checked, and the message names field, value and bounds") {
  auto const refused = [](batch_options o) -> std::string {
    try {
      batch_processor<int, tideover::hand_driven> b([](std::span<int>) {}, o);
    } catch (tideover::error const& e) {
      CHECK(e.code() == errc::invalid_argument);
      return e.what();
    }
    return "accepted";
  };
  auto const says = [&](batch_options o, char const* text) {
    auto const what = refused(o);
    CAPTURE(what);
    CHECK(what.find(text) == 0);
  };
  says({.max_items = 0}, "batch_options.max_items is 0; it must be between 1 and 1000000");
  says({.max_items = 1'000'001}, "batch_options.max_items is 1000001");
  says({.max_bytes = 0}, "batch_options.max_bytes is 0; it must be 1 or above");
  says({.linger = -1ns}, "batch_options.linger is -1 ns; it must be 0 ns or above");
  says({.max_pending = 0}, "batch_options.max_pending is 0");
  says({.max_in_flight = 0}, "batch_options.max_in_flight is 0; it must be between 1 and 1024");
  says({.max_bytes = 10, .max_pending_bytes = 9},
       "batch_options.max_pending_bytes is 9; it must be max_bytes, 10, or above");
  says({.max_in_flight_bytes = 0}, "batch_options.max_in_flight_bytes is 0");
  says({.max_block = -1ns}, "batch_options.max_block is -1 ns");
  says({.item_timeout = -1ns}, "batch_options.item_timeout is -1 ns");
  says({.max_attempts = 0}, "batch_options.max_attempts is 0; it must be between 1 and 1000");
  says({.shutdown_timeout = -1ns}, "batch_options.shutdown_timeout is -1 ns");
  CHECK(refused({}) == "accepted");
  CHECK(refused(tideover::presets::batch::bulk_insert) == "accepted");
  CHECK(tideover::presets::batch::bulk_insert.max_items == 100);
  CHECK(tideover::presets::batch::bulk_insert.linger == 5s);
  CHECK(refused(tideover::presets::batch::web_socket) == "accepted");
  CHECK(tideover::presets::batch::web_socket.max_items == 50);
  CHECK(tideover::presets::batch::web_socket.linger == 100ms);
}
