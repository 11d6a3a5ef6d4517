// SPDX-License-Identifier: BSL-1.0
#include "batch/common.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

TEST_CASE("B3: the sink sees an item once for each attempt, and never after its outcome") {
  manual_clock clock;
  recorder r;
  std::map<int, int> seen;
  std::set<int> ended;
  r.answer = [&](std::span<int> batch) {
    std::vector<outcome> o(batch.size());
    for (std::size_t i = 0; i != batch.size(); ++i) {
      CHECK(ended.count(batch[i]) == 0);
      if (++seen[batch[i]] <= batch[i] % 3)
        o[i] = outcome(errc::timed_out);
      else
        ended.insert(batch[i]);
    }
    return o;
  };
  by_hand<tideover::retry_items, tideover::no_backoff> b(r.sink(), {.max_items = 10, .max_attempts = 3},
                                                         clock);
  for (int i = 0; i != 50; ++i) REQUIRE(b.add(i));
  b.flush(1s);
  CHECK(b.stats().delivered == 50);
  for (auto const& [item, n] : seen) CHECK(n == item % 3 + 1);
  CHECK(r.calls[1] == std::vector<int>{1, 2, 4, 5, 7, 8});  // the order stays
}

TEST_CASE("B13: what the sink throws is the outcome of the items of that call, and the next call is made") {
  recorder r;
  r.answer = [&](std::span<int> batch) {
    if (batch[0] == 1) throw sink_down();
    return std::vector<outcome>(batch.size());
  };
  by_hand<> b(r.sink(), {.max_items = 2}, manual_clock());
  auto one = b.add(1), two = b.add(2), three = b.add(3), four = b.add(4);
  CHECK(b.tick() == 2);
  for (auto const* t : {&*one, &*two}) {
    CHECK(t->wait().code() == errc::sink_failed);
    CHECK_THROWS_AS(std::rethrow_exception(t->wait().cause()), sink_down);
  }
  CHECK(three->wait().delivered());
  CHECK(four->wait().delivered());
  CHECK(b.stats().failed_by_sink == 2);
}

TEST_CASE("B14: nothing returned is all delivered, one outcome is for all, n are for each, others for none") {
  batch_processor<int, tideover::hand_driven> all([](std::span<int>) {}, {.max_items = 2});
  auto a = all.add(1);
  all.flush(1s);
  CHECK(a->wait().delivered());
  batch_processor<int, tideover::hand_driven> one([](std::span<int>) { return outcome(errc::timed_out); },
                                                  {.max_items = 2});
  auto c = one.add(1);
  one.flush(1s);
  CHECK(c->wait().code() == errc::timed_out);
  batch_processor<int, tideover::hand_driven> with_result(
      [](std::span<int> i) {
        return i[0] == 1 ? tideover::result<void>() : tideover::result<void>(errc::closed);
      },
      {.max_items = 1});
  auto d = with_result.add(1), e = with_result.add(2);
  with_result.flush(1s);
  CHECK(d->wait().delivered());
  CHECK(e->wait().code() == errc::closed);
  for (std::size_t wrong : {0u, 1u, 3u}) {
    recorder r;
    r.answer = [&](std::span<int>) { return std::vector<outcome>(wrong); };
    by_hand<> b(r.sink(), {.max_items = 2}, manual_clock());
    auto x = b.add(1), y = b.add(2);
    b.tick();
    CHECK(x->wait().code() == errc::outcome_mismatch);
    CHECK(y->wait().code() == errc::outcome_mismatch);
    CHECK(b.stats().mismatched == 2);
  }
}

TEST_CASE("B15: a retry brings what failed, after a delay, and not for ever") {
  manual_clock clock;
  recorder r;
  int down = 100;
  r.answer = [&](std::span<int> batch) {
    std::vector<outcome> o(batch.size());
    for (std::size_t i = 0; i != o.size(); ++i) {
      if (batch[i] % 2 != 0 && down-- > 0) o[i] = outcome(errc::timed_out);
    }
    return o;
  };
  by_hand<tideover::retry_items> b(r.sink(), {.max_items = 4, .max_attempts = 3, .shutdown_timeout = 0ns},
                                   clock, tideover::xoshiro(7));
  auto good = b.add(0), bad = b.add(1), good2 = b.add(2), bad2 = b.add(3);
  b.tick();
  CHECK(good->ready());
  CHECK(good2->ready());
  CHECK(!bad->ready());
  tideover::exponential_backoff const backoff;
  for (unsigned attempt = 0; attempt != 2; ++attempt) {
    auto const wait = b.next_deadline() - clock.now();
    CHECK(wait >= 0ns);
    CHECK(wait < backoff.ceiling(attempt));
    clock.advance(wait);
    CHECK(b.tick() == 1);
  }
  CHECK(r.calls == calls_of{{0, 1, 2, 3}, {1, 3}, {1, 3}});
  CHECK(bad->wait().code() == errc::timed_out);
  CHECK(bad2->wait().code() == errc::timed_out);
  CHECK(b.stats().retries == 4);

  recorder s;
  s.answer = [](std::span<int> batch) {
    return std::vector<outcome>(batch.size(), outcome(errc::timed_out));
  };
  by_hand<tideover::retry_items, tideover::constant_backoff> late(
      s.sink(), {.max_items = 1, .max_attempts = 9}, clock, tideover::constant_backoff{100ms});
  auto t = late.add(1, {clock.now() + 30ms, {}});
  late.tick();
  CHECK(late.next_deadline() == clock.now() + 30ms);
  clock.advance(30ms);
  late.tick();
  CHECK(t->wait().code() == errc::expired);
  CHECK(s.calls.size() == 1);

  auto const closed_for_good = [](tideover::failure const& why) { return why.code != errc::closed; };
  tideover::retryable_if passing(closed_for_good);
  recorder n;
  n.answer = [](std::span<int> batch) { return std::vector<outcome>(batch.size(), outcome(errc::closed)); };
  by_hand<tideover::retry_items, decltype(passing)> never(n.sink(), {.max_items = 1}, clock, passing);
  auto u = never.add(1);
  never.tick();
  CHECK(u->wait().code() == errc::closed);
}

TEST_CASE("B15: a deadline that passes during the backoff ends its item, and brings no attempt forward") {
  manual_clock clock;
  recorder r;
  r.answer = [](std::span<int>) -> std::vector<outcome> { throw sink_down(); };
  by_hand<tideover::retry_items, tideover::constant_backoff> b(
      r.sink(), {.max_items = 4, .linger = 1h, .max_attempts = 2}, clock, tideover::constant_backoff{1s});
  auto first = b.add(1, {clock.now() + 10ms, {}}), second = b.add(2, {clock.now() + 20ms, {}});
  auto third = b.add(3), fourth = b.add(4);
  b.tick();
  CHECK(b.next_deadline() == clock.now() + 10ms);
  clock.advance(10ms);
  b.tick();
  CHECK(first->ready());
  CHECK(!second->ready());
  clock.advance(10ms);
  b.tick();
  CHECK(second->wait().code() == errc::expired);
  CHECK(r.calls.size() == 1);
  CHECK(!third->ready());
  clock.advance(980ms);
  b.tick();
  CHECK(r.calls == calls_of{{1, 2, 3, 4}, {3, 4}});
  CHECK(fourth->ready());
}

TEST_CASE("B16: too much is halved, in order, and one that is too large by itself has failed") {
  recorder r;
  r.answer = [](std::span<int> batch) {
    if (std::accumulate(batch.begin(), batch.end(), 0) > 10) {
      throw tideover::error(errc::too_large, "the packet");
    }
    return std::vector<outcome>(batch.size());
  };
  by_hand<tideover::retry_items> b(r.sink(), {.max_items = 5, .max_attempts = 1}, manual_clock());
  std::vector<tideover::result<tideover::ticket>> t;
  for (int i : {4, 5, 20, 1, 9}) t.push_back(b.add(i));
  b.tick();
  CHECK(r.calls == calls_of{{4, 5, 20, 1, 9}, {4, 5, 20}, {4, 5}, {20}, {1, 9}});
  CHECK(t[2]->wait().code() == errc::sink_failed);
  CHECK(b.stats().delivered == 4);
  CHECK(b.stats().splits == 2);
}

TEST_CASE("B16: bisecting finds the items to blame in at most 2n - 1 calls, and delivers all others") {
  for (int n = 1; n <= 16; ++n) {
    for (unsigned poison = 0; poison<1u << n; poison += n> 10 ? 97 : 1) {
      std::size_t calls = 0;
      std::vector<int> order;
      by_hand<tideover::bisect> b(
          [&](std::span<int> batch) {
            ++calls;
            for (int i : batch) {
              if ((poison >> i & 1) != 0) throw sink_down();
            }
            order.insert(order.end(), batch.begin(), batch.end());
          },
          {.max_items = std::size_t(n)}, manual_clock());
      std::vector<tideover::result<tideover::ticket>> t;
      for (int i = 0; i != n; ++i) t.push_back(b.add(i));
      b.tick();
      bool right = calls <= std::size_t(2 * n - 1) && std::is_sorted(order.begin(), order.end());
      for (int i = 0; i != n; ++i)
        right = right && t[std::size_t(i)]->wait().delivered() == ((poison >> i & 1) == 0);
      if (!right) {
        CAPTURE(n, poison, calls);
        FAIL("bisecting went wrong");
      }
    }
  }
}

TEST_CASE("B17: expired items are settled, not sent; cancel takes back what is not sealed") {
  manual_clock clock;
  recorder r;
  by_hand<> b(r.sink(), {.max_items = 4, .linger = 10ms}, clock);
  auto soon = b.add(1, {clock.now() + 5ms, {}});
  add_all(b, {2});
  auto later = b.add(3, {clock.now() + 50ms, {}});
  clock.advance(10ms);
  b.tick();  // expired when it is sealed
  CHECK(r.calls == calls_of{{2, 3}});
  CHECK(soon->wait().code() == errc::expired);
  CHECK(later->wait().delivered());
  auto at_attempt = b.add(4, {clock.now() + 5ms, {}});
  add_all(b, {5, 6, 7});  // sealed before it expires
  clock.advance(5ms);
  b.tick();
  CHECK(r.calls.back() == std::vector<int>{5, 6, 7});
  CHECK(at_attempt->wait().code() == errc::expired);

  auto x = b.add(8), y = b.add(9);
  CHECK(b.cancel(*x));
  CHECK(!b.cancel(*x));
  CHECK(x->wait().code() == errc::cancelled);
  b.flush(1s);
  CHECK(!b.cancel(*y));
  CHECK(r.calls.back() == std::vector<int>{9});
  auto alone = b.add(10);
  CHECK(b.cancel(*alone));
  CHECK(b.next_deadline() == instant::max());
  CHECK(b.stats().cancelled == 2);
  by_hand<> other(r.sink(), {}, clock);
  auto strange = other.add(1);
  CHECK(!b.cancel(*strange));

  by_hand<> timed(r.sink(), {.linger = 10ms, .item_timeout = 4ms}, clock);
  auto t = timed.add(1);
  clock.advance(10ms);
  timed.tick();
  CHECK(t->wait().code() == errc::expired);
}

TEST_CASE("B25: the size of a batch follows what became of the last one") {
  using tideover::batch_feedback;
  tideover::doubling_size const d{.least = 2};
  CHECK(d.first(100) == 2);
  CHECK(d.next(2, 100, {2, true, false, 1ms}) == 4);
  CHECK(d.next(64, 100, {64, true, false, 1ms}) == 100);
  CHECK(d.next(64, 100, {10, false, false, 1ms}) == 32);
  CHECK(d.next(2, 100, {2, true, true, 1ms}) == 2);
  tideover::aimd_size const a{.least = 4, .step = 8, .target = 10ms};
  CHECK(a.first(100) == 4);
  CHECK(a.next(4, 100, {4, true, false, 10ms}) == 12);
  CHECK(a.next(12, 100, {3, false, false, 10ms}) == 12);
  CHECK(a.next(12, 100, {12, true, false, 11ms}) == 6);
  CHECK(a.next(6, 100, {6, true, true, 1ms}) == 4);
  CHECK(a.next(98, 100, {98, true, false, 1ms}) == 100);
  CHECK(tideover::fixed_size::next(3, 100, {}) == 100);

  recorder r;
  by_hand<tideover::doubling_size> b(r.sink(), {.max_items = 4}, manual_clock());
  for (int i = 0; i != 11; ++i) {
    REQUIRE(b.add(i));
    b.tick();
  }
  CHECK(r.calls == calls_of{{0}, {1, 2}, {3, 4, 5, 6}, {7, 8, 9, 10}});
  CHECK(b.stats().size == 4);
}
