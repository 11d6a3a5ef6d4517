// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/watchdog.hpp"

#include <tideover/parallel.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <vector>

/// Several callers share one small pool, and one another: groups of every kind, nested, failing at random,
/// with deadlines and stop tokens that strike while they run. Each item is counted where it is called; each
/// race that the test is about is counted where it happens, and one that never happened fails the test.
namespace {

using tideover::errc;
using tideover::error_handling;

constexpr int callers = 4;
using counter = std::atomic<std::size_t>;

struct races {
  counter helped{0}, failed{0}, cancelled{0}, timed_out{0}, stopped{0}, complete{0}, nested{0}, refused{0},
      late_failures{0}, told{0};
  // And what must never happen.
  counter called_twice{0}, counted_wrongly{0}, wrong_value{0}, too_many{0}, after_the_end{0};
};

struct bad_item : std::exception {};

class stress {
 public:
  void run(std::size_t groups, std::uint64_t seed) {
    std::vector<std::thread> threads;
    for (int self = 0; self < callers; ++self) {
      threads.emplace_back([this, self, groups, seed] {
        std::mt19937_64 random(seed + static_cast<std::uint64_t>(self));
        for (std::size_t i = 0; i < groups; ++i) group(random, 0);
      });
    }
    for (auto& t : threads) t.join();
  }

  races seen;

 private:
  void group(std::mt19937_64& random, int depth) {
    std::size_t const items = random() % 12;
    std::uint64_t const fails = random() % 4 == 0 ? random() % (items + 1) : items;
    std::size_t const workers = 1 + random() % 4;
    bool const nests = depth < 2 && random() % 16 == 0;
    std::uint64_t const inner_seed = random();
    std::stop_source stop;
    tideover::parallel_report r;
    tideover::parallel_options o{.max_workers = workers, .report = &r};
    if (random() % 2 == 0) o.errors = error_handling::collect_all;
    if (random() % 4 == 0) o.until.stop = stop.get_token();
    if (random() % 8 == 0) {
      o.until.at = tideover::steady::precise_now() + std::chrono::microseconds(random() % 60);
    }
    std::uint64_t const stops = random() % (items + 1);

    std::vector<counter> calls(items);
    std::vector<std::size_t> places(items);
    for (std::size_t i = 0; i < items; ++i) places[i] = i;
    counter inside{0};
    std::atomic<bool> ended{false};
    auto const caller = std::this_thread::get_id();
    auto const call = [&](std::size_t i, tideover::deadline const& until) -> std::size_t {
      if (ended) ++seen.after_the_end;
      if (++inside > workers) ++seen.too_many;
      if (++calls[i] != 1) ++seen.called_twice;
      if (std::this_thread::get_id() != caller) ++seen.helped;
      if (i == stops && o.until.stop.stop_possible()) stop.request_stop();
      if (nests && i % 4 == 0) {
        ++seen.nested;
        std::mt19937_64 inner(inner_seed + i);
        group(inner, depth + 1);
      }
      if (i % 3 == 0) std::this_thread::yield();
      if (until.stop.stop_requested()) ++seen.told;
      --inside;
      if (i >= fails) throw bad_item();
      return i + 1;
    };
    auto const all = tideover::map_reduce(
        pool_, places, call, [](std::vector<tideover::result<std::size_t>> v) { return v; }, o);
    ended = true;

    std::size_t started = 0, failed = 0, never = 0;
    for (std::size_t i = 0; i < items; ++i) {
      started += calls[i];
      if (all[i]) {
        if (*all[i] != i + 1 || calls[i] != 1) ++seen.wrong_value;
      } else if (all[i].code() == errc::computation_failed) {
        ++failed;
        if (calls[i] != 1) ++seen.wrong_value;
      } else {
        ++never;
        if (calls[i] != 0) ++seen.wrong_value;
        if (all[i].code() == errc::timed_out) ++seen.timed_out;
        if (all[i].code() == errc::cancelled)
          o.until.stop.stop_requested() ? ++seen.stopped : ++seen.cancelled;
      }
    }
    if (r.calls != items || r.started != started || r.failed != failed || r.cancelled != never) {
      ++seen.counted_wrongly;
    }
    seen.refused += r.refused;
    if (failed > 0) ++seen.failed;
    if (failed > 1 && o.errors == error_handling::fail_fast) ++seen.late_failures;
    if (never == 0 && failed == 0 && items > 0) ++seen.complete;
  }

  tideover::owned_threads pool_{3, 2};  // a queue so short that it is full at times
};

}  // namespace

TEST_CASE("A1: A2: A3: A4: groups of every kind on one pool, all at once", "[stress]") {
  tideover_test::watchdog const guard("parallel stress", std::chrono::seconds(600));
  std::size_t const groups = tideover_test::number_from("TIDEOVER_STRESS_CALLS", 20'000) / 8;
  stress s;
  s.run(groups, tideover_test::run_seed());
  CHECK(s.seen.called_twice == 0);
  CHECK(s.seen.counted_wrongly == 0);
  CHECK(s.seen.wrong_value == 0);
  CHECK(s.seen.too_many == 0);
  CHECK(s.seen.after_the_end == 0);
  if (groups < 600) return;
  CHECK(s.seen.helped > 0);
  CHECK(s.seen.failed > 0);
  CHECK(s.seen.late_failures > 0);
  CHECK(s.seen.cancelled > 0);
  CHECK(s.seen.timed_out > 0);
  CHECK(s.seen.stopped > 0);
  CHECK(s.seen.complete > 0);
  CHECK(s.seen.nested > 0);
  CHECK(s.seen.refused > 0);
  CHECK(s.seen.told > 0);
}

TEST_CASE("A5: lanes and stages never meet themselves", "[stress]") {
  tideover_test::watchdog const guard("parallel stress: lanes and stages", std::chrono::seconds(600));
  std::size_t const rounds = tideover_test::number_from("TIDEOVER_STRESS_CALLS", 20'000) / 100;
  tideover::owned_threads pool{3};
  std::vector<int> const items(50, 1);
  counter met{0}, beside{0};
  struct place {
    // Plain: two threads at once, or one that does not see what the other did, is a race that TSan sees.
    std::size_t count = 0;
    std::atomic<bool> busy{false};
  };
  std::vector<place> places(3);
  counter inside{0};
  auto const visit = [&](std::size_t where) {
    return [&, where](int i) {
      if (places[where].busy.exchange(true)) ++met;
      if (++inside > 1) ++beside;
      ++places[where].count;
      if (places[where].count % 5 == 0) std::this_thread::yield();
      --inside;
      places[where].busy = false;
      return i;
    };
  };
  std::vector<std::function<int(int)>> const workers{visit(0), visit(1), visit(2)};
  tideover::pipeline line(visit(0), visit(1), visit(2));
  for (std::size_t i = 0; i < rounds; ++i) {
    CHECK(tideover::round_robin(pool, items, workers) == items);
    CHECK(line.run(pool, items) == items);
  }
  CHECK(met == 0);
  CHECK(places[0].count + places[1].count + places[2].count == rounds * 200);
  if (rounds >= 50) CHECK(beside > 0);
}
