// SPDX-License-Identifier: BSL-1.0

// What does it cost to borrow an idle object and give it back, beside other pools? With one, two and four
// threads, more objects than threads. All of them in turn within a round, CPU time of the threads; what is
// reported is the median over the rounds, and the ratio to connection_pool of the same round. Exits non-zero
// if connection_pool, which tests lifetime and idleness and counts, is slower than a mutex and a vector with
// the same two readings of the clock.

#include "support/crew.hpp"
#include "support/paired.hpp"
#include "support/report.hpp"
#include "support/statistics.hpp"

#include <tideover/connection_pool.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <sched.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if TIDEOVER_PEERS_POCO
#include <Poco/ObjectPool.h>
#include <Poco/SharedPtr.h>
#endif
#if TIDEOVER_PEERS_SOCI
#include <soci/soci.h>
#endif

namespace {

constexpr std::size_t objects = 10;

struct connection {
  std::uint64_t uses = 0;
};
void use(connection& c) {
  ++c.uses;
  asm volatile("" : : "g"(&c) : "memory");
}

/// One pool: `times` times borrow, touch, give back.
class contestant {
 public:
  contestant(std::string called, std::string does) : name(std::move(called)), tests(std::move(does)) {}
  contestant(contestant const&) = delete;
  contestant& operator=(contestant const&) = delete;
  virtual ~contestant() = default;
  virtual void borrow(std::size_t times) = 0;

  std::string const name;
  std::string const tests;
};

struct factory {
  using connection = ::connection;
  static connection connect(tideover::deadline const&) { return {}; }
  static bool healthy(connection&, tideover::deadline const&) { return true; }
};

template <class... Policies>
class ours final : public contestant {
 public:
  explicit ours(std::string called)
      : contestant(std::move(called), "lifetime, idle time, check due, counters, deadline, order"),
        pool_(factory(), {.min_size = objects, .max_size = objects}) {
    pool_.warm(objects, std::chrono::seconds(10));
  }
  void borrow(std::size_t times) override {
    for (std::size_t i = 0; i < times; ++i) use(*pool_.acquire());
  }

 private:
  tideover::connection_pool<factory, Policies...> pool_;
};

class bare_vector final : public contestant {
 public:
  bare_vector() : contestant("mutex + vector", "nothing") {
    for (auto& c : all_) idle_.push_back(&c);
  }
  void borrow(std::size_t times) override {
    for (std::size_t i = 0; i < times; ++i) {
      connection* c = nullptr;
      {
        std::lock_guard lock(mutex_);
        c = idle_.back();
        idle_.pop_back();
      }
      use(*c);
      std::lock_guard lock(mutex_);
      idle_.push_back(c);
    }
  }

 private:
  std::mutex mutex_;
  connection all_[objects];
  std::vector<connection*> idle_;
};

class timed_vector final : public contestant {
 public:
  timed_vector() : contestant("mutex + vector + clock", "lifetime, idle time") {
    for (auto& e : all_) {
      e.dies = e.idle_since + std::chrono::minutes(30);
      idle_.push_back(&e);
    }
  }
  void borrow(std::size_t times) override {
    for (std::size_t i = 0; i < times; ++i) {
      entry* e = nullptr;
      auto const now = time::now();
      {
        std::lock_guard lock(mutex_);
        e = idle_.back();
        idle_.pop_back();
      }
      if (now > e->dies || now - e->idle_since > std::chrono::minutes(5)) std::terminate();
      use(e->object);
      e->idle_since = time::now();
      std::lock_guard lock(mutex_);
      idle_.push_back(e);
    }
  }

 private:
  using time = std::chrono::steady_clock;
  struct entry {
    connection object;
    time::time_point idle_since = time::now();
    time::time_point dies;
  };
  std::mutex mutex_;
  entry all_[objects];
  std::vector<entry*> idle_;
};

#if TIDEOVER_PEERS_POCO
class poco final : public contestant {
 public:
  poco() : contestant("Poco::ObjectPool", "nothing by default"), pool_(objects, objects) {}
  void borrow(std::size_t times) override {
    for (std::size_t i = 0; i < times; ++i) {
      held c = pool_.borrowObject(5'000);
      use(*c);
      pool_.returnObject(c);
    }
  }

 private:
  using held = Poco::SharedPtr<connection>;
  Poco::ObjectPool<connection, held> pool_;
};
#endif

#if TIDEOVER_PEERS_SOCI
/// Sessions that are connected to nothing: borrowing them is what is measured.
class soci_pool final : public contestant {
 public:
  soci_pool() : contestant("soci::connection_pool", "deadline"), pool_(objects) {}
  void borrow(std::size_t times) override {
    for (std::size_t i = 0; i < times; ++i) {
      std::size_t at = 0;
      if (!pool_.try_lease(at, 5'000)) std::terminate();
      use(all_[at]);
      pool_.give_back(at);
    }
  }

 private:
  soci::connection_pool pool_;
  connection all_[objects];
};
#endif

void pin(std::size_t core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core % std::max(1u, std::thread::hardware_concurrency()), &set);
  static_cast<void>(::sched_setaffinity(0, sizeof set, &set));
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t rounds = 61, times = 5'000;
  std::filesystem::path out = "build/pool_peers.json";
  CLI::App options("connection_pool beside other pools.");
  options.add_option("--rounds", rounds, "rounds in which each has a turn")
      ->check(CLI::Range(3, 100'000))
      ->capture_default_str();
  options.add_option("--times", times, "loans of each thread in a turn")->capture_default_str();
  options.add_option("--out", out, "file for the figures, JSON");
  CLI11_PARSE(options, argc, argv);
  try {
    std::vector<std::unique_ptr<contestant>> all;
    all.push_back(std::make_unique<ours<>>("connection_pool"));
    all.push_back(std::make_unique<ours<tideover::thread_affinity>>("connection_pool, thread_affinity"));
    all.push_back(std::make_unique<timed_vector>());
    all.push_back(std::make_unique<bare_vector>());
#if TIDEOVER_PEERS_POCO
    all.push_back(std::make_unique<poco>());
#endif
#if TIDEOVER_PEERS_SOCI
    all.push_back(std::make_unique<soci_pool>());
#endif
    bool good = true;
    nlohmann::ordered_json json;
    for (std::size_t const threads : {1u, 2u, 4u}) {
      bench::crew crew(threads);
      crew.run([](std::size_t t) { pin(t); });
      bench::paired race;
      std::vector<double> spent(threads);
      for (std::size_t r = 0; r < rounds + 1; ++r) {
        bench::paired::times taken;
        for (auto const& c : all) {
          crew.run([&](std::size_t t) {
            double const begin = bench::thread_time::now();
            c->borrow(times);
            spent[t] = bench::thread_time::now() - begin;
          });
          double sum = 0;
          for (double s : spent) sum += s;
          taken.push_back(sum / static_cast<double>(times * threads) * 1e9);
        }
        if (r != 0) race.add(std::move(taken));  // the first one warms up
      }
      bench::print_heading(
          fmt::format("pools: ns of CPU time for a loan and its return, {} thread{}, {} objects", threads,
                      threads == 1 ? "" : "s", objects));
      bench::table table({"pool", "ns", "95 %", "time over connection_pool's", "tests at each loan"}, {0, 4});
      for (std::size_t i = 0; i < all.size(); ++i) {
        auto const ns = race.seconds(i);
        auto const ratio = race.ratio(i, 0);
        table.add({all[i]->name, fmt::format("{:.1f}", ns.median),
                   fmt::format("{:.1f}..{:.1f}", ns.low, ns.high), fmt::format("{:.2f}", ratio.median),
                   all[i]->tests});
        json["loans"].push_back({{"pool", all[i]->name},
                                 {"threads", threads},
                                 {"ns", ns.median},
                                 {"low", ns.low},
                                 {"high", ns.high},
                                 {"over_connection_pool", ratio.median}});
      }
      table.print();
      // Judged where each thread has a core: more of them measure the scheduler.
      if (threads <= 2) good = good && race.ratio(2, 0).high > 1;
    }
#if !TIDEOVER_PEERS_POCO
    fmt::print("Not here: Poco::ObjectPool (libpoco-dev); benchmarks/run --full installs it.\n");
#endif
#if !TIDEOVER_PEERS_SOCI
    fmt::print("Not here: soci::connection_pool (libsoci-dev); benchmarks/run --full installs it.\n");
#endif
    fmt::print("Floor: not slower than a mutex and a vector with two readings of the clock: {}.\n",
               good ? "kept" : "BROKEN");
    json["good"] = good;
    if (!out.empty()) bench::write_json(out, json);
    return good ? 0 : 1;
  } catch (std::exception const& e) {
    fmt::print(stderr, "pool_peers: {}\n", e.what());
    return 2;
  }
}
