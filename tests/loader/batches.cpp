// SPDX-License-Identifier: BSL-1.0
#include "loader/common.hpp"

TEST_CASE("L1: one thread: the first get seals and runs the batch of all") {
  backend back;
  int_loader<> loader(back, {});
  auto a = loader.later(1), b = loader.later(2), again = loader.later(1);
  CHECK(back.calls().empty());
  CHECK(loader.stats().pending == 2);
  CHECK(b.get() == 20);
  CHECK(a.get() == 10);
  CHECK(again.get() == 10);
  CHECK(b.get() == 20);  // once more
  CHECK(back.calls() == calls{{1, 2}});
  auto hit = loader.later(2);
  CHECK(hit.get() == 20);
  CHECK(back.calls().size() == 1);
  auto const s = loader.stats();
  CHECK(s.asked == 4);
  CHECK(s.loaded == 2);
  CHECK(s.joined == 1);
  CHECK(s.hits == 1);
  CHECK(s.batches == 1);
  CHECK(s.keys == 2);
  CHECK(s.pending == 0);
}

TEST_CASE("L1: a batch has no more keys than it may, equal ones count once") {
  backend back;
  int_loader<> loader(back, {.max_items = 3, .linger = 0ns});
  std::vector<int> const ids{1, 2, 1, 3, 4, 2, 5};
  CHECK(loader.load_many(ids) == std::vector{10, 20, 10, 30, 40, 20, 50});
  CHECK(back.calls() == calls{{1, 2, 3}, {4, 5}});
  CHECK(loader.load_many({}).empty());
  CHECK(loader.load_many({1, 2, 1}) == std::vector{10, 20, 10});
  // A full batch that nobody waits for yet is run by the first who does.
  auto a = loader.later(11), b = loader.later(12), c = loader.later(13), d = loader.later(14);
  CHECK(back.calls().size() == 2);
  CHECK(loader.load(12) == 120);
  CHECK(back.calls().back() == std::vector{11, 12, 13});
  CHECK(d.get() == 140);
  CHECK(a.get() + b.get() + c.get() == 360);
}

TEST_CASE("L1: what several threads ask for within the linger is one call") {
  watchdog const dog("linger");
  manual_clock clock;
  backend back;
  int_loader<> loader(back, {.linger = 5ms}, clock);
  auto first = on_thread([&] { return loader.load(1); });
  clock.await_sleepers(1);
  clock.advance(4ms);
  auto second = on_thread([&] { return loader.load(2); });
  auto third = on_thread([&] { return loader.load(1); });
  await([&] { return loader.stats().joined == 1 && loader.stats().pending == 2; });
  CHECK(back.calls().empty());
  clock.advance(1ms);  // since the first of them
  CHECK(first.get() == 10);
  CHECK(second.get() == 20);
  CHECK(third.get() == 10);
  REQUIRE(back.calls().size() == 1);
  CHECK(back.calls()[0] == std::vector{1, 2});
}

TEST_CASE("L1: the key that fills a batch lets it begin; a get does not wait for the linger") {
  watchdog const dog("full batch");
  manual_clock clock;
  backend back;
  int_loader<> loader(back, {.max_items = 2, .linger = 1h}, clock);
  auto first = on_thread([&] { return loader.load(1); });
  await([&] { return loader.stats().pending == 1; });
  CHECK(loader.load(2) == 20);
  CHECK(first.get() == 10);
  auto third = on_thread([&] { return loader.load(3); });
  await([&] { return loader.stats().pending == 1; });
  CHECK(loader.later(3).get() == 30);
  CHECK(third.get() == 30);
  CHECK(back.calls() == calls{{1, 2}, {3}});
}

TEST_CASE("L1: who asks while it is under way joins it") {
  watchdog const dog("join in flight");
  backend back;
  gate door;
  back.before([&](keys_of) { door.pass(); });
  int_loader<> loader(back, {.linger = 0ns});
  auto first = on_thread([&] { return loader.load(1); });
  door.await_arrivals(1);
  auto second = on_thread([&] { return loader.load(1); });
  await([&] { return loader.stats().joined == 1; });
  door.open();
  CHECK(first.get() == 10);
  CHECK(second.get() == 10);
  CHECK(back.calls().size() == 1);
}

TEST_CASE("L1: the captain's patience ends: another one takes over") {
  watchdog const dog("captain");
  manual_clock clock;
  backend back;
  int_loader<> loader(back, {.linger = 5ms}, clock);
  std::stop_source stop;
  auto impatient = on_thread([&] { return loader.try_load(1, deadline::after(clock, 2ms)); });
  clock.await_sleepers(1);
  auto patient = on_thread([&] { return loader.load(2); });
  auto stopped = on_thread([&] { return loader.try_load(3, {.stop = stop.get_token()}); });
  await([&] { return loader.stats().pending == 3; });
  clock.advance(2ms);
  CHECK(impatient.get().code() == errc::timed_out);
  stop.request_stop();
  CHECK(stopped.get().code() == errc::cancelled);
  clock.await_sleepers(1);  // somebody waits for the end of the linger again
  clock.advance(3ms);
  CHECK(patient.get() == 20);
  CHECK(loader.stats().timed_out == 1);
  CHECK(loader.stats().cancelled == 1);
  CHECK(back.calls()[0].size() == 3);
}

TEST_CASE("L1: a deadline ends the wait for a call that is under way, too") {
  watchdog const dog("deadline in flight");
  manual_clock clock;
  backend back;
  gate door;
  back.before([&](keys_of) { door.pass(); });
  int_loader<> loader(back, {.linger = 0ns}, clock);
  auto first = on_thread([&] { return loader.load(1); });
  door.await_arrivals(1);
  auto second = on_thread([&] { return loader.try_load(1, deadline::after(clock, 2ms)); });
  clock.await_sleepers(1);
  clock.advance(2ms);
  CHECK(second.get().code() == errc::timed_out);
  door.open();
  CHECK(first.get() == 10);
}

TEST_CASE("L2: values, optional values and results") {
  using text = std::string;
  tideover::data_loader<int, text> some(
      [](keys_of keys) {
        std::vector<std::optional<text>> all;
        for (int k : keys) all.push_back(k % 2 == 0 ? std::optional<text>("even") : std::nullopt);
        return all;
      },
      {.linger = 0ns});
  CHECK(some.load(2) == "even");
  CHECK(some.try_load(3).code() == errc::not_found);
  std::vector<int> const ids{4, 5};
  auto const both = some.try_load_many(ids);
  CHECK(both[0].value() == "even");
  CHECK(both[1].code() == errc::not_found);
  CHECK(some.try_load_many({6, 8})[1].value() == "even");
  tideover::data_loader<int, text> results(
      [](keys_of keys) {
        std::vector<tideover::result<text>> all;
        for (int k : keys) {
          if (k < 0) {
            all.emplace_back(errc::circuit_open);
          } else {
            all.emplace_back(text("good"));
          }
        }
        return all;
      },
      {.linger = 0ns});
  CHECK(results.load(1) == "good");
  try {
    results.load(-1);
    FAIL("nothing was thrown");
  } catch (tideover::error const& e) {
    CHECK(e.code() == errc::circuit_open);
  }
  CHECK(results.stats().failed == 1);
}

TEST_CASE("L2: an answer of another length is a failure of all, whatever it is") {
  std::size_t length = 0;
  int_loader<> loader([&](keys_of) { return std::vector<int>(length); }, {.linger = 0ns});
  std::vector<int> const ids{1, 2, 3};
  for (std::size_t const wrong : {0u, 2u, 4u}) {
    length = wrong;
    for (auto const& r : loader.try_load_many(ids)) CHECK(r.code() == errc::outcome_mismatch);
  }
  CHECK(loader.stats().mismatches == 3);
  CHECK(loader.stats().failed == 9);
  length = 3;
  CHECK(loader.load_many(ids) == std::vector{0, 0, 0});
}

TEST_CASE("L2: what it throws reaches exactly those who wait, and nothing is kept") {
  backend back;
  back.before([](keys_of keys) {
    for (int k : keys) {
      if (k < 0) throw std::runtime_error("down");
    }
  });
  int_loader<> loader(back, {.linger = 0ns});
  auto a = loader.later(-1), b = loader.later(2);
  CHECK_THROWS_WITH(a.get(), "down");
  CHECK_THROWS_WITH(b.get(), "down");
  CHECK(b.try_get().code() == errc::computation_failed);
  CHECK(loader.load(2) == 20);
  CHECK(loader.stats().pending == 0);
}

TEST_CASE("L2: a batch function may load other keys; its own end as recursion") {
  watchdog const dog("recursion");
  int_loader<>* self = nullptr;
  std::optional<std::error_code> own;
  int_loader<> loader(
      [&](keys_of keys) {
        std::vector<int> all;
        for (int k : keys) {
          if (k == 7) own = self->try_load(7).code();
          all.push_back(k > 0 ? 1 + self->load(k / 8) : 0);
        }
        return all;
      },
      {.linger = 0ns});
  self = &loader;
  CHECK(loader.load(64) == 3);
  CHECK(loader.load(7) == 1);
  CHECK(own == make_error_code(errc::recursive_computation));
  CHECK(loader.stats().recursions == 1);
}

TEST_CASE("L2: bad options are refused with field, value and bounds") {
  auto const complaint = [](tideover::data_loader_options const& o) {
    try {
      int_loader<> const loader(backend{}, o);
    } catch (tideover::error const& e) {
      return std::string(e.what());
    }
    return std::string("none");
  };
  auto const says = [&](tideover::data_loader_options const& o, char const* text) {
    INFO(complaint(o));
    CHECK(complaint(o).rfind(text, 0) == 0);
  };
  says({}, "none");
  says({.max_items = 0}, "data_loader_options.max_items is 0; it must be between 1 and 1000000");
  says({.max_items = 1'000'001}, "data_loader_options.max_items is 1000001");
  says({.linger = -1ns}, "data_loader_options.linger is -1 ns; it must be 0 ns or more");
  says({.capacity = 0}, "data_loader_options.capacity is 0; it must be between 1 and 4000000000");
  says({.ttl = 0ns}, "data_loader_options.ttl is 0 ns; it must be above 0 ns");
  int_loader<> const plain(backend{});
  CHECK(plain.configured() == tideover::data_loader_options{});
}
