// SPDX-License-Identifier: BSL-1.0

// Rows 5 and 23: calls beside each other, in virtual time and on the wall clock. What is measured is the time
// between the first call and the last end that the fake back-end saw.

#include "gains/table.hpp"

#include <tideover/parallel.hpp>
#include <tideover/policy/clock.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace gains {

namespace {

using std::chrono::nanoseconds;
using tideover::instant;
using tideover::manual_clock;

nanoseconds seconds(double s) { return nanoseconds(static_cast<std::int64_t>(s * 1e9)); }

/// A back-end whose calls take a while by the clock, and that notes when the first began and the last ended.
template <class Clock>
class backend {
 public:
  backend(Clock clock, nanoseconds takes) : clock_(std::move(clock)), takes_(takes) {}

  int operator()(int value) {
    instant const begin = clock_.precise_now();
    std::mutex mine;
    std::condition_variable cv;
    std::unique_lock sleeping(mine);
    while (clock_.precise_now() < begin + takes_) clock_.wait_until(cv, sleeping, begin + takes_);
    std::lock_guard lock(mutex_);
    first_ = std::min(first_, begin);
    last_ = std::max(last_, clock_.precise_now());
    ++ended_;
    return value;
  }
  std::size_t ended() const { return ended_; }
  double elapsed() const { return std::chrono::duration<double>(last_ - first_).count(); }

 private:
  Clock clock_;
  nanoseconds takes_;
  std::mutex mutex_;
  std::atomic<std::size_t> ended_{0};
  instant first_ = instant::max();
  instant last_ = instant::min();
};

/// Moves the clock to the next instant that is waited for, whenever all calls wait that can be under way: as
/// many as there are workers, or as are left.
template <class Work>
void drive(manual_clock const& clock, backend<manual_clock> const& b, std::size_t calls, std::size_t workers,
           Work work) {
  std::atomic<bool> done = false;
  std::thread caller([&] {
    work();
    done = true;
  });
  while (!done) {
    std::size_t const waiting = std::min(workers, calls - b.ended());
    if (waiting != 0 && clock.sleepers() == waiting) {
      clock.set(clock.next_wake());
    } else {
      std::this_thread::yield();
    }
  }
  caller.join();
}

std::vector<int> numbers(std::size_t n) { return std::vector<int>(n, 1); }

double in_virtual_time(std::size_t calls, std::size_t workers, double takes) {
  manual_clock clock;
  backend b(clock, seconds(takes));
  tideover::owned_threads pool{workers};
  drive(clock, b, calls, workers, [&] {
    tideover::map_reduce(pool, numbers(calls), [&](int i) { return b(i); }, std::plus<>(),
                         {.max_workers = workers});
  });
  return b.elapsed();
}

double on_the_wall(std::size_t calls, std::size_t workers, double takes) {
  backend b(tideover::steady(), seconds(takes));
  tideover::owned_threads pool{workers};
  tideover::map_reduce(pool, numbers(calls), [&](int i) { return b(i); }, std::plus<>(),
                       {.max_workers = workers});
  return b.elapsed();
}

row common(char const* id, char const* claim, char const* documented, char const* mode) {
  row r;
  r.id = id;
  r.claim = claim;
  r.documented = documented;
  r.mode = mode;
  r.digits = 3;
  r.ordinary = "one call after the other";
  return r;
}

}  // namespace

void add_parallel_rows(table& t) {
  row gather = common("5", "three calls of 1 s, gathered", "3 s -> 1 s", "V");
  gather.unit.assign(1, 's');
  gather.expected = 1;
  gather.inputs = {{"call", 1, "s", 1e-3, 1e6}};
  gather.measure = [](inputs const& in, run const&) {
    manual_clock clock;
    backend b(clock, seconds(in["call"]));
    tideover::owned_threads pool{2};
    auto const call = [&] { return b(1); };
    drive(clock, b, 3, 3, [&] { tideover::gather(pool, call, call, call); });
    return sample{b.elapsed(), 3 * in["call"], {}};
  };
  t.add(std::move(gather));

  row wall =
      common("5b", "the same on the wall clock, calls of 100 ms: times the slowest", "1 (at most 1.15)", "W");
  wall.unit.assign(1, 'x');
  wall.expected = 1;
  wall.tolerance = 0.15;
  wall.inputs = {{"call", 0.1, "s", 1e-3, 10}};
  wall.measure = [](inputs const& in, run const&) {
    return sample{on_the_wall(3, 3, in["call"]) / in["call"], 3.0, {}};
  };
  t.add(std::move(wall));

  row contracts = common("23", "100 contracts of T, 5 workers", "20 T", "V");
  contracts.unit.assign(1, 'T');
  contracts.expected = 20;
  contracts.strong = "20 waves of 5 gathered calls: the same where all take equally long";
  contracts.inputs = {{"contracts", 100, "", 1, 1e4}, {"workers", 5, "", 1, 64}};
  contracts.measure = [](inputs const& in, run const&) {
    auto const n = static_cast<std::size_t>(in["contracts"]);
    auto const workers = std::min(n, static_cast<std::size_t>(in["workers"]));
    auto const waves = static_cast<double>((n + workers - 1) / workers);
    return sample{in_virtual_time(n, workers, 1), in["contracts"], waves};
  };
  t.add(std::move(contracts));

  row busy = common("23b", "the same on the wall clock, T = 20 ms", "20 T (at most 22)", "W");
  busy.unit.assign(1, 'T');
  busy.expected = 20;
  busy.tolerance = 2;
  busy.inputs = {{"contracts", 100, "", 1, 1e4}, {"workers", 5, "", 1, 64}};
  busy.measure = [](inputs const& in, run const&) {
    return sample{on_the_wall(static_cast<std::size_t>(in["contracts"]),
                              static_cast<std::size_t>(in["workers"]), 0.02) /
                      0.02,
                  in["contracts"],
                  {}};
  };
  t.add(std::move(busy));
}

}  // namespace gains
