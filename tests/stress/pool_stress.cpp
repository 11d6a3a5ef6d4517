// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/watchdog.hpp"

#include <tideover/connection_pool.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <vector>

/// Threads borrow, keep, return, break and doubt objects, wait with short deadlines and stop_tokens, while
/// others invalidate, resize, look for leaks and take snapshots, and connects and checks fail. Each race that
/// the test is about is counted where it happens, and one that never happened fails the test. Bounded by the
/// number of calls (TIDEOVER_STRESS_CALLS for each thread).
namespace {

using namespace std::chrono_literals;
using tideover::errc;

struct sights {
  std::atomic<std::size_t> taken{0}, timed_out{0}, cancelled{0}, several{0}, broken{0}, doubted{0}, waited{0};
  std::atomic<std::size_t> connect_failed{0}, check_failed{0}, reset_failed{0}, leaks{0}, recovered{0};
  // And what must never happen.
  std::atomic<std::size_t> two_holders{0}, too_many{0}, used_dead{0}, bad_sums{0}, lent_old{0};
  std::atomic<long> alive{0};
};

struct shared_object {
  explicit shared_object(sights& s, std::uint64_t g) : seen(&s), generation(g) {
    if (++s.alive > 4) ++s.too_many;
  }
  shared_object(shared_object const&) = delete;
  shared_object& operator=(shared_object const&) = delete;
  ~shared_object() {
    if (holders != 0) ++seen->used_dead;
    --seen->alive;
  }
  sights* seen;
  std::uint64_t generation;
  std::atomic<int> holders{0};
  int plain = 0;  // written by each holder: a second one at once is a race that TSan sees
};

struct factory {
  using connection = shared_object;
  sights* seen;
  std::atomic<std::uint64_t>* generation;
  std::atomic<std::uint32_t>* turns;
  shared_object connect(tideover::deadline const&) {
    auto const g = generation->load();
    if (++*turns % 5 == 0) {
      ++seen->connect_failed;
      throw std::runtime_error("refused");
    }
    return shared_object(*seen, g);
  }
  bool healthy(shared_object& o, tideover::deadline const&) {
    ++o.plain;
    if (++*turns % 7 != 0) return true;
    ++seen->check_failed;
    return false;
  }
  bool reset(shared_object& o) {
    ++o.plain;
    if (++*turns % 97 != 0) return true;
    ++seen->reset_failed;
    return false;
  }
};

struct listener {
  using policy_axis = tideover::axis::listener;
  sights* seen;
  void on_event(tideover::pool_event const& e) const {
    if (e.kind == tideover::pool_event_kind::leak) ++seen->leaks;
    if (e.kind == tideover::pool_event_kind::recovered) ++seen->recovered;
  }
};

template <class... P>
class stress {
 public:
  using pool_type = tideover::connection_pool<factory, listener, tideover::exponential_backoff, P...>;

  explicit stress(tideover::pool_options const& o)
      : pool_(std::in_place, factory{&seen, &begun_, &turns_}, o, listener{&seen},
              tideover::exponential_backoff{50us, 1ms}) {}

  void run(std::size_t calls, std::uint64_t seed) {
    std::vector<std::thread> threads;
    for (unsigned self = 0; self < 4; ++self)
      threads.emplace_back([this, self, calls, seed] { work(self, calls, seed); });
    std::atomic<bool> over{false};
    std::thread operates([&] { operate(over, seed); });
    for (auto& t : threads) t.join();
    over = true;
    operates.join();
    auto const s = pool_->stats();
    seen.waited += s.timed_out;
    CHECK(s.leased == 0);
    CHECK(s.waiting == 0);
    CHECK(s.granted == seen.taken);
    // Leases that outlive the pool.
    std::vector<tideover::lease<shared_object>> last;
    for (int i = 0; i < 2; ++i) {
      if (auto l = pool_->try_acquire_for(5s)) last.push_back(std::move(*l));
    }
    pool_.reset();
    CHECK(seen.alive == static_cast<long>(last.size()));
    std::thread elsewhere([&] { last.clear(); });
    elsewhere.join();
    CHECK(seen.alive == 0);
  }

  sights seen;

 private:
  void use(shared_object& o, std::mt19937_64& random) {
    if (o.holders.fetch_add(1) != 0) ++seen.two_holders;
    ++o.plain;
    switch (random() % 16) {
      case 0:
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 500));
        break;
      case 1:
        std::this_thread::yield();
        break;
      default:
        break;
    }
    o.holders.fetch_sub(1);
  }
  void work(unsigned self, std::size_t calls, std::uint64_t seed) {
    std::mt19937_64 random(seed + self);
    for (std::size_t i = 0; i < calls; ++i) {
      std::uint64_t const before = generation_.load();
      if (random() % 32 == 0) {
        auto two = pool_->try_acquire_n(2, tideover::deadline::after(pool_->clock(), 2ms));
        if (!two) continue;
        ++seen.taken, ++seen.several;
        for (auto& l : *two) use(*l, random);
        continue;
      }
      std::optional<std::stop_source> stop;
      std::thread stops;
      auto const patience = std::chrono::microseconds(random() % 800);
      tideover::deadline until = tideover::deadline::after(pool_->clock(), patience);
      if (random() % 64 == 0) {
        stop.emplace();
        until.stop = stop->get_token();
        stops = std::thread([&] { stop->request_stop(); });
      }
      auto got = random() % 4 == 0 ? pool_->try_acquire() : pool_->try_acquire_until(until);
      if (stops.joinable()) stops.join();
      if (!got) {
        if (got.code() == errc::timed_out) ++seen.timed_out;
        if (got.code() == errc::cancelled) ++seen.cancelled;
        continue;
      }
      ++seen.taken;
      // P18: what is lent after an invalidate() has returned was made after it had begun.
      if ((*got)->generation < before) ++seen.lent_old;
      use(**got, random);
      switch (random() % 64) {
        case 0:
          ++seen.broken;
          got->discard();
          break;
        case 1:
          ++seen.doubted;
          got->doubt();
          break;
        default:
          break;
      }
    }
  }
  void operate(std::atomic<bool> const& over, std::uint64_t seed) {
    std::mt19937_64 random(seed + 99);
    while (!over) {
      auto const s = pool_->stats();
      if (s.started !=
              s.granted + s.timed_out + s.cancelled + s.closed + s.rejected + s.errored + s.waiting ||
          s.created - s.destroyed != s.idle + s.leased + s.checking + s.closing || s.size() + s.closing > 4) {
        ++seen.bad_sums;
      }
      seen.waited += s.waiting;
      switch (random() % 32) {
        case 0: {
          // Who connects reads the number of those begun, who borrows that of those that are over.
          std::uint64_t const next = generation_.load() + 1;
          begun_ = next;
          pool_->invalidate();
          generation_ = next;
          break;
        }
        case 1:
          pool_->resize(random() % 2, 2 + random() % 3);
          break;
        case 2:
          pool_->tick();
          break;
        default:
          std::this_thread::sleep_for(100us);
      }
    }
  }

  std::atomic<std::uint64_t> generation_{0}, begun_{0};
  std::atomic<std::uint32_t> turns_{0};
  std::optional<pool_type> pool_;
};

template <class Stress>
void judge(Stress& s, bool enough) {
  CHECK(s.seen.two_holders == 0);
  CHECK(s.seen.too_many == 0);
  CHECK(s.seen.used_dead == 0);
  CHECK(s.seen.bad_sums == 0);
  CHECK(s.seen.lent_old == 0);
  if (!enough) return;
  CHECK(s.seen.taken > 0);
  CHECK(s.seen.several > 0);
  CHECK(s.seen.timed_out > 0);
  CHECK(s.seen.cancelled > 0);
  CHECK(s.seen.waited > 0);
  CHECK(s.seen.broken > 0);
  CHECK(s.seen.doubted > 0);
  CHECK(s.seen.connect_failed > 0);
  CHECK(s.seen.check_failed > 0);
  CHECK(s.seen.reset_failed > 0);
  CHECK(s.seen.leaks > 0);
  CHECK(s.seen.leaks == s.seen.recovered);
}

tideover::pool_options options() {
  return {.min_size = 1,
          .max_size = 3,
          .max_idle_time = 2ms,
          .max_lifetime = 5ms,
          .health_check_interval = 1ms,
          .validate_after_idle = 500us,
          .leak_after = 200us,
          .count_closing = true};
}

}  // namespace

TEMPLATE_TEST_CASE("P1: P2: P5: P18: P27: everything at once on one pool", "[stress]",
                   (stress<tideover::steady>),
                   (stress<tideover::steady, tideover::thread_affinity, tideover::check_suspects>),
                   (stress<tideover::steady, tideover::fifo_idle, tideover::barging_waiters>),
                   (stress<tideover::steady, tideover::hand_driven>)) {
  tideover_test::watchdog const guard("pool stress", std::chrono::seconds(600));
  std::size_t const calls = tideover_test::number_from("TIDEOVER_STRESS_CALLS", 5'000);
  TestType s(options());
  s.run(calls, tideover_test::run_seed());
  judge(s, calls >= 5'000);
}

/// One object, three threads that ask with and without waiting: a waiter who is forgotten would time out, and
/// two holders would lose a count.
TEMPLATE_TEST_CASE("P4: nobody is forgotten, whatever way objects come back", "[stress]",
                   tideover::no_affinity, tideover::thread_affinity) {
  tideover_test::watchdog const guard("pool order", std::chrono::seconds(600));
  std::size_t const calls = tideover_test::number_from("TIDEOVER_STRESS_CALLS", 5'000);
  tideover::connection_pool pool(tideover::make_factory([] { return 1; }),
                                 tideover::pool_options{.max_size = 1}, TestType{});
  std::atomic<std::size_t> waited{0}, quick{0}, lost{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (std::size_t i = 0; i < calls; ++i) {
        if (i % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(20));
        if (auto first = pool.try_acquire()) {
          ++quick;
          ++**first;
          continue;
        }
        auto held = pool.try_acquire_for(std::chrono::minutes(1));
        if (!held) {
          ++lost;
          continue;
        }
        ++waited;
        ++**held;
      }
    });
  }
  for (auto& t : threads) t.join();
  CHECK(lost == 0);
  CHECK(static_cast<std::size_t>(*pool.acquire()) == 1 + 3 * calls);
  auto const s = pool.stats();
  CHECK(s.created == 1);
  CHECK(s.granted == 3 * calls + 1);
  if (calls < 5'000) return;
  CHECK(waited > 0);
  CHECK(quick > 0);
}
