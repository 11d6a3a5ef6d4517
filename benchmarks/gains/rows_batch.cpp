// SPDX-License-Identifier: BSL-1.0

// Rows 1 to 4, 17 and 18: what batches give, in virtual time. The batch processor is the real one, driven by
// hand; every figure is made of instants that the fake back-end saw.

#include "gains/table.hpp"

#include <tideover/batch_processor.hpp>
#include <tideover/policy/clock.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace gains {

namespace {

using std::chrono::nanoseconds;
using tideover::instant;
using tideover::manual_clock;

nanoseconds milliseconds(double ms) { return nanoseconds(static_cast<std::int64_t>(ms * 1e6)); }
double in_milliseconds(nanoseconds d) { return std::chrono::duration<double, std::milli>(d).count(); }

/// A back-end whose call takes a time that grows by the same amount with each item: `single` for one, `batch`
/// for `full` of them.
class backend {
 public:
  explicit backend(inputs const& in)
      : single_(in["single"]), batch_(in["batch"]), full_(std::max(2.0, in["items"])) {}

  nanoseconds takes(std::size_t items) const {
    return milliseconds(single_ + (batch_ - single_) * (static_cast<double>(items) - 1) / (full_ - 1));
  }
  void called(instant begin, instant end) {
    first_ = std::min(first_, begin);
    last_ = std::max(last_, end);
  }
  double elapsed() const { return in_milliseconds(last_ - first_); }

 private:
  double single_;
  double batch_;
  double full_;
  instant first_ = instant::max();
  instant last_ = instant::min();
};

/// One call for each item over so many connections, each of which takes the next one when it is free.
double over_connections(inputs const& in, std::size_t connections) {
  backend b(in);
  std::vector<instant> free_at(connections);
  auto const items = static_cast<std::size_t>(in["items"]);
  for (std::size_t i = 0; i != items; ++i) {
    auto const c = std::min_element(free_at.begin(), free_at.end());
    instant const begin = *c;
    *c = begin + b.takes(1);
    b.called(begin, *c);
  }
  return b.elapsed();
}

/// The same items through a batch processor.
double batched(inputs const& in) {
  backend b(in);
  manual_clock clock;
  auto const sink = [&](std::span<int> items) {
    instant const begin = clock.now();
    clock.advance(b.takes(items.size()));
    b.called(begin, clock.now());
  };
  auto options = tideover::presets::batch::bulk_insert;
  options.max_items = static_cast<std::size_t>(in["max_items"]);
  options.max_pending = 1'000'000;
  tideover::batch_processor<int, manual_clock, tideover::hand_driven> rows(sink, options, clock);
  auto const items = static_cast<int>(in["items"]);
  for (int i = 0; i != items; ++i) static_cast<void>(rows.add(i).has_value());
  rows.flush(std::chrono::hours(24));
  return b.elapsed();
}

void add_insert(table& t, char const* id, char const* what, char const* documented, double single,
                double batch, double expected) {
  row r;
  r.id = id;
  r.claim = fmt::format("batch of 100: {}", what);
  r.documented = documented;
  r.mode.assign(1, 'V');  // an assigned "V" makes g++ 12 warn of an overlap that cannot be
  r.unit = "x";
  r.digits = 2;
  r.expected = expected;
  r.tolerance = expected / 100;
  r.ordinary = "the gain over 10 connections, each with one call at a time";
  r.strong = "the gain over 100 concurrent calls; below 1: the batch is slower";
  r.note = "reproduced: the gain over one call after the other, which is what the claim compares with";
  r.inputs = {{"single", single, "ms", 0.001, 1e6},
              {"batch", batch, "ms", 0.001, 1e6},
              {"items", 100, "", 1, 1e5},
              {"max_items", 100, "", 1, 1e5}};
  r.measure = [](inputs const& in, run const&) {
    double const ours = batched(in);
    return sample{over_connections(in, 1) / ours, over_connections(in, 10) / ours,
                  over_connections(in, 100) / ours};
  };
  t.add(std::move(r));
}

/// What arrivals at random give: items for each call of the sink, and how long they wait for it.
struct arrivals {
  double batch;
  double wait;     // ms, the mean over all items
  double longest;  // ms
};

arrivals arriving(inputs const& in, double rate, run const& how) {
  std::size_t const count = how.effort == effort::quick    ? 40'000
                            : how.effort == effort::normal ? 200'000
                                                           : 1'000'000;
  manual_clock clock;
  std::size_t calls = 0;
  double waits = 0;
  nanoseconds longest(0);
  auto const sink = [&](std::span<instant> items) {
    ++calls;
    for (instant const came : items) {
      longest = std::max(longest, clock.now() - came);
      waits += in_milliseconds(clock.now() - came);
    }
  };
  auto options = tideover::presets::batch::web_socket;
  options.max_items = static_cast<std::size_t>(in["max_items"]);
  options.linger = milliseconds(in["linger"]);
  tideover::batch_processor<instant, manual_clock, tideover::hand_driven> messages(sink, options, clock);
  std::mt19937_64 random(how.seed);
  std::exponential_distribution<double> gap(rate);
  instant next = clock.now();
  for (std::size_t i = 0; i != count; ++i) {
    next = next + milliseconds(gap(random) * 1e3);
    for (instant due = messages.next_deadline(); due <= next; due = messages.next_deadline()) {
      clock.set(due);
      messages.tick();
    }
    clock.set(next);
    static_cast<void>(messages.add(next).has_value());
    messages.tick();
  }
  // What is open is left out: it has not waited its time.
  double const items = static_cast<double>(messages.stats().delivered);
  return {items / static_cast<double>(calls), waits / items, in_milliseconds(longest)};
}

struct point {
  char const* suffix;
  double rate;
  double batch;
  double wait;  // ms
};

void add_arrivals(table& t, char const* id, char const* what, double max_items, double linger,
                  std::vector<point> const& points) {
  auto const make = [&](point const& p, char const* kind) {
    row r;
    r.id = fmt::format("{}{}{}", id, kind, p.suffix);
    r.mode.assign(1, 'V');
    r.inputs = {{"rate", p.rate, "/s", 1e-3, 1e6},
                {"max_items", max_items, "", 1, 1e6},
                {"linger", linger, "ms", 0, 1e7}};
    return r;
  };
  for (point const& p : points) {
    row batch = make(p, "");
    batch.claim = fmt::format("{}, {} items/s: items in a batch", what, p.rate);
    batch.documented = fmt::format("{}", p.batch);
    batch.unit = "";
    batch.digits = 2;
    batch.expected = p.batch;
    batch.tolerance = p.batch * 0.02;
    batch.ordinary = "a call for each item";
    batch.strong = "by count alone, without a linger";
    batch.note =
        "Poisson arrivals; a batch is sent when it is full or its first item has waited for the linger";
    batch.measure = [](inputs const& in, run const& how) {
      return sample{arriving(in, in["rate"], how).batch, 1.0, in["max_items"]};
    };
    t.add(std::move(batch));
  }
  for (point const& p : points) {
    row wait = make(p, "w");
    wait.claim = fmt::format("{}, {} items/s: mean wait", what, p.rate);
    wait.documented = fmt::format("{} ms", p.wait);
    wait.unit = "ms";
    wait.expected = p.wait;
    wait.tolerance = p.wait * 0.02;
    wait.ordinary = "a call for each item";
    wait.strong = "by count alone, without a linger";
    wait.measure = [](inputs const& in, run const& how) {
      return sample{arriving(in, in["rate"], how).wait, 0.0, (in["max_items"] - 1) / 2 / in["rate"] * 1e3};
    };
    t.add(std::move(wait));
  }
  row longest = make(points.front(), "m");
  longest.claim = fmt::format("{}: the longest wait of all, at any rate", what);
  longest.documented = fmt::format("{} ms", linger);
  longest.unit = "ms";
  longest.digits = 3;
  longest.expected = linger;
  longest.ordinary = "a call for each item";
  longest.note = "over all of the rates above";
  longest.inputs = {{"max_items", max_items, "", 1, 1e6}, {"linger", linger, "ms", 0, 1e7}};
  longest.measure = [points](inputs const& in, run const& how) {
    double most = 0;
    for (point const& p : points) most = std::max(most, arriving(in, p.rate, how).longest);
    return sample{most, 0.0, {}};
  };
  t.add(std::move(longest));
}

}  // namespace

void add_batch_rows(table& t) {
  add_insert(t, "1", "inserts into a warehouse", "83x", 100, 120, 100 * 100.0 / 120);
  add_insert(t, "2", "documents", "62x", 50, 80, 100 * 50.0 / 80);
  add_insert(t, "3", "an API", "80x", 200, 250, 100 * 200.0 / 250);
  add_insert(t, "4", "mails", "83x", 500, 600, 100 * 500.0 / 600);
  add_arrivals(t, "17", "web socket 50/100 ms", 50, 100,
               {{"", 1, 1.1, 95},
                {"b", 10, 2, 75},
                {"c", 100, 11, 55},
                {"d", 400, 40.7, 51},
                {"e", 500, 47.6, 47},
                {"f", 1'000, 50, 24.5},
                {"g", 5'000, 50, 4.9}});
  // The waits as the model has them, 5 s (1 + 5 r / 2) / (1 + 5 r), where the claim is rounded.
  add_arrivals(t, "18", "bulk insert 100/5 s", 100, 5'000,
               {{"", 1, 6, 2'917}, {"b", 10, 51, 2'549}, {"c", 100, 100, 495}});
}

}  // namespace gains
