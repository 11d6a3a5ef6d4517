// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/statistics.hpp"

#include <time.h>

#include <cstddef>
#include <utility>
#include <vector>

/// Comparing pieces of code on a machine that others use too. One piece after the other, A A A B B B,
/// measures the machine's mood; A B A B in short slices exposes both to the same mood, and the median of the
/// ratios of neighbours repeats to well under 1 % where absolute times move by 14 %.
namespace bench {

inline double seconds_of(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// For work of the calling thread alone: time in which the thread was preempted does not count.
struct thread_time {
  static constexpr char const* name = "CPU time of the thread";
  static double now() { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }
};

/// For work of several threads.
struct wall_time {
  static constexpr char const* name = "wall time";
  static double now() { return seconds_of(CLOCK_MONOTONIC); }
};

/// Slices of one subject and its peers, taken in turn.
class paired {
 public:
  using times = std::vector<double>;

  /// Runs each slice once, in the order given, the subject first. Returns the seconds of each.
  template <class Stopwatch, class... Slice>
  times const& round(Stopwatch, Slice&&... slice) {
    times taken;
    taken.reserve(sizeof...(Slice));
    auto const take = [&](auto&& run) {
      double const start = Stopwatch::now();
      run();
      taken.push_back(Stopwatch::now() - start);
    };
    (take(slice), ...);
    return rounds_.emplace_back(std::move(taken));
  }

  /// A round that was run elsewhere: one time for each, in the same order every time.
  void add(times taken) { rounds_.push_back(std::move(taken)); }

  /// Time of one over time of another: below 1 the first is faster.
  median_summary ratio(std::size_t of, std::size_t to) const {
    std::vector<double> ratios;
    for (auto const& r : rounds_) ratios.push_back(r.at(of) / r.at(to));
    return summarise(std::move(ratios));
  }
  /// Time of the subject over time of the peer.
  median_summary ratio_to(std::size_t peer) const { return ratio(0, 1 + peer); }

  /// Seconds of a slice: the subject is 0, its peers follow.
  median_summary seconds(std::size_t which) const {
    std::vector<double> taken;
    for (auto const& r : rounds_) taken.push_back(r.at(which));
    return summarise(std::move(taken));
  }

 private:
  std::vector<times> rounds_;
};

}  // namespace bench
