// SPDX-License-Identifier: BSL-1.0

// What does it cost to borrow an idle connection and give it back, with lifetime, idle test, check policy,
// counters and deadline on? With one, two and four threads, pinned; CPU time of the threads, median of short
// repetitions, of which those with two threads count only if both ran at once. Beside it a mutex and a
// vector, bare and with the same tests. Then a hand-over to a thread that waits, beside
// std::counting_semaphore, in turns. Exits non-zero when something allocates, or when a pool is slower than
// the mutex and vector with the same tests.

#include "support/allocations.hpp"
#include "support/paired.hpp"
#include "support/report.hpp"
#include "support/statistics.hpp"

#include <tideover/connection_pool.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <mutex>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

constexpr std::size_t objects = 16;
constexpr std::size_t cycles = 20'000;  // in a repetition

void pin(std::size_t core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core % std::max(1u, std::thread::hardware_concurrency()), &set);
  static_cast<void>(::sched_setaffinity(0, sizeof set, &set));
}

struct connection {
  std::uint64_t uses = 0;
};
struct factory {
  using connection = ::connection;
  static connection connect(tideover::deadline const&) { return {}; }
  static bool healthy(connection&, tideover::deadline const&) { return true; }
};

/// The subject: everything on.
template <class... P>
class ours {
 public:
  ours()
      : pool_(factory{}, {.min_size = objects,
                          .max_size = objects,
                          .max_idle_time = 300s,
                          .max_lifetime = 30min,
                          .health_check_interval = 30s,
                          .validate_after_idle = 1s}) {
    if (pool_.warm(objects, 10s) != objects) throw std::runtime_error("the pool did not get warm");
  }
  void cycle() {
    auto held = pool_.acquire();
    ++held->uses;
  }

 private:
  tideover::connection_pool<factory, P...> pool_;
};

/// By hand; with `Tests` as somebody would who knows what a pool must do.
template <bool Tests>
class by_hand {
 public:
  by_hand() {
    all_.resize(objects);
    for (auto& e : all_) idle_.push_back(&e);
  }
  void cycle() {
    entry* e = nullptr;
    {
      std::lock_guard lock(mutex_);
      if constexpr (Tests) {
        auto const now = std::chrono::steady_clock::now();
        e = idle_.back();
        if (now >= e->expires || now - e->used > 1h) throw std::runtime_error("no benchmark runs so long");
        ++granted_;
      } else {
        e = idle_.back();
      }
      idle_.pop_back();
    }
    ++e->object.uses;
    std::lock_guard lock(mutex_);
    if constexpr (Tests) e->used = std::chrono::steady_clock::now();
    idle_.push_back(e);
    if (Tests && waiting_ != 0) changed_.notify_one();
  }

 private:
  struct entry {
    connection object;
    std::chrono::steady_clock::time_point expires = std::chrono::steady_clock::now() + 1h;
    std::chrono::steady_clock::time_point used = std::chrono::steady_clock::now();
  };
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<entry> all_;
  std::vector<entry*> idle_;
  std::size_t granted_ = 0;
  std::size_t waiting_ = 0;
};

/// Nanoseconds of CPU time for one cycle and thread, one sample for each repetition.
template <class Pool>
std::vector<double> measure(std::size_t threads, std::size_t rounds) {
  Pool pool;
  std::vector<double> samples;
  std::vector<double> cpu(threads), begin(threads), end(threads);
  std::barrier start(static_cast<std::ptrdiff_t>(threads)), stop(static_cast<std::ptrdiff_t>(threads));
  std::atomic<bool> enough{false};
  auto const work = [&](std::size_t self) {
    pin(self);
    for (std::size_t i = 0; i < 1000; ++i) pool.cycle();
    for (std::size_t r = 0; r < 4 * rounds && !enough; ++r) {
      start.arrive_and_wait();
      begin[self] = bench::wall_time::now();
      double const from = bench::thread_time::now();
      for (std::size_t i = 0; i < cycles; ++i) pool.cycle();
      cpu[self] = bench::thread_time::now() - from;
      end[self] = bench::wall_time::now();
      stop.arrive_and_wait();
      if (self == 0) {
        double const longest =
            *std::max_element(end.begin(), end.end()) - *std::min_element(begin.begin(), begin.end());
        double const together =
            *std::min_element(end.begin(), end.end()) - *std::max_element(begin.begin(), begin.end());
        bool const good = threads != 2 || together >= 0.85 * longest;
        if (good || r + samples.size() >= 3 * rounds) {
          double sum = 0;
          for (double c : cpu) sum += c;
          samples.push_back(sum / static_cast<double>(threads * cycles) * 1e9);
        }
        if (samples.size() >= rounds) enough = true;
      }
      start.arrive_and_wait();
    }
  };
  std::vector<std::thread> crew;
  for (std::size_t t = 0; t < threads; ++t) crew.emplace_back(work, t);
  for (auto& t : crew) t.join();
  return samples;
}

struct figure {
  std::string name;
  bench::median_summary by_threads[3];
  double least[3];
  double asked[2];
};

template <class Pool>
figure figure_of(char const* name, std::size_t rounds, double one, double two) {
  figure f{name, {}, {}, {one, two}};
  for (std::size_t i = 0; i < 3; ++i) {
    auto samples = measure<Pool>(std::size_t{1} << i, rounds);
    f.least[i] = *std::min_element(samples.begin(), samples.end());
    f.by_threads[i] = bench::summarise(std::move(samples));
  }
  return f;
}

/// Two threads hand each other something, to and fro; seconds for `rounds` round trips.
template <class There, class Back>
double ping_pong(std::size_t rounds, There there, Back back) {
  double taken = 0;
  std::barrier start(2);
  std::thread other([&] {
    pin(1);
    start.arrive_and_wait();
    for (std::size_t i = 0; i < rounds; ++i) back();
  });
  std::thread one([&] {
    pin(0);
    start.arrive_and_wait();
    double const begin = bench::wall_time::now();
    for (std::size_t i = 0; i < rounds; ++i) there();
    taken = bench::wall_time::now() - begin;
  });
  one.join();
  other.join();
  return taken;
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t rounds = 41;
  std::filesystem::path out = "build/pool_ops.json";
  CLI::App options("The cost of borrowing from a pool.");
  options.add_option("--rounds", rounds, "repetitions")->check(CLI::Range(3, 100'000))->capture_default_str();
  options.add_option("--out", out, "file for the figures, JSON");
  CLI11_PARSE(options, argc, argv);
  try {
    using namespace tideover;
    std::vector<figure> const figures{
        figure_of<ours<>>("connection_pool", rounds, 25, 80),
        figure_of<ours<thread_affinity>>("the same, thread_affinity", rounds, 15, 15),
        figure_of<ours<steady>>("the same, steady clock", rounds, 0, 0),
        figure_of<ours<fifo_idle>>("the same, fifo_idle", rounds, 0, 0),
        figure_of<by_hand<true>>("mutex, vector, the same tests", rounds, 0, 0),
        figure_of<by_hand<false>>("mutex, vector, no test", rounds, 0, 0),
    };
    bench::print_heading("pool: nanoseconds of CPU time to borrow and return an idle connection, of 16");
    bench::table table({"pool", "1 thread", "least", "2 threads", "least", "4 threads", "asked", ""},
                       {0, 6, 7});
    nlohmann::ordered_json json;
    for (figure const& f : figures) {
      bool const reached = f.by_threads[0].median <= f.asked[0] && f.by_threads[1].median <= f.asked[1];
      table.add({f.name, fmt::format("{:.1f}", f.by_threads[0].median), fmt::format("{:.1f}", f.least[0]),
                 fmt::format("{:.1f}", f.by_threads[1].median), fmt::format("{:.1f}", f.least[1]),
                 fmt::format("{:.1f}", f.by_threads[2].median),
                 f.asked[0] == 0 ? "" : fmt::format("<= {:.0f} / {:.0f}", f.asked[0], f.asked[1]),
                 f.asked[0] == 0 ? ""
                 : reached       ? "reached"
                                 : "missed"});
      json["cycle"].push_back({{"pool", f.name},
                               {"one_ns", f.by_threads[0].median},
                               {"two_ns", f.by_threads[1].median},
                               {"four_ns", f.by_threads[2].median},
                               {"least_one_ns", f.least[0]},
                               {"least_two_ns", f.least[1]},
                               {"asked_one", f.asked[0]},
                               {"asked_two", f.asked[1]}});
    }
    table.print();
    bool good = figures[0].by_threads[0].median < figures[4].by_threads[0].median &&
                figures[0].by_threads[1].median < figures[4].by_threads[1].median;

    // Whoever has a lease of the one object of `a` lets the other go on; and the same with `b`.
    pool_options const one{.max_size = 1, .acquire_timeout = 1min};
    connection_pool<factory> a(factory{}, one), b(factory{}, one);
    auto of_a = a.acquire(), of_b = b.acquire();
    std::counting_semaphore<> there(0), back(0);
    bench::paired turns;
    constexpr std::size_t trips = 2'000;
    std::size_t const before = bench::allocations();
    for (std::size_t r = 0; r < rounds; ++r) {
      double const pools = ping_pong(
          trips,
          [&] {
            of_a.release();
            of_b = b.acquire();
          },
          [&] {
            of_a = a.acquire();
            of_b.release();
          });
      double const semaphores = ping_pong(
          trips,
          [&] {
            there.release();
            back.acquire();
          },
          [&] {
            there.acquire();
            back.release();
          });
      turns.add({pools, semaphores});
    }
    // What the harness itself keeps: the threads and the samples of its rounds.
    bool const allocates = bench::allocations() - before > 20 * rounds + 64;
    good = good && !allocates;
    auto const ratio = turns.ratio_to(0);
    auto const per_trip = [&](std::size_t which) { return turns.seconds(which).median / trips * 1e9; };
    fmt::print(
        "Two hand-overs to a thread that waits: {:.0f} ns, std::counting_semaphore {:.0f} ns; ratio {:.2f} "
        "({:.2f}..{:.2f}; asked: <= 1.5, {}).\n",
        per_trip(0), per_trip(1), ratio.median, ratio.low, ratio.high,
        ratio.median <= 1.5 ? "reached" : "missed");
    fmt::print("{} hand-overs: {}. A slot has {} bytes, a lease {}.\n", 2 * rounds * trips,
               allocates ? "ALLOCATIONS" : "no allocation", sizeof(detail::pool_slot),
               sizeof(lease<connection>));
    json["hand_over_ns"] = per_trip(0) / 2;
    json["semaphore_ns"] = per_trip(1) / 2;
    json["hand_over_ratio"] = ratio.median;
    json["allocations"] = allocates;
    if (!out.empty()) bench::write_json(out, json);
    return good ? 0 : 1;
  } catch (std::exception const& e) {
    fmt::print(stderr, "pool_ops: {}\n", e.what());
    return 2;
  }
}
