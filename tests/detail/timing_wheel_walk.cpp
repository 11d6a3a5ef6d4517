// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"

#include <tideover/detail/timing_wheel.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

// The wheel beside a vector of deadlines that is searched from end to end.

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using tideover::entry_id;
using tideover::entry_links;
using tideover::instant;
using tideover::no_entry;

constexpr nanoseconds tick{std::int64_t{1} << 20};
constexpr nanoseconds year = 24h * 365;

struct walk_plan {
  char const* name;
  std::size_t entries;
  instant start;
  std::size_t most_steps;  ///< of one call; 0: always enough for all
  bool mostly_old;         ///< the clock is often read a little in the past
  nanoseconds longest_jump;
};

class walk {
 public:
  walk(walk_plan plan, std::uint64_t seed)
      : plan_(plan),
        random_(seed),
        now_(plan.start),
        latest_(plan.start),
        wheel_(plan.start),
        links_(plan.entries),
        entries_(plan.entries) {}

  std::string run(std::size_t steps) {
    for (std::size_t step = 1; step <= steps; ++step) {
      std::string const problem = one_step();
      if (!problem.empty())
        return std::string(plan_.name) + ", step " + std::to_string(step) + ": " + problem;
    }
    return "";
  }
  std::size_t taken() const { return taken_; }

 private:
  struct entry {
    bool inside = false;
    instant deadline;
    instant told;  ///< when its deadline was last told, by the latest reading of the clock until then
  };

  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  /// Durations of all magnitudes, up to about `most`.
  nanoseconds some_time(nanoseconds most) {
    std::uint64_t const bits = below(std::uint64_t(63 - __builtin_clzll(std::uint64_t(most.count()))) + 1);
    return nanoseconds(std::int64_t((std::uint64_t{1} << bits) + below(std::uint64_t{1} << bits)));
  }
  nanoseconds some_life() {
    switch (below(6)) {
      case 0:
        return nanoseconds(std::int64_t(1 + below(3)));
      case 1:
        return tick * std::int64_t(1 + below(130)) + nanoseconds(std::int64_t(below(3)) - 1);
      case 2:
        return nanoseconds(1min);  // many on one slot
      default:
        return some_time(100 * year);
    }
  }
  auto links() {
    return [this](entry_id id) noexcept -> entry_links& { return links_[id]; };
  }

  std::string one_step() {
    auto const id = static_cast<entry_id>(below(plan_.entries));
    entry& e = entries_[id];
    switch (below(10)) {
      case 0:
      case 1:
      case 2:
      case 3:
        if (e.inside) break;
        e = {true, reading() + some_life(), latest_};
        if (below(200) == 0) e.deadline = instant::max();
        wheel_.insert(links(), id, e.deadline);
        break;
      case 4:
        if (!e.inside) break;
        wheel_.remove(links(), id);
        e.inside = false;
        break;
      case 5:  // a hit: its deadline moves later, and nobody tells
        if (!e.inside || e.deadline <= latest_) break;
        e.deadline = std::max(e.deadline, reading() + some_life());
        break;
      case 6:  // a shorter life: told
        if (!e.inside) break;
        wheel_.remove(links(), id);
        e.deadline = std::min(e.deadline, reading() + some_life());
        e.told = latest_;
        wheel_.insert(links(), id, e.deadline);
        break;
      case 7:
        if (below(4) == 0) now_ = std::min(now_ + some_time(plan_.longest_jump), plan_.start + 120 * year);
        break;
      case 8:
        now_ = now_ + some_time(4 * tick);
        break;
      default:
        return take(plan_.most_steps == 0 ? 1'000'000 : 1 + below(plan_.most_steps));
    }
    return "";
  }
  /// The time, as a thread may have read it that was held up since.
  instant reading() {
    instant const read = plan_.mostly_old && below(2) == 0 ? now_ - some_time(10 * tick) : now_;
    latest_ = std::max(latest_, read);
    return read;
  }
  std::string take(std::size_t const budget) {
    instant const now = reading();
    std::size_t steps = budget;
    for (;;) {
      std::size_t const before = steps;
      entry_id const id =
          wheel_.take_due(now, steps, links(), [this](entry_id i) noexcept { return entries_[i].deadline; });
      if (steps > before) return "steps were given back";
      if (id == no_entry) break;
      if (steps == before) return "an entry that cost no step";
      if (!entries_[id].inside) return "an entry that is not inside";
      if (entries_[id].deadline > now) return "an entry before its deadline";
      entries_[id].inside = false;
      ++taken_;
    }
    if (steps == 0 || now < latest_) return "";
    // It had steps left and the time is the latest: nothing may be left that was due a tick ago.
    for (entry_id id = 0; id != plan_.entries; ++id) {
      entry const& e = entries_[id];
      instant const due = std::max(e.deadline, e.told);
      if (e.inside && due + tick <= now)
        return "entry " + std::to_string(id) + " is late by " + std::to_string((now - e.deadline).count()) +
               " ns";
    }
    return "";
  }

  walk_plan plan_;
  std::mt19937_64 random_;
  instant now_;
  instant latest_;
  tideover::detail::timing_wheel wheel_;
  std::vector<entry_links> links_;
  std::vector<entry> entries_;
  std::size_t taken_ = 0;
};

}  // namespace

TEST_CASE("timing_wheel: a random walk beside a search of all deadlines", "[detail]") {
  std::uint64_t const seed = tideover_test::run_seed();
  std::size_t const steps = std::size_t(tideover_test::number_from("TIDEOVER_MODEL_STEPS", 100'000)) / 2;
  instant const hour = instant::at(1h);
  for (walk_plan const& plan : {
           walk_plan{"all at once", 50, hour, 0, false, nanoseconds(1h)},
           walk_plan{"few steps", 50, hour, 8, false, nanoseconds(1min)},
           walk_plan{"one step", 50, hour, 1, false, nanoseconds(1s)},
           walk_plan{"old readings", 50, hour, 8, true, nanoseconds(1min)},
           walk_plan{"old readings, all at once", 50, hour, 0, true, nanoseconds(1s)},
           walk_plan{"leaps of years", 50, hour, 0, false, year},
           walk_plan{"leaps of years, few steps", 50, hour, 8, false, 10 * year},
           walk_plan{"before the epoch", 50, instant::at(-60 * year), 8, true, 10 * year},
           walk_plan{"one entry", 1, hour, 2, true, nanoseconds(1min)},
           walk_plan{"many", 2000, hour, 8, true, nanoseconds(1min)},
       }) {
    CAPTURE(plan.name);
    std::size_t taken = 0;
    for (std::uint64_t round = 0; round < 20; ++round) {  // time may run out in any of them
      walk w(plan, seed + round);
      CHECK(w.run(steps / 20) == "");
      taken += w.taken();
    }
    CHECK(taken > steps / 1000);
  }
}
