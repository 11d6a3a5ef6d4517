// SPDX-License-Identifier: BSL-1.0

// How often is one hot key computed when it expires, and what does protection cost? In virtual time, where
// each figure has a closed form that the real code is held to: computations for each expiry by beta and load,
// beside no protection, a fixed probability, a random offset for each caller, and a lock. On the wall clock:
// a thousand threads on one expired key; the price of a hit through the guard over the bare cache's; the
// price of a flight that nobody joins. Exits non-zero when a figure of virtual time misses its closed form,
// or a computation ran twice.

#include "support/expiry_cycles.hpp"
#include "support/paired.hpp"
#include "support/plot.hpp"
#include "support/report.hpp"
#include "support/statistics.hpp"
#include "support/streams.hpp"

#include <tideover/single_flight.hpp>
#include <tideover/stampede_guard.hpp>
#include <tideover/ttl_cache.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using expiry_cycles::delta;
using expiry_cycles::tally;
using std::chrono::nanoseconds;

struct settings {
  std::string out = "build/stampede.json";
  std::string plot = "build/stampede.html";
  std::uint64_t seed = 6;
  std::uint64_t cycles = 20'000;
  std::size_t rounds = 61;
  bool quick = false;
};

nanoseconds deltas(double n) {
  return nanoseconds(static_cast<std::int64_t>(n * static_cast<double>(delta.count())));
}

// ---- Strategies
// -----------------------------------------------------------------------------------------------

struct nobody {
  template <class... Any>
  bool operator()(Any const&...) const {
    return false;
  }
};
/// In the last 10 delta each caller refreshes with a probability of 1 %.
struct fixed_probability {
  template <class Rng>
  bool operator()(tideover::instant now, tideover::instant soft, nanoseconds d, nanoseconds, Rng& rng) const {
    return soft - now < 10 * d && tideover::to_unit_interval(rng()) < 0.01;
  }
};
/// Each caller believes that the value expires earlier by a random time of up to 10 delta.
struct random_offset {
  template <class Rng>
  bool operator()(tideover::instant now, tideover::instant soft, nanoseconds d, nanoseconds, Rng& rng) const {
    double const offset = tideover::to_unit_interval(rng()) * 10.0 * static_cast<double>(d.count());
    return offset >= static_cast<double>((soft - now).count());
  }
};

struct strategy {
  std::string name;
  std::function<tally(double per_delta, std::uint64_t cycles, std::uint64_t seed)> run;
  bool dashed = false;
};

std::vector<strategy> strategies() {
  using expiry_cycles::unprotected;
  auto const early = [](double beta) {
    return strategy{fmt::format("XFetch alone, beta {}", beta),
                    [beta](double load, std::uint64_t n, std::uint64_t s) {
                      return unprotected(tideover::xfetch({.beta = beta}), deltas(18 * beta), load, n, s);
                    }};
  };
  auto const guard = [](char const* name, double beta) {
    return strategy{name,
                    [beta](double load, std::uint64_t n, std::uint64_t s) {
                      return expiry_cycles::guarded({.beta = beta}, load, s).run(n);
                    },
                    true};
  };
  return {{"no protection", [](double load, std::uint64_t n,
                               std::uint64_t s) { return unprotected(nobody(), 0ns, load, n, s); }},
          {"1 % in the last 10 delta",
           [](double load, std::uint64_t n, std::uint64_t s) {
             return unprotected(fixed_probability(), deltas(10), load, n, s);
           }},
          {"random offset to 10 delta",
           [](double load, std::uint64_t n, std::uint64_t s) {
             return unprotected(random_offset(), deltas(10), load, n, s);
           }},
          early(0.5),
          early(1.0),
          early(2.0),
          guard("lock (guard, beta 0)", 0.0),
          guard("guard, beta 1", 1.0)};
}

constexpr std::array loads = {1.0, 10.0, 100.0, 1000.0};

/// Fewer cycles where there are many callers in each.
std::uint64_t cycles_for(settings const& s, double load) {
  return std::max<std::uint64_t>(
      static_cast<std::uint64_t>(static_cast<double>(s.cycles) / std::max(1.0, load / 20.0)), 500);
}

void compare_strategies(settings const& s, nlohmann::ordered_json& json) {
  bench::print_heading("Computations for each expiry of one key (virtual time)");
  fmt::print(
      "callers by a Poisson process, so many in the time of one computation, which is constant; TTL 60 "
      "computations; seed {}\n\n",
      s.seed);
  bench::table t({"strategy", "1", "10", "100", "1000", "waiting callers, 100"});
  bench::chart superfluous{
      "Computations that were superfluous", "callers in the time of one computation", {}};
  bench::chart visible{"Expiries that callers met", "callers in the time of one computation", {}};
  for (auto const& how : strategies()) {
    bench::progress("stampede", how.name);
    std::vector<std::string> cells{how.name};
    bench::series too_many{how.name, {}, how.dashed}, met{how.name, {}, how.dashed};
    std::string waiting;
    for (double const load : loads) {
      tally const r = how.run(load, cycles_for(s, load), s.seed);
      cells.push_back(fmt::format("{:.2f}", r.mean_size()));
      too_many.points.emplace_back(load, 1.0 - 1.0 / r.mean_size());
      met.points.emplace_back(load, r.visible_share());
      if (load == 100.0) {
        waiting = fmt::format("{:.3f}", static_cast<double>(r.blocked) / static_cast<double>(r.cycles));
      }
      json["strategies"][how.name][fmt::format("{}", load)] = {{"computations", r.mean_size()},
                                                               {"gap", r.mean_gap()},
                                                               {"visible", r.visible_share()},
                                                               {"cycles", r.cycles},
                                                               {"blocked", r.blocked}};
    }
    cells.push_back(waiting);
    t.add(std::move(cells));
    superfluous.lines.push_back(std::move(too_many));
    visible.lines.push_back(std::move(met));
  }
  t.print();
  bench::write_charts(s.plot, "One hot key that expires", {superfluous, visible});
  fmt::print("\nDrawn in {}\n", s.plot);
}

// ---- Closed forms
// ---------------------------------------------------------------------------------------------

bool verify(settings const& s, nlohmann::ordered_json& json) {
  bench::print_heading("The real code beside its closed forms (virtual time)");
  bool good = true;
  double const n = static_cast<double>(s.cycles);
  auto const judged = [&](bool ok) {
    good = good && ok;
    return ok ? "ok" : "MISSED";
  };
  bench::table t({"what", "beta", "callers", "expected", "measured", "within", "verdict"}, {0, 6});
  auto const line = [&](char const* what, double beta, double load, double expected, double measured,
                        double within) {
    bool const ok = std::abs(measured - expected) <= within;
    t.add({what, fmt::format("{}", beta), fmt::format("{}", load), fmt::format("{:.4f}", expected),
           fmt::format("{:.4f}", measured), fmt::format("{:.4f}", within), judged(ok)});
    json["figures"].push_back({{"what", what},
                               {"beta", beta},
                               {"load", load},
                               {"expected", expected},
                               {"measured", measured},
                               {"within", within},
                               {"ok", ok}});
  };
  for (double const beta : {0.5, 1.0, 2.0}) {
    bench::progress("stampede", fmt::format("closed forms, beta {}", beta));
    double const load = 100;
    tally const alone = expiry_cycles::unprotected(tideover::xfetch({.beta = beta}), deltas(18 * beta), load,
                                                   s.cycles, s.seed);
    line("computations, XFetch alone", beta, load, expiry_cycles::expected_size(beta), alone.mean_size(),
         4 * expiry_cycles::size_deviation(beta) / std::sqrt(n));
    double const p = expiry_cycles::geometric_p_value(alone, beta);
    t.add({"  their shape: chi-square p", fmt::format("{}", beta), "100", "> 0.0001",
           fmt::format("{:.4f}", p), "", judged(p > 1e-4)});
    json["figures"].push_back({{"what", "chi-square p"}, {"beta", beta}, {"measured", p}, {"ok", p > 1e-4}});
    line("first refresh ahead of the expiry", beta, load, expiry_cycles::expected_gap(beta, load),
         alone.mean_gap(), 0.037 * beta * std::sqrt(20'000 / n));
    for (double const guarded_load : {1.0, 10.0, 100.0}) {
      auto const cycles = cycles_for(s, guarded_load);
      tally const t_guard = expiry_cycles::guarded({.beta = beta}, guarded_load, s.seed).run(cycles);
      line("computations, guard", beta, guarded_load, 1, t_guard.mean_size(), 0);
      double const share = expiry_cycles::expected_visible(beta, guarded_load);
      line("expiries met, guard", beta, guarded_load, share, t_guard.visible_share(),
           4 * std::sqrt(share * (1 - share) / static_cast<double>(cycles)) + 1e-3);
    }
  }
  // Where the cost varies no closed form is known: these are figures of an independent simulation.
  struct varying {
    char const* what;
    double newest;
    double expected;
  };
  for (auto const& v : {varying{"computations, cost varies by half, last one believed", 1.0, 4.41},
                        varying{"computations, cost varies by half, average believed", 0.2, 3.21}}) {
    tally const t_varying = expiry_cycles::unprotected_varying(tideover::xfetch({.beta = 1.0}), 0.5, v.newest,
                                                               100, s.cycles, s.seed);
    line(v.what, 1, 100, v.expected, t_varying.mean_size(), 0.15 * std::sqrt(20'000 / n));
  }
  for (double const load : {1.0, 10.0, 100.0}) {
    auto const cycles = cycles_for(s, load);
    tally const none = expiry_cycles::unprotected(nobody(), 0ns, load, cycles, s.seed);
    line("computations, no protection", 0, load, 1 + load, none.mean_size(),
         4 * std::sqrt(load / static_cast<double>(cycles)));
  }
  t.print();
  return good;
}

// ---- A thousand threads
// ---------------------------------------------------------------------------------------

using guarded_store = tideover::ttl_cache<int, tideover::cached<int>, tideover::steady>;

struct crowd_result {
  int computations = 0;
  int served = 0;
  double p999_cpu_ms = 0;  // of those that had the value at once
  double wall_ms = 0;
};

/// All at once: `ask(compute)` is one caller's call and says whether it had a value at once.
template <class Ask>
crowd_result crowd(int callers, Ask ask) {
  std::atomic<int> computations{0}, served{0};
  std::barrier<> start(callers + 1);
  std::vector<double> cpu(static_cast<std::size_t>(callers), -1.0);
  std::vector<std::thread> crew;
  for (int i = 0; i != callers; ++i) {
    crew.emplace_back([&, i] {
      auto const compute = [&] {
        ++computations;
        std::this_thread::sleep_for(50ms);  // a slow origin
        return 2;
      };
      start.arrive_and_wait();
      double const before = bench::thread_time::now();
      bool const at_once = ask(compute);
      double const took = bench::thread_time::now() - before;
      ++served;
      if (at_once) cpu[static_cast<std::size_t>(i)] = took;
    });
  }
  start.arrive_and_wait();
  double const begun = bench::wall_time::now();
  for (auto& t : crew) t.join();
  crowd_result r{computations, served, 0, 1e3 * (bench::wall_time::now() - begun)};
  cpu.erase(std::remove(cpu.begin(), cpu.end(), -1.0), cpu.end());
  if (!cpu.empty()) {
    std::sort(cpu.begin(), cpu.end());
    auto const at = static_cast<std::size_t>(std::ceil(0.999 * static_cast<double>(cpu.size()))) - 1;
    r.p999_cpu_ms = 1e3 * cpu[at];
  }
  return r;
}

bool thousand_threads(settings const&, nlohmann::ordered_json& json) {
  bench::print_heading("1,000 threads on one key, a computation of 50 ms (wall clock)");
  constexpr int callers = 1000;
  bool good = true;
  bench::table t(
      {"the key is", "by", "computations", "served", "p99.9 CPU of a value at once, ms", "wall ms"}, {0, 1});
  auto const report = [&](char const* state, char const* by, crowd_result const& r, bool guarded,
                          bool at_once) {
    if (guarded) good = good && r.computations == 1 && r.served == callers;
    t.add({state, by, fmt::format("{}", r.computations), fmt::format("{}", r.served),
           at_once ? fmt::format("{:.4f} ({})", r.p999_cpu_ms,
                                 r.p999_cpu_ms < 0.1 ? "goal < 0.1 met" : "goal missed")
                   : "-",
           fmt::format("{:.0f}", r.wall_ms)});
    json["crowd"].push_back({{"state", state},
                             {"by", by},
                             {"computations", r.computations},
                             {"served", r.served},
                             {"p999_cpu_ms", r.p999_cpu_ms},
                             {"wall_ms", r.wall_ms}});
  };
  auto const at_once = [](auto& guard, auto& compute) {
    auto const got = guard.serve(1, compute);
    return got.how == tideover::serving::fresh || got.how == tideover::serving::stale_while_revalidate;
  };
  {
    tideover::ttl_cache<int, int, tideover::steady> plain({.ttl = 1h});
    report("absent", "get, else compute and put",
           crowd(callers,
                 [&](auto& compute) {
                   if (plain.get(1)) return true;
                   plain.put(1, compute());
                   return false;
                 }),
           false, false);
  }
  {
    tideover::stampede_guard<guarded_store> guard({}, {.ttl = 1h});
    report("absent", "guard", crowd(callers, [&](auto& compute) { return at_once(guard, compute); }), true,
           false);
  }
  {
    tideover::stampede_guard<guarded_store> guard({}, {.ttl = 1h, .stale_while_revalidate = 1h});
    guard.put(1, 1, {.ttl = 1ns});
    report("stale", "guard", crowd(callers, [&](auto& compute) { return at_once(guard, compute); }), true,
           true);
  }
  {
    using early = tideover::refresh_after<std::ratio<1, 1'000'000>>;
    tideover::stampede_guard<guarded_store, early> guard({}, {.ttl = 1h});
    guard.put(1, 1);
    std::this_thread::sleep_for(
        5ms);  // the refresh is due, but its own value will not be, before the crowd has gone
    report("fresh, refresh due", "guard",
           crowd(callers, [&](auto& compute) { return at_once(guard, compute); }), false, true);
  }
  t.print();
  return good;
}

// ---- The price
// ------------------------------------------------------------------------------------------------

struct value_type {
  std::array<std::uint64_t, 8> words{};
};
using plain_cache = tideover::ttl_cache<std::uint64_t, value_type>;
using envelope_cache = tideover::ttl_cache<std::uint64_t, tideover::cached<value_type>>;

/// One size of the key set: so small that it stays in the processor's caches, or so large that it does not,
/// and an envelope's 40 bytes more an entry count.
void price_of_a_hit(std::size_t keys, settings const& s, bench::table& t, nlohmann::ordered_json& json) {
  constexpr std::size_t slice = 100'000;
  constexpr nanoseconds ttl = 1h;
  auto const made_for = [](std::uint64_t k) { return value_type{{k, k + 1}}; };
  plain_cache plain({.capacity = 120'000, .ttl = ttl});
  envelope_cache envelopes({.capacity = 120'000, .ttl = ttl});
  tideover::stampede_guard<envelope_cache> guard({.capacity = 120'000}, {.ttl = ttl});
  tideover::single_flight<std::uint64_t, std::uint64_t> flights;
  for (std::uint64_t k = 0; k != keys; ++k) {
    auto const key = bench::scrambled(k);
    plain.put(key, made_for(key));
    envelopes.put(key, {made_for(key)});
    guard.get_or_compute(key, made_for);
  }
  bench::zipf_stream ranks(0.99, keys, s.seed);
  std::vector<std::uint64_t> tape;
  bench::append(
      tape, [&] { return bench::scrambled(ranks()); }, slice * 16);
  std::uint64_t sum = 0;
  std::size_t i = 0;
  auto const over = [&](auto&& one) {
    return [&, one] {
      std::uint64_t const* const first = tape.data() + i % 16 * slice;
      for (std::uint64_t const* key = first; key != first + slice; ++key) sum += one(*key);
    };
  };
  bench::paired pairs;
  for (std::size_t round = 0; round != s.rounds; ++round, ++i) {
    pairs.round(bench::thread_time(),
                over([&](std::uint64_t key) { return guard.get_or_compute(key, made_for).words[1]; }),
                over([&](std::uint64_t key) { return plain.get(key)->words[1]; }),
                over([&](std::uint64_t key) { return envelopes.get(key)->value.words[1]; }),
                over([&](std::uint64_t key) { return flights.run(key, [key] { return key; }); }),
                over([&](std::uint64_t key) {
                  return guard.visit_or_compute(key, made_for,
                                                [](value_type const& v) { return v.words[1]; });
                }));
  }
  auto const ns = [&](std::size_t which) { return 1e9 * pairs.seconds(which).median / slice; };
  auto const line = [&](char const* what, std::size_t which, std::size_t peer, double goal) {
    double const over_peer = ns(which) - (peer == which ? 0.0 : ns(peer));
    std::string verdict;
    if (goal > 0) verdict = fmt::format("<= {} ns: {}", goal, over_peer <= goal ? "met" : "missed");
    t.add({what, fmt::format("{}", keys), fmt::format("{:.1f}", ns(which)),
           peer == which ? "" : fmt::format("{:+.1f}", over_peer), verdict});
    json["price"][fmt::format("{}, {} keys", what, keys)] = ns(which);
  };
  line("ttl_cache<K, T>.get, hit", 1, 1, 0);
  line("ttl_cache<K, cached<T>>.get, hit", 2, 1, 0);
  line("guard.get_or_compute, hit, over the first", 0, 1, keys <= 1'000 ? 10 : 0);
  line("guard.get_or_compute, hit, over the second", 0, 2, 10);
  line("guard.visit_or_compute, hit, over the first", 4, 1, keys <= 1'000 ? 10 : 0);
  line("single_flight.run, alone", 3, 3, 100);
  t.add_rule();
  if (sum == 42) fmt::print("\n");  // every value that was read counts
}

void prices(settings const& s, nlohmann::ordered_json& json) {
  bench::print_heading("The price of protection where nothing happens (CPU time, in turn)");
  bench::table t({"what", "keys", "ns", "over its peer", "goal"}, {0, 4});
  price_of_a_hit(1'000, s, t, json);
  price_of_a_hit(100'000, s, t, json);
  t.print();
  fmt::print("keys of 8 bytes, values of 64, Zipf 0.99; {} rounds of 100000 calls each, in turn\n", s.rounds);
}

int run(settings s) {
  if (s.quick) s.cycles = 4'000, s.rounds = 15;
  fmt::print("{}\n", bench::compiled_with());
  nlohmann::ordered_json json;
  json["compiled_with"] = bench::compiled_with();
  json["seed"] = s.seed;
  bool good = verify(s, json);
  compare_strategies(s, json);
  good = thousand_threads(s, json) && good;
  prices(s, json);
  bench::write_json(s.out, json);
  fmt::print("\n{}\n", good ? "every figure of virtual time is as derived, no computation ran twice"
                            : "NOT AS DERIVED");
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App options("One hot key that expires: computations, waiting callers, and the price of protection.");
  options.add_option("--out", s.out, "JSON file to write")->capture_default_str();
  options.add_option("--plot", s.plot, "HTML file to draw into")->capture_default_str();
  options.add_option("--seed", s.seed, "of the virtual callers")->capture_default_str();
  options.add_option("--cycles", s.cycles, "expiries of each figure")
      ->check(CLI::Range(500, 10'000'000))
      ->capture_default_str();
  options.add_option("--rounds", s.rounds, "rounds of the wall-clock prices")
      ->check(CLI::Range(3, 10'000))
      ->capture_default_str();
  options.add_flag("--quick", s.quick, "fewer of both");
  CLI11_PARSE(options, argc, argv);
  try {
    return run(s);
  } catch (std::exception const& e) {
    fmt::print(stderr, "stampede: {}\n", e.what());
    return 2;
  }
}
