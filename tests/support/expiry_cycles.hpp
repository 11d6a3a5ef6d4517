// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/cached.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/backoff.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/early_refresh/xfetch.hpp>
#include <tideover/policy/eviction/fifo.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/policy/rng.hpp>
#include <tideover/stampede_guard.hpp>
#include <tideover/ttl_cache.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

/// One hot key that expires again and again, in virtual time: callers come by a Poisson process, computing
/// takes a constant time delta, an entry lives for 60 delta. What a cycle costs is known in closed form
/// (docs/stampede_guard.md), so that tests and benchmarks can hold the real code to it. Needs nothing of the
/// tests: the benchmarks use it too.
namespace expiry_cycles {

using std::chrono::nanoseconds;
using tideover::instant;

inline constexpr nanoseconds delta = std::chrono::seconds(1);
inline constexpr nanoseconds ttl = 60 * delta;

struct tally {
  std::vector<std::uint64_t> sizes;  ///< how many cycles had so many computations
  std::uint64_t cycles = 0;
  std::uint64_t computations = 0;
  double gap_sum = 0;  ///< of the first refresh of each cycle to the expiry, in delta; late ones count 0
  std::uint64_t visible = 0;     ///< cycles in which the entry was gone before its refresh was there
  std::uint64_t blocked = 0;     ///< callers that had to wait for another's computation
  std::uint64_t duplicates = 0;  ///< computations that began while another was under way

  double mean_size() const { return static_cast<double>(computations) / static_cast<double>(cycles); }
  double mean_gap() const { return gap_sum / static_cast<double>(cycles); }
  double visible_share() const { return static_cast<double>(visible) / static_cast<double>(cycles); }
  void end_cycle(std::uint64_t size) {
    if (sizes.size() <= size) sizes.resize(size + 1);
    ++sizes[size];
    ++cycles;
    computations += size;
  }
};

class poisson {
 public:
  poisson(double per_delta, std::uint64_t seed)
      : rng_(seed), mean_ns_(static_cast<double>(delta.count()) / per_delta) {}
  nanoseconds operator()() {
    double const u = 1.0 - tideover::to_unit_interval(rng_());
    return nanoseconds(static_cast<std::int64_t>(-std::log(u) * mean_ns_) + 1);
  }

 private:
  tideover::xoshiro rng_;
  double mean_ns_;
};

/// Every caller for itself: whoever `decide(now, soft_expiry, delta, ttl, rng)` tells to computes, and so
/// does whoever comes after the expiry, until the first result is there. `reach`: nobody is told so before,
/// or so rarely that it does not matter; callers before it are skipped.
template <class Decide>
tally unprotected(Decide const& decide, nanoseconds reach, double per_delta, std::uint64_t cycles,
                  std::uint64_t seed) {
  tally t;
  poisson next(per_delta, seed);
  tideover::xoshiro rng(seed ^ 0x5DEECE66Du);
  for (std::uint64_t c = 0; c != cycles; ++c) {
    instant const soft = instant{0} + ttl;
    instant now = soft - std::min(reach, ttl);
    instant landing = instant::max();
    std::uint64_t size = 0;
    for (now += next(); now < landing; now += next()) {
      if (now < soft && !decide(now, soft, delta, ttl, rng)) continue;
      if (++size != 1) continue;
      landing = now + delta;
      t.gap_sum +=
          now < soft ? static_cast<double>((soft - now).count()) / static_cast<double>(delta.count()) : 0.0;
      t.visible += landing > soft ? 1u : 0u;
    }
    t.end_cycle(size);
  }
  return t;
}

/// The whole guard, on a ttl_cache: while one caller computes the others come and go, in virtual time as
/// well.
class guarded {
 public:
  guarded(tideover::xfetch_options o, double per_delta, std::uint64_t seed)
      : next_(per_delta, seed),
        reach_(std::min(
            nanoseconds(static_cast<std::int64_t>(18.0 * o.beta * static_cast<double>(delta.count()))),
            ttl / 2)),
        guard_({.capacity = 10}, options(), clock_, tideover::xfetch(o),
               tideover::xoshiro(seed ^ 0x2545F491u)) {
    guard_.get_or_compute(0, [this] { return clock_.advance(delta), 0; });  // delta is known from the start
    soft_ = clock_.now() + ttl;
    clock_.set(soft_ - reach_);
  }

  /// Between cycles the callers that could only hit are skipped.
  tally run(std::uint64_t cycles) {
    while (tally_.cycles != cycles) {
      clock_.advance(next_());
      guard_.get_or_compute(0, computing{*this});
      if (restart_) {
        restart_ = false;
        clock_.set(soft_ - reach_);
      }
    }
    return tally_;
  }
  auto stats() const { return guard_.stats(); }

 private:
  struct computing {
    guarded& self;
    int operator()() const { return self.compute(); }
  };
  static tideover::stampede_guard_options options() {
    tideover::stampede_guard_options o;
    o.ttl = ttl;
    return o;
  }

  int compute() {
    if (busy_) return static_cast<int>(++tally_.duplicates);
    busy_ = true;
    instant const began = clock_.now();
    instant const landing = began + delta;
    if (began < soft_) {
      tally_.gap_sum += static_cast<double>((soft_ - began).count()) / static_cast<double>(delta.count());
    }
    tally_.visible += landing > soft_ ? 1u : 0u;
    std::uint64_t const before = tally_.duplicates;
    for (instant t = began + next_(); t < landing; t += next_()) {
      clock_.set(t);
      // On this very thread waiting is a cycle: who is told so is who would have had to wait.
      tally_.blocked += guard_.try_get_or_compute(0, computing{*this}) ? 0u : 1u;
    }
    clock_.set(landing);
    tally_.end_cycle(1 + tally_.duplicates - before);
    soft_ = landing + ttl;
    restart_ = true;
    busy_ = false;
    return 0;
  }

  using store = tideover::ttl_cache<int, tideover::cached<int>, tideover::manual_clock, tideover::fifo,
                                    tideover::single_threaded>;

  tideover::manual_clock clock_;
  poisson next_;
  nanoseconds reach_;
  tideover::stampede_guard<store, tideover::xfetch, tideover::no_backoff> guard_;
  tally tally_;
  instant soft_{};
  bool busy_ = false;
  bool restart_ = false;
};

// ---- What theory says
// -------------------------------------------------------------------------------------------

/// E[S] of XFetch where every caller is for itself and calls are many.
inline double expected_size(double beta) { return std::exp(1.0 / beta); }
inline double size_deviation(double beta) { return std::sqrt(std::exp(2.0 / beta) - std::exp(1.0 / beta)); }
/// Ein(k), the entire exponential integral: the integral of (1 - e^-t) / t from 0 to k. By Simpson's rule.
inline double ein(double k) {
  auto const f = [](double t) { return t < 1e-9 ? 1.0 : -std::expm1(-t) / t; };
  // Up to 1 as it is, beyond with t = e^x, so that the steps suit both.
  auto const simpson = [](auto g, double a, double b) {
    constexpr int n = 2000;
    double const h = (b - a) / n;
    double sum = g(a) + g(b);
    for (int i = 1; i != n; ++i) sum += g(a + i * h) * (i % 2 == 1 ? 4.0 : 2.0);
    return sum * h / 3.0;
  };
  double const low = simpson(f, 0.0, std::min(k, 1.0));
  if (k <= 1.0) return low;
  return low + simpson([](double x) { return -std::expm1(-std::exp(x)); }, 0.0, std::log(k));
}
/// Of the first refresh to the expiry, in delta.
inline double expected_gap(double beta, double per_delta) { return beta * ein(per_delta * beta); }
inline double expected_visible(double beta, double per_delta) {
  return std::exp(-per_delta * beta * std::exp(-1.0 / beta));
}

/// The chance of a sample at least as odd as this, if sizes are geometric with p = e^(-1/beta): chi-square
/// over bins that expect five cycles or more, by Wilson and Hilferty's approximation.
inline double geometric_p_value(tally const& t, double beta) {
  double const p = std::exp(-1.0 / beta);
  double const n = static_cast<double>(t.cycles);
  double chi_square = 0, rest_expected = n, rest_seen = n;
  int bins = 0;
  for (std::size_t size = 1; rest_expected * p >= 5.0 && rest_expected * (1.0 - p) >= 5.0; ++size) {
    double const expected = rest_expected * p;
    double const seen = size < t.sizes.size() ? static_cast<double>(t.sizes[size]) : 0.0;
    chi_square += (seen - expected) * (seen - expected) / expected;
    rest_expected -= expected;
    rest_seen -= seen;
    ++bins;
  }
  chi_square += (rest_seen - rest_expected) * (rest_seen - rest_expected) / rest_expected;
  double const freedom = bins;
  double const z =
      (std::cbrt(chi_square / freedom) - (1.0 - 2.0 / (9.0 * freedom))) / std::sqrt(2.0 / (9.0 * freedom));
  return 0.5 * std::erfc(z / std::sqrt(2.0));
}

}  // namespace expiry_cycles
