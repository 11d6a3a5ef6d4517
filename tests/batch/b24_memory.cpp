// SPDX-License-Identifier: BSL-1.0
#include "batch/common.hpp"
#include "support/allocation_counter.hpp"
#include "support/fail_points.hpp"
#include "support/throwing.hpp"
#include "support/watchdog.hpp"

#include <memory>
#include <optional>

namespace {
struct counted_sink {
  std::size_t* items;
  template <class T>
  void operator()(std::span<T> batch) const {
    *items += batch.size();
  }
};

/// A batch processor with some items in it, and a sink that counts.
template <class Batches>
struct filled {
  explicit filled(batch_options const& o, int n) : b(counted_sink{items.get()}, o, clock) {
    for (int i = 0; i != n; ++i) REQUIRE(b.add(i));
  }
  std::unique_ptr<std::size_t> items = std::make_unique<std::size_t>(0);
  manual_clock clock;
  Batches b;
};
}  // namespace

TEST_CASE("B24: without memory an add is rejected, says so, and nothing has changed") {
  using fragile = throwing<point::copy>;
  struct state {
    std::unique_ptr<std::size_t> items = std::make_unique<std::size_t>(0);
    std::unique_ptr<batch_processor<fragile, tideover::hand_driven>> b =
        std::make_unique<batch_processor<fragile, tideover::hand_driven>>(counted_sink{items.get()},
                                                                          batch_options{.max_items = 2});
    fragile item{1};
    std::optional<std::error_code> with_callback{}, with_ticket{};
    int told = 0;
  };
  REQUIRE(allocation_counter::works());
  std::size_t const points = fail_at_every_point(
      [] { return std::make_unique<state>(); },
      [](std::unique_ptr<state>& s) {
        s->with_ticket = s->b->add(s->item).code();
        s->with_callback = s->b->add(s->item, [&told = s->told](outcome const&) { ++told; }).code();
      },
      [](std::unique_ptr<state>& s, attempt const& a) {
        auto const before = s->b->stats();
        std::uint64_t accepted = 0;
        for (auto const& code : {s->with_ticket, s->with_callback}) {
          if (!code) continue;  // the item's copy threw, and that passed through
          CHECK((!*code || *code == errc::no_memory));
          accepted += !*code ? 1u : 0u;
        }
        CHECK(before.accepted == accepted);
        CHECK((a.fired || accepted == 2));
        CHECK(before.rejected_no_memory == (a.fired && !a.threw ? 1u : 0u));
        CHECK(s->b->add(fragile(2)).has_value());
        CHECK(s->b->flush(1s));
        CHECK(*s->items == accepted + 1);
        CHECK(s->told == (s->with_callback && !*s->with_callback ? 1 : 0));
        CHECK(adds_up(s->b->stats()));
      });
  CHECK(points >= 4);
}

TEST_CASE("B24: keys, equal items and callbacks: what fails leaves nothing behind") {
  auto self = [](int i) { return std::to_string(i) + std::string(40, '.'); };
  using keyed_by_text = by_hand<tideover::keyed<decltype(self)>, tideover::dedupe_by<decltype(self)>>;
  std::size_t const points = fail_at_every_point(
      [] { return std::make_unique<filled<keyed_by_text>>(batch_options{.max_items = 3}, 2); },
      [](std::unique_ptr<filled<keyed_by_text>>& f) {
        for (int i : {0, 1, 2, 2, 3}) {
          if (!f->b.add(i, [](outcome const&) {})) throw std::bad_alloc();
        }
      },
      [](std::unique_ptr<filled<keyed_by_text>>& f, attempt const& a) {
        auto const s = f->b.stats();
        CHECK(adds_up(s));
        CHECK((a.fired ? s.rejected_no_memory == 1 : s.accepted == 7));
        CHECK(f->b.flush(1s));
        CHECK(f->b.stats().delivered == s.accepted);
      });
  CHECK(points > 10);
}

TEST_CASE("B24: sealing, settling, dropping, cancelling, flushing and shutting down take no memory") {
  REQUIRE(allocation_counter::works());
  auto const frugal = [](auto& f, auto&& work) {
    allocation_counter const counter;
    work(f);
    return counter.allocations();
  };
  {
    filled<by_hand<tideover::drop_oldest>> f({.max_items = 10, .max_pending = 8}, 8);
    CHECK(frugal(f, [](auto& x) {
            for (int i = 0; i != 100; ++i) static_cast<void>(x.b.add(i));  // each drops one
          }) == 0);
    CHECK(f.b.stats().dropped == 100);
    CHECK(frugal(f, [](auto& x) { static_cast<void>(x.b.flush(1s)); }) == 0);
    CHECK(*f.items == 8);
  }
  {
    filled<by_hand<>> f({.max_items = 10}, 35);
    std::vector<tideover::ticket> tickets;
    for (int i = 0; i != 4; ++i) tickets.push_back(std::move(*f.b.add(i)));
    CHECK(frugal(f, [&](auto& x) {
            static_cast<void>(x.b.cancel(tickets[1]));
            x.clock.advance(5s);
            x.b.tick();
          }) == 0);
    CHECK(f.b.stats().cancelled == 1);
    CHECK(f.b.stats().delivered == 38);
    for (int i = 0; i != 4; ++i) tickets.push_back(std::move(*f.b.add(i)));
    CHECK(frugal(f, [](auto& x) { x.b.shutdown(0ns); }) == 0);
    CHECK(f.b.stats().shut_down == 4);
    CHECK(tickets[7].wait().code() == errc::shut_down);
  }
  {
    // In the steady state nothing is allocated at all.
    filled<by_hand<>> f({.max_items = 10}, 100);
    f.b.flush(1s);
    CHECK(frugal(f, [](auto& x) {
            for (int i = 0; i != 100; ++i) {
              static_cast<void>(x.b.add(i));
              x.b.tick();
            }
          }) == 0);
  }
}

TEST_CASE("B24: with memory failing at every point of retry and bisecting, each item has its outcome") {
  using brave = by_hand<tideover::retry_items, tideover::bisect, tideover::no_backoff>;
  struct state {
    std::size_t calls = 0;
    std::unique_ptr<brave> b{};
    std::vector<tideover::ticket> tickets{};
  };
  std::size_t const points = fail_at_every_point(
      [] {
        auto s = std::make_unique<state>();
        s->b = std::make_unique<brave>(
            [p = s.get()](std::span<int> batch) {
              std::vector<outcome> o(batch.size());  // a fail point: the sink's bad_alloc is its error
              if (++p->calls % 3 == 0) throw sink_down();
              return o;
            },
            batch_options{.max_items = 8, .max_attempts = 2}, manual_clock());
        for (int i = 0; i != 8; ++i) s->tickets.push_back(std::move(*s->b->add(i)));
        return s;
      },
      [](std::unique_ptr<state>& s) { s->b->tick(); },
      [](std::unique_ptr<state>& s, attempt const& a) {
        CHECK(!a.threw);
        static_cast<void>(s->b->flush(1s));
        CHECK(s->b->stats().pending == 0);
        for (auto const& t : s->tickets) CHECK(t.ready());
      });
  CHECK(points >= 1);
}
