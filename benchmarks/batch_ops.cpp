// SPDX-License-Identifier: BSL-1.0

// What does it cost a producer to add an item to a batch, and an item to come through to the sink? Producers
// are pinned, each to a core; the sink runs on a thread of the batch processor. Items of 8 bytes, 100 in a
// batch, room for 100,000, a ticket for each that is given up at once. Beside it: what one writes by hand, a
// std::promise for each item, and moodycamel::BlockingConcurrentQueue with bulk dequeue where Debian's
// libconcurrentqueue-dev is installed (`benchmarks/run --full` installs it). Exits non-zero when an item is
// lost.

#include "support/paired.hpp"
#include "support/report.hpp"
#include "support/statistics.hpp"

#include <tideover/batch_processor.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#if __has_include(<concurrentqueue/blockingconcurrentqueue.h>)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#include <concurrentqueue/blockingconcurrentqueue.h>
#pragma GCC diagnostic pop
#define TIDEOVER_BENCHMARK_MOODYCAMEL 1
#else
#define TIDEOVER_BENCHMARK_MOODYCAMEL 0
#endif

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <future>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using item = std::uint64_t;

constexpr std::size_t items_each = 50'000;
constexpr std::size_t per_batch = 100;
constexpr std::size_t room = 100'000;

void pin(std::size_t core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core % std::max(1u, std::thread::hardware_concurrency()), &set);
  ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set);
}

struct figure {
  double cpu;   // of a producer, for each add
  double wall;  // until all is delivered, for each item
};

std::atomic<std::uint64_t> lost{0};

/// `add(i)` by each of the producers, then `drain()`, which returns when all is delivered.
template <class Add, class Drain>
figure run(std::size_t producers, Add add, Drain drain) {
  std::vector<double> spent(producers);
  std::atomic<std::size_t> waiting{producers};
  std::vector<std::thread> threads;
  double const begin = bench::wall_time::now();
  for (std::size_t t = 0; t != producers; ++t) {
    threads.emplace_back([&, t] {
      pin(t);
      --waiting;
      while (waiting != 0) {
      }
      double const start = bench::thread_time::now();
      for (item i = 0; i != items_each; ++i) add(i);
      spent[t] = bench::thread_time::now() - start;
    });
  }
  for (auto& t : threads) t.join();
  drain();
  double const all = bench::wall_time::now() - begin;
  double sum = 0;
  for (double const s : spent) sum += s;
  double const count = static_cast<double>(items_each * producers);
  return {sum / count * 1e9, all / count * 1e9};
}

template <class... Policies>
figure ours(std::size_t producers) {
  std::uint64_t received = 0;
  tideover::batch_processor<item, Policies...> b([&](std::span<item> batch) { received += batch.size(); },
                                                 {.max_items = per_batch, .max_pending = room});
  figure f{};
  // Its thread begins with the first add, on whatever core that thread may be on: here on any.
  static_cast<void>(b.add(0));
  b.flush(10s);
  // Twice: what a service pays that runs, and not the memory of its first second. The vectors of the others
  // have theirs by then.
  for (int pass = 0; pass != 2; ++pass) {
    f = run(
        producers, [&](item i) { static_cast<void>(b.add(i)); }, [&] { b.flush(10s); });
  }
  if (received != 1 + 2 * producers * items_each) ++lost;
  return f;
}

/// A mutex, a vector, and a consumer that is told when there are a hundred. `made(i)` is what waits for an
/// item, `settle(w)` what the consumer does with it.
template <class Made, class Settle>
figure through_a_vector(std::size_t producers, Made made, Settle settle) {
  using waits = decltype(made(item()));
  std::mutex mutex;
  std::condition_variable full;
  std::vector<waits> waiting;
  waiting.reserve(room);
  std::size_t received = 0;
  bool closed = false;
  std::thread consumer([&] {
    std::vector<waits> taken;
    taken.reserve(room);
    std::unique_lock lock(mutex);
    for (;;) {
      full.wait(lock, [&] { return closed || waiting.size() >= per_batch; });
      if (waiting.empty()) return;
      taken.swap(waiting);
      lock.unlock();
      received += taken.size();
      for (auto& w : taken) settle(w);
      taken.clear();
      lock.lock();
    }
  });
  auto const f = run(
      producers,
      [&](item i) {
        auto one = made(i);
        std::lock_guard lock(mutex);
        waiting.push_back(std::move(one));
        if (waiting.size() == per_batch) full.notify_one();
      },
      [&] {
        {
          std::lock_guard lock(mutex);
          closed = true;
        }
        full.notify_one();
        consumer.join();
      });
  if (received != producers * items_each) ++lost;
  return f;
}
figure by_hand(std::size_t producers) {
  return through_a_vector(
      producers, [](item i) { return i; }, [](item) {});
}
/// The same, with a std::promise for each item, whose future is given up at once.
figure promises(std::size_t producers) {
  return through_a_vector(
      producers,
      [](item i) {
        std::promise<void> p;
        static_cast<void>(p.get_future());
        return std::pair(i, std::move(p));
      },
      [](auto& w) { w.second.set_value(); });
}

#if TIDEOVER_BENCHMARK_MOODYCAMEL
figure moodycamel_queue(std::size_t producers) {
  moodycamel::BlockingConcurrentQueue<item> q(room);
  std::size_t received = 0;
  std::size_t const all = producers * items_each;
  std::thread consumer([&] {
    std::vector<item> taken(per_batch);
    while (received != all) received += q.wait_dequeue_bulk(taken.begin(), per_batch);
  });
  auto const f = run(
      producers, [&](item i) { q.enqueue(i); }, [&] { consumer.join(); });
  if (received != all) ++lost;
  return f;
}
#endif

// ---- From one producer to one consumer --------------------------------------------------------------------

/// What the consumer has had, on a line of its own: the producer looks at it only at the end.
struct alignas(64) arrived {
  void take(item const* first, std::size_t n) {
    for (std::size_t i = 0; i != n; ++i) sum += first[i];  // it reads each
    count.store(count.load(std::memory_order_relaxed) + n, std::memory_order_release);
  }
  void await(std::size_t n) const {
    while (count.load(std::memory_order_acquire) != n) tideover::spin_mutex::pause();
  }
  std::atomic<std::size_t> count{0};
  item sum = 0;
};

/// The calling thread is the producer; each slice is so many items, from the first add until all have come.
template <class... Policies>
class pipe_of_batches {
 public:
  void slice() {
    for (item i = 0; i != items_each; ++i) static_cast<void>(b_.add(i));
    there_.await(sent_ += items_each);
  }

 private:
  arrived there_;
  std::size_t sent_ = 0;
  bool pinned_ = false;
  tideover::batch_processor<item, Policies...> b_{[this](std::span<item> batch) {
                                                    if (!std::exchange(pinned_, true)) pin(1);
                                                    there_.take(batch.data(), batch.size());
                                                  },
                                                  {.max_items = per_batch, .max_pending = room}};
};

#if TIDEOVER_BENCHMARK_MOODYCAMEL
class pipe_of_moodycamel {
 public:
  void slice() {
    for (item i = 0; i != items_each; ++i) q_.enqueue(i);
    there_.await(sent_ += items_each);
  }
  ~pipe_of_moodycamel() {
    q_.enqueue(last);
    consumer_.join();
  }

 private:
  static constexpr item last = ~item{0};

  arrived there_;
  std::size_t sent_ = 0;
  moodycamel::BlockingConcurrentQueue<item> q_{room};
  std::thread consumer_{[this] {
    pin(1);
    std::vector<item> taken(per_batch);
    do {
      std::size_t const n = q_.wait_dequeue_bulk(taken.begin(), per_batch);
      there_.take(taken.data(), n);
      if (taken[n - 1] == last) return;
    } while (true);
  }};
};
#endif

void compare_pipes(std::size_t rounds, nlohmann::ordered_json& json) {
  std::thread producer([&] {
    pin(0);
    pipe_of_batches<> exact;
    pipe_of_batches<tideover::relaxed_bounds> relaxed;
    bench::paired pipes;
    bench::table table({"", "ns an item", "95 %", "times moodycamel", "95 %", "asked"}, {0, 5});
    auto const row = [&](char const* name, std::size_t which, std::size_t peer, bool asked) {
      auto const time = pipes.seconds(which);
      double const each = 1e9 / static_cast<double>(items_each);
      auto const ratio = pipes.ratio(which, peer);
      bool const other = which != peer;
      table.add({name, fmt::format("{:.1f}", time.median * each),
                 fmt::format("{:.1f}..{:.1f}", time.low * each, time.high * each),
                 other ? fmt::format("{:.2f}", ratio.median) : "",
                 other ? fmt::format("{:.2f}..{:.2f}", ratio.low, ratio.high) : "",
                 asked ? fmt::format("<= 1: {}", ratio.median <= 1 ? "reached" : "missed") : ""});
      json["pipe"].push_back(
          {{"what", name}, {"ns", time.median * each}, {"times_moodycamel", ratio.median}});
    };
#if TIDEOVER_BENCHMARK_MOODYCAMEL
    pipe_of_moodycamel moodycamel;
    for (std::size_t r = 0; r != rounds; ++r) {
      pipes.round(
          bench::wall_time(), [&] { exact.slice(); }, [&] { relaxed.slice(); }, [&] { moodycamel.slice(); });
    }
    row("batch_processor, with a ticket", 0, 2, true);
    row("the same, relaxed_bounds", 1, 2, false);
    row("moodycamel blocking, bulk of 100", 2, 2, false);
#else
    for (std::size_t r = 0; r != rounds; ++r) {
      pipes.round(
          bench::wall_time(), [&] { exact.slice(); }, [&] { relaxed.slice(); });
    }
    row("batch_processor, with a ticket", 0, 0, false);
    row("the same, relaxed_bounds", 1, 1, false);
#endif
    bench::print_heading("batch: from one producer to one consumer, each on a core of its own, wall time");
    table.print();
  });
  producer.join();
}

struct contestant {
  char const* name;
  figure (*measure)(std::size_t);
  double asked[2];  // ns of cpu with one and two producers; 0: nothing is
  std::vector<double> cpu[2]{}, wall[2]{};
};

}  // namespace

int main(int argc, char** argv) {
  std::size_t rounds = 61;
  std::filesystem::path out = "build/batch_ops.json";
  CLI::App options("The cost of adding an item to a batch.");
  options.add_option("--rounds", rounds, "rounds, of which each runs all once")
      ->check(CLI::Range(3, 100'000))
      ->capture_default_str();
  options.add_option("--out", out, "file for the figures, JSON");
  CLI11_PARSE(options, argc, argv);
  try {
    std::vector<contestant> all {
      {"batch_processor, with a ticket", ours<>, {25, 60}},
          {"the same, relaxed_bounds", ours<tideover::relaxed_bounds>, {16, 30}},
#if TIDEOVER_BENCHMARK_MOODYCAMEL
          {"moodycamel blocking, bulk of 100", moodycamel_queue, {0, 0}},
#endif
          {"mutex, vector, told when 100", by_hand, {0, 0}},
          {"the same, a std::promise each", promises, {0, 0}},
    };
    for (std::size_t r = 0; r != rounds; ++r) {
      for (auto& c : all) {
        for (std::size_t p = 0; p != 2; ++p) {
          auto const f = c.measure(p + 1);
          c.cpu[p].push_back(f.cpu);
          c.wall[p].push_back(f.wall);
        }
      }
    }
    bench::print_heading("batch: nanoseconds for each item of 8 bytes, 100 in a batch");
    bench::table table(
        {"", "add, 1 producer", "95 %", "add, 2 producers", "95 %", "delivered, 1", "delivered, 2", "asked"},
        {0, 7});
    nlohmann::ordered_json json;
    for (auto const& c : all) {
      auto const one = bench::summarise(c.cpu[0]), two = bench::summarise(c.cpu[1]);
      auto const through = bench::summarise(c.wall[0]), through_two = bench::summarise(c.wall[1]);
      bool const reached = one.median <= c.asked[0] && two.median <= c.asked[1];
      table.add({c.name, fmt::format("{:.1f}", one.median), fmt::format("{:.1f}..{:.1f}", one.low, one.high),
                 fmt::format("{:.1f}", two.median), fmt::format("{:.1f}..{:.1f}", two.low, two.high),
                 fmt::format("{:.1f}", through.median), fmt::format("{:.1f}", through_two.median),
                 c.asked[0] == 0 ? ""
                                 : fmt::format("<= {:.0f} / {:.0f}: {}", c.asked[0], c.asked[1],
                                               reached ? "reached" : "missed")});
      json["add"].push_back({{"what", c.name},
                             {"one_producer_ns", one.median},
                             {"two_producers_ns", two.median},
                             {"delivered_ns", through.median},
                             {"delivered_of_two_ns", through_two.median}});
    }
    table.print();
    compare_pipes(rounds, json);
#if !TIDEOVER_BENCHMARK_MOODYCAMEL
    fmt::print(
        "moodycamel::BlockingConcurrentQueue takes no part: libconcurrentqueue-dev is not installed.\n");
#endif
    fmt::print("CPU time of the producers' threads; to be delivered: wall time, the consumer's too.\n");
    if (lost != 0) fmt::print("ITEMS WERE LOST in {} runs.\n", lost.load());
    json["lost"] = lost.load();
    if (!out.empty()) bench::write_json(out, json);
    return lost == 0 ? 0 : 1;
  } catch (std::exception const& e) {
    fmt::print(stderr, "batch_ops: {}\n", e.what());
    return 2;
  }
}
