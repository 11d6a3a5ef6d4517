// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <tideover/detail/timing_wheel.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using tideover::entry_id;
using tideover::entry_links;
using tideover::instant;
using tideover::no_entry;
using tideover::detail::timing_wheel;

constexpr nanoseconds tick{std::int64_t{1} << 20};
constexpr nanoseconds year = 24h * 365;

/// A wheel with its entries' links and deadlines.
struct watched {
  explicit watched(instant now, std::size_t entries = 16) : wheel(now), link(entries), deadline(entries) {}

  auto links() {
    return [this](entry_id id) noexcept -> entry_links& { return link[id]; };
  }
  void insert(entry_id id, instant t) {
    deadline[id] = t;
    wheel.insert(links(), id, t);
  }
  void remove(entry_id id) { wheel.remove(links(), id); }
  entry_id take(instant now, std::size_t& steps) {
    return wheel.take_due(now, steps, links(), [this](entry_id id) noexcept { return deadline[id]; });
  }
  /// All that is due, in no order.
  std::vector<entry_id> take_all(instant now) {
    std::vector<entry_id> due;
    std::size_t steps = 1'000'000;
    for (entry_id id = take(now, steps); id != no_entry; id = take(now, steps)) due.push_back(id);
    std::sort(due.begin(), due.end());
    return due;
  }

  timing_wheel wheel;
  std::vector<entry_links> link;
  std::vector<instant> deadline;
};

using ids = std::vector<entry_id>;
instant const hour = instant::at(1h);

}  // namespace

TEST_CASE("timing_wheel: nothing in, nothing out", "[detail]") {
  watched w(hour);
  CHECK(w.take_all(hour).empty());
  CHECK(w.take_all(hour + 100 * year).empty());
  std::size_t steps = 0;
  w.insert(0, instant::max());
  CHECK(w.take(hour + 110 * year, steps) == no_entry);  // no steps: nothing is looked at
}

TEST_CASE("timing_wheel: due at its deadline, found at most one tick later, for lives of any length",
          "[detail]") {
  for (nanoseconds const life :
       {nanoseconds(1ns), tick - 1ns, tick, tick + 1ns, 63 * tick, 64 * tick, 65 * tick, nanoseconds(1s),
        nanoseconds(1min), 4096 * tick, 4097 * tick, nanoseconds(1h), nanoseconds(24h), 30 * nanoseconds(24h),
        year, 10 * year, 100 * year}) {
    for (instant const start : {hour, hour + 1ns, instant::at(tick * 64), instant::at(tick * 64 - 1ns),
                                instant{}, instant{-1}, instant::at(-50 * year)}) {
      CAPTURE(life.count(), start.ns);
      watched w(start);
      instant const deadline = start + life;
      w.insert(0, deadline);
      CHECK(w.take_all(deadline - 1ns).empty());
      CHECK(w.take_all(deadline + tick) == ids{0});
      CHECK(w.take_all(deadline + 2 * tick).empty());

      watched in_one_leap(start);
      in_one_leap.insert(0, deadline);
      CHECK(in_one_leap.take_all(deadline + 50 * year) == ids{0});
    }
  }
}

TEST_CASE("timing_wheel: on the border of a tick an entry is found at its very deadline", "[detail]") {
  for (std::int64_t const n :
       {std::int64_t{1}, std::int64_t{63}, std::int64_t{64}, std::int64_t{4096 * 64 + 5}}) {
    watched w(instant::at(0s));
    instant const deadline = instant::at(n * tick);
    w.insert(0, deadline);
    CHECK(w.take_all(deadline - 1ns).empty());
    CHECK(w.take_all(deadline) == ids{0});
  }
}

TEST_CASE("timing_wheel: what is due already is found within a tick; what never is stays", "[detail]") {
  watched w(hour);
  w.insert(0, hour);
  w.insert(1, hour - 1h);
  w.insert(2, instant::min());
  w.insert(3, instant::max());
  w.insert(4, {instant::max().ns - 1});
  CHECK(w.take_all(hour + tick) == ids{0, 1, 2});
  CHECK(w.take_all({instant::max().ns - 2 * tick.count()}).empty());
  w.remove(3);
  w.remove(4);
}

TEST_CASE("timing_wheel: many of one tick all come, whoever was removed does not", "[detail]") {
  watched w(hour);
  for (entry_id id = 0; id != 10; ++id) w.insert(id, hour + 5s);
  for (entry_id const id : {9u, 0u, 4u, 5u}) w.remove(id);  // the head of a slot, its end, its middle
  CHECK(w.take_all(hour + 6s) == ids{1, 2, 3, 6, 7, 8});
  w.insert(0, hour + 7s);
  w.remove(0);  // alone in its slot
  w.insert(1, hour + 7s);
  CHECK(w.take_all(hour + 8s) == ids{1});
}

TEST_CASE("timing_wheel: each entry that is looked at is a step, and the next call goes on", "[detail]") {
  watched w(hour);
  for (entry_id id = 0; id != 10; ++id) w.insert(id, hour + 1ms);
  for (int taken = 0; taken < 10; ++taken) {
    std::size_t steps = 1;
    CHECK(w.take(hour + 1s, steps) != no_entry);
    CHECK(steps == 0);
  }
  std::size_t steps = 5;
  CHECK(w.take(hour + 1s, steps) == no_entry);
  CHECK(steps == 5);
}

TEST_CASE("timing_wheel: a slot that is half emptied takes removals and inserts", "[detail]") {
  watched w(hour);
  for (entry_id id = 0; id != 8; ++id) w.insert(id, hour + 1ms);
  std::size_t steps = 3;
  ids due;
  while (steps != 0) due.push_back(w.take(hour + 1s, steps));
  ids left;
  for (entry_id id = 0; id != 8; ++id) {
    if (std::find(due.begin(), due.end(), id) == due.end()) left.push_back(id);
  }
  REQUIRE(left.size() == 5);
  w.remove(left[0]);
  w.remove(left[4]);
  w.remove(left[2]);
  w.insert(left[0], hour + 2s);
  w.insert(due[0], hour + 1ms);  // due already
  CHECK(w.take_all(hour + 1s + tick) == [&] {
    ids expected{left[1], left[3], due[0]};
    std::sort(expected.begin(), expected.end());
    return expected;
  }());
  CHECK(w.take_all(hour + 2s + tick) == ids{left[0]});
}

TEST_CASE("timing_wheel: a deadline that moves later needs no call", "[detail]") {
  watched w(hour);
  w.insert(0, hour + 1s);
  w.deadline[0] = hour + 5s;
  CHECK(w.take_all(hour + 2s).empty());
  w.deadline[0] = hour + 100 * year;
  CHECK(w.take_all(hour + 6s).empty());
  w.deadline[0] = hour + 7s;  // earlier than it was thought to be, so it must be told
  w.remove(0);
  w.insert(0, hour + 7s);
  CHECK(w.take_all(hour + 7s + tick) == ids{0});
}

TEST_CASE("timing_wheel: a reading of the clock that is a little old does no harm", "[detail]") {
  watched w(hour);
  w.insert(0, hour + 10 * tick);
  w.insert(1, hour + 20 * tick);
  CHECK(w.take_all(hour + 15 * tick) == ids{0});
  CHECK(w.take_all(hour + 12 * tick).empty());
  w.insert(2, hour + 13 * tick);  // a life that began, and was to end, before the last reading
  w.insert(3, hour + 16 * tick);
  CHECK(w.take_all(hour + 12 * tick).empty());
  CHECK(w.take_all(hour + 17 * tick) == ids{2, 3});
  CHECK(w.take_all(hour + 21 * tick) == ids{1});

  // Old while a slot is half emptied: what is not due yet by that reading comes at the next one.
  for (entry_id id = 0; id != 4; ++id) w.insert(id, hour + 30 * tick);
  std::size_t steps = 1;
  CHECK(w.take(hour + 35 * tick, steps) != no_entry);
  CHECK(w.take_all(hour + 29 * tick).empty());
  CHECK(w.take_all(hour + 36 * tick).size() == 3);
}

TEST_CASE("timing_wheel: passing a century of empty slots costs no step", "[detail]") {
  watched w(hour);
  w.insert(0, hour + 100 * year);
  std::size_t steps = 10;  // one for each level at most, whatever lies between
  entry_id found = no_entry;
  for (int i = 0; i < 10 && found == no_entry; ++i) found = w.take(hour + 100 * year + tick, steps);
  CHECK(found == 0);
}
