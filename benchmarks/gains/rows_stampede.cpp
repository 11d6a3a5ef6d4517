// SPDX-License-Identifier: BSL-1.0

// Row 22: one hot key that expires. In virtual time the callers come by a Poisson process while it is being
// computed; on the wall clock a thousand threads come at once.

#include "gains/table.hpp"
#include "support/expiry_cycles.hpp"

#include <tideover/stampede_guard.hpp>
#include <tideover/ttl_cache.hpp>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace gains {

namespace {

using namespace std::chrono_literals;
using expiry_cycles::delta;
using expiry_cycles::tally;
using std::chrono::nanoseconds;

std::uint64_t cycles(run const& r) {
  return r.effort == effort::quick ? 4'000 : r.effort == effort::normal ? 10'000 : 20'000;
}
nanoseconds reach(double beta) {
  return nanoseconds(static_cast<std::int64_t>(18 * beta * static_cast<double>(delta.count())));
}
tally unprotected(inputs const& in, run const& r) {
  auto const nobody = [](auto const&...) { return false; };
  return expiry_cycles::unprotected(nobody, 0ns, in["callers"], cycles(r), r.seed);
}
tally xfetch_alone(inputs const& in, run const& r) {
  return expiry_cycles::unprotected(tideover::xfetch({.beta = in["beta"]}), reach(in["beta"]), in["callers"],
                                    cycles(r), r.seed);
}

sample with_guard(inputs const& in, run const& r) {
  expiry_cycles::guarded guard({.beta = in["beta"]}, in["callers"], r.seed);
  return {guard.run(cycles(r)).mean_size(), unprotected(in, r).mean_size(), xfetch_alone(in, r).mean_size()};
}

sample without_flights(inputs const& in, run const& r) {
  // As people do it without knowing what a computation costs.
  auto const in_the_last_tenth = [](tideover::instant now, tideover::instant soft, nanoseconds d, nanoseconds,
                                    auto& rng) {
    return soft - now < 10 * d && tideover::to_unit_interval(rng()) < 0.01;
  };
  return {xfetch_alone(in, r).mean_size(), unprotected(in, r).mean_size(),
          expiry_cycles::unprotected(in_the_last_tenth, 10 * delta, in["callers"], cycles(r), r.seed)
              .mean_size()};
}

/// How many of `callers` threads that come at once compute, each for `took`.
template <class Ask>
double computations(int callers, std::chrono::milliseconds took, Ask ask) {
  std::atomic<int> count{0};
  std::barrier<> start(callers);
  std::vector<std::thread> crew;
  for (int i = 0; i != callers; ++i) {
    crew.emplace_back([&] {
      start.arrive_and_wait();
      ask([&] {
        ++count;
        std::this_thread::sleep_for(took);
        return 1;
      });
    });
  }
  for (auto& t : crew) t.join();
  return count;
}

sample thousand_threads(inputs const& in, run const&) {
  auto const callers = static_cast<int>(in["callers"]);
  auto const took = std::chrono::milliseconds(static_cast<std::int64_t>(in["computation"]));
  using store = tideover::ttl_cache<int, tideover::cached<int>>;
  tideover::stampede_guard<store> guard({}, {.ttl = 1h});
  tideover::ttl_cache<int, int> plain({.ttl = 1h});
  return {computations(callers, took, [&](auto const& compute) { guard.get_or_compute(1, compute); }),
          computations(callers, took,
                       [&](auto const& compute) {
                         if (!plain.get(1)) plain.put(1, compute());
                       }),
          {}};
}

}  // namespace

void add_stampede_rows(table& t) {
  row guard;
  guard.id = "22";
  guard.claim = "stampede protection: computations for each expiry";
  guard.documented = "1";
  guard.mode = "V";
  guard.unit = "";
  guard.digits = 3;
  guard.expected = 1;
  guard.ordinary = "a TTL cache without protection: 1 + callers";
  guard.strong = "XFetch alone, each caller for itself: e^(1/beta)";
  guard.note = "stampede_guard over ttl_cache; `callers` come while one computation runs";
  guard.inputs = {{"callers", 100, "in a computation", 0.1, 1e4}, {"beta", 1, "", 0.1, 10}};
  guard.measure = with_guard;
  t.add(std::move(guard));

  row alone;
  alone.id = "22b";
  alone.claim = "XFetch alone: computations for each expiry";
  alone.documented = "e = 2.718 (theory)";
  alone.mode = "V";
  alone.unit = "";
  alone.digits = 3;
  alone.expected = 2.718;
  alone.tolerance = 0.061;
  alone.ordinary = "a TTL cache without protection: 1 + callers";
  alone.strong = "a fixed probability of 1 % in the last 10 computations' time";
  alone.note = "e^(1/beta) for many callers and a constant time of computing";
  alone.inputs = {{"callers", 100, "in a computation", 0.1, 1e4}, {"beta", 1, "", 0.1, 10}};
  alone.measure = without_flights;
  t.add(std::move(alone));

  row crowd;
  crowd.id = "22c";
  crowd.claim = "1,000 threads at once on a missing key: computations";
  crowd.documented = "1";
  crowd.mode = "W";
  crowd.unit = "";
  crowd.digits = 0;
  crowd.expected = 1;
  crowd.ordinary = "get, else compute and put";
  crowd.note = "threads that are let go together, each computation 50 ms";
  crowd.inputs = {{"callers", 1'000, "threads", 1, 10'000}, {"computation", 50, "ms", 1, 10'000}};
  crowd.measure = thousand_threads;
  t.add(std::move(crowd));
}

}  // namespace gains
