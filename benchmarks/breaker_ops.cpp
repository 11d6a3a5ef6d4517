// SPDX-License-Identifier: BSL-1.0

// What does a guarded call cost beside the call itself? Each breaker and the bare call take turns in short
// slices (support/paired.hpp); what is reported is the median of the differences of neighbouring slices. Then
// rejections, and a breaker as one writes it by hand, with a mutex. Exits non-zero when a rejection or a call
// allocates, when the default breaker is larger than 128 bytes, or when a guarded call is not faster than the
// hand-written one.

#include "support/allocations.hpp"
#include "support/paired.hpp"
#include "support/report.hpp"

#include <tideover/circuit_breaker.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;

constexpr std::size_t calls_per_slice = 20'000;

template <class T>
void keep(T const& made) {
  asm volatile("" : : "g"(&made) : "memory");
}

/// What is guarded: a function that the compiler cannot look into, about as cheap as one can be.
[[gnu::noinline]] int back_end(int x) {
  asm volatile("" : "+r"(x));
  return x + 1;
}

/// By hand: a mutex taken twice, and no clock while closed.
class hand_written {
 public:
  template <class F>
  int call(F f) {
    {
      std::lock_guard lock(mutex_);
      if (failures_ >= 5) return -1;
    }
    int const r = f();
    std::lock_guard lock(mutex_);
    failures_ = 0;
    return r;
  }

 private:
  std::mutex mutex_;
  int failures_ = 0;
};

struct figure {
  std::string name;
  bench::median_summary added;  // nanoseconds over the bare call
  double direct;
  double asked;  // 0: nothing is
  double failing;
};

/// `call(i)` beside the bare call.
template <class Call>
bench::median_summary over_direct(std::size_t rounds, Call call, double& direct) {
  std::vector<double> differences, bare;
  auto const time = [](auto f) {
    double const begin = bench::thread_time::now();
    for (std::size_t i = 0; i < calls_per_slice; ++i) keep(f(static_cast<int>(i)));
    return (bench::thread_time::now() - begin) / static_cast<double>(calls_per_slice) * 1e9;
  };
  for (std::size_t r = 0; r < rounds; ++r) {
    double const guarded = time(call);
    double const alone = time(back_end);
    differences.push_back(guarded - alone);
    bare.push_back(alone);
  }
  direct = bench::summarise(bare).median;
  return bench::summarise(differences);
}

template <class Breaker>
figure measure(char const* name, std::size_t rounds, double asked, tideover::breaker_options const& o = {}) {
  Breaker b(o);
  figure f{};
  f.name = name;
  f.asked = asked;
  f.added = over_direct(
      rounds, [&](int i) { return b.call([i] { return back_end(i); }); }, f.direct);
  // One call in sixteen fails, as a value; options under which that trips nothing.
  double unused = 0;
  f.failing = over_direct(
                  rounds,
                  [&](int i) {
                    auto p = b.try_acquire();
                    int const r = back_end(i);
                    i % 16 == 0 ? p->fail() : p->succeed();
                    return r;
                  },
                  unused)
                  .median;
  return f;
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t rounds = 61;
  std::filesystem::path out = "build/breaker_ops.json";
  CLI::App options("The cost of a guarded call.");
  options.add_option("--rounds", rounds, "pairs of slices")
      ->check(CLI::Range(3, 100'000))
      ->capture_default_str();
  options.add_option("--out", out, "file for the figures, JSON");
  CLI11_PARSE(options, argc, argv);
  try {
    using namespace tideover;
    breaker_options const timed{.failure_rate = 1, .slow_after = 1h};
    breaker_options const rate{.failure_rate = 1};
    std::vector<figure> figures{
        measure<circuit_breaker<>>("consecutive_failures", rounds, 2),
        measure<circuit_breaker<single_threaded>>("the same, single_threaded", rounds, 0),
        measure<circuit_breaker<counting>>("the same, counting", rounds, 0),
        measure<circuit_breaker<failure_rate_in_last<100>>>("failure_rate_in_last<100>", rounds, 8, rate),
        measure<circuit_breaker<failure_rate_over<10>>>("failure_rate_over<10>", rounds, 20, rate),
        measure<circuit_breaker<failure_rate_in_last<100>>>("in_last<100>, slow calls told", rounds, 0,
                                                            timed),
        measure<circuit_breaker<adaptive_throttle>>("adaptive_throttle", rounds, 0),
    };
    hand_written by_hand;
    figure hand{};
    hand.name = "by hand: mutex twice";
    hand.added = over_direct(
        rounds, [&](int i) { return by_hand.call([i] { return back_end(i); }); }, hand.direct);

    bool good = sizeof(circuit_breaker<>) <= 128 && figures[0].added.median < hand.added.low;
    bench::print_heading("breaker: nanoseconds that a permitted call takes over the bare call");
    bench::table table({"breaker", "added", "95 %", "two steps, 1 of 16 fails", "bare call", "asked", ""},
                       {0, 6});
    nlohmann::ordered_json json;
    figures.push_back(hand);
    for (figure const& f : figures) {
      table.add({f.name, fmt::format("{:.2f}", f.added.median),
                 fmt::format("{:.2f}..{:.2f}", f.added.low, f.added.high),
                 f.failing == 0 ? "" : fmt::format("{:.2f}", f.failing), fmt::format("{:.2f}", f.direct),
                 f.asked == 0 ? "" : fmt::format("<= {:.0f}", f.asked),
                 f.asked == 0                ? ""
                 : f.added.median <= f.asked ? "reached"
                                             : "missed"});
      json["permitted"].push_back({{"breaker", f.name},
                                   {"added_ns", f.added.median},
                                   {"low", f.added.low},
                                   {"high", f.added.high},
                                   {"one_in_16_fails_ns", f.failing},
                                   {"bare_ns", f.direct},
                                   {"asked", f.asked}});
    }
    table.print();

    circuit_breaker<> open({.failure_threshold = 1, .recovery_timeout = 1h});
    open.acquire().fail();
    circuit_breaker<> forced({});
    forced.force_open();
    double direct = 0;
    std::size_t const before = bench::allocations();
    auto const rejected = over_direct(
        rounds, [&](int i) { return open.try_call([i] { return back_end(i); }).has_value(); }, direct);
    auto const refused = over_direct(
        rounds, [&](int i) { return forced.try_call([i] { return back_end(i); }).has_value(); }, direct);
    std::size_t const allocated = bench::allocations() - before;
    // What the harness itself keeps: the samples of its rounds.
    bool const allocates = allocated > 64;
    good = good && !allocates;
    fmt::print("A rejection, in all: {:.1f} ns while open, {:.1f} ns forced open (asked: <= 20, {}).\n",
               rejected.median + direct, refused.median + direct,
               rejected.median + direct <= 20 ? "reached" : "missed");
    fmt::print(
        "{} rejections: {}. A default breaker has {} bytes, a permit {}, one with a window of 100 calls "
        "{}.\n",
        2 * rounds * calls_per_slice, allocates ? "ALLOCATIONS" : "no allocation", sizeof(circuit_breaker<>),
        sizeof(circuit_breaker<>::permit), sizeof(circuit_breaker<failure_rate_in_last<100>>));
    json["rejection_ns"] = rejected.median + direct;
    json["forced_rejection_ns"] = refused.median + direct;
    json["allocations"] = allocates;
    json["bytes"] = sizeof(circuit_breaker<>);
    if (!out.empty()) bench::write_json(out, json);
    return good ? 0 : 1;
  } catch (std::exception const& e) {
    fmt::print(stderr, "breaker_ops: {}\n", e.what());
    return 2;
  }
}
