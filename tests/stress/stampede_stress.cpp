// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/stress_turns.hpp"
#include "support/watchdog.hpp"

#include <tideover/cached.hpp>
#include <tideover/deadline.hpp>
#include <tideover/error.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/executor.hpp>
#include <tideover/single_flight.hpp>
#include <tideover/stampede_guard.hpp>
#include <tideover/ttl_cache.hpp>

#include <pthread.h>

#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <random>
#include <stop_token>
#include <thread>
#include <vector>

/// Everything at once on one guard: threads ask with computations that succeed, throw, are cancelled, go away
/// with their thread, or ask for one another in rings; others write, invalidate, clear and begin generations;
/// time passes. Values carry versions: none may be older than the last invalidation that had returned when
/// the call began. Each race is counted where it happens, and one that never happened fails the test. Bounded
/// by calls, not by time.
namespace {

using namespace std::chrono_literals;
using tideover::serving;

constexpr int keys = 6;
constexpr int workers = 4;

struct versioned {
  int key;
  std::uint64_t version;
};
struct origin_down : std::exception {};

template <class Executor>
class stampede {
 public:
  using store = tideover::ttl_cache<int, tideover::cached<versioned>, tideover::manual_clock>;
  using guard_type = tideover::stampede_guard<store, tideover::refresh_after<std::ratio<1, 2>>, Executor,
                                              tideover::constant_backoff>;

  explicit stampede(Executor executor) : guard_(store_options(), options(), clock_, executor, rest()) {}

  void run(std::size_t calls, std::uint64_t seed) {
    working_ = workers;
    std::vector<std::thread> crew;
    for (int w = 0; w < workers; ++w) {
      crew.emplace_back([this, calls, random = std::mt19937_64(seed + std::uint64_t(w))]() mutable {
        for (std::size_t i = 0; i < calls; ++i, ++steps_) step(random);
        --working_;
      });
    }
    // Time passes while they work, not all at once when they get no processor, and also when all of them
    // wait; now and then so much of it that what is stored may stand in for failures only.
    for (int n = 1; working_ != 0; ++n) {
      std::size_t const before = steps_;
      for (int patience = 100; patience != 0 && steps_ == before; --patience) std::this_thread::yield();
      clock_.advance(n % 64 == 0 ? 35ms : 1ms);
    }
    for (auto& t : crew) t.join();
    // Refreshes may be under way still.
    tideover_test::await([&] { return guard_.stats().running == 0; });
  }

  tideover::stampede_stats stats() const { return guard_.stats(); }
  std::atomic<std::size_t> stale{0}, foreign{0}, unexpected{0};
  std::atomic<std::size_t> fresh{0}, revalidated{0}, computed{0}, joined{0}, instead{0}, failed{0}, cycles{0},
      timed_out{0}, cancelled{0}, left{0};

 private:
  static tideover::ttl_cache_options store_options() {
    tideover::ttl_cache_options o;
    o.capacity = 100;
    return o;
  }
  static tideover::stampede_guard_options options() {
    tideover::stampede_guard_options o;
    o.ttl = 20ms;
    o.stale_while_revalidate = 10ms;
    o.stale_if_error = 40ms;
    o.stop_unwanted = true;
    o.max_waiters = 3;
    return o;
  }
  static tideover::constant_backoff rest() { return {.wait = 3ms}; }

  using engine = std::mt19937_64;

  /// Reads the origin as it is when this begins, and takes its time.
  versioned load(int key, std::uint64_t dice) {
    std::uint64_t const version = origin_[std::size_t(key)].load(std::memory_order_acquire);
    for (std::uint64_t i = dice % 8; i != 0; --i) std::this_thread::yield();
    return {key, version};
  }

  void step(engine& random) {
    int const key = int(random() % keys);
    std::uint64_t const dice = random();
    switch (random() % 40) {
      case 0:
      case 1:
        write(key);
        return;
      case 2: {
        std::lock_guard const one_writer(writing_[std::size_t(key)]);
        std::uint64_t const version = ++origin_[std::size_t(key)];
        guard_.put(key, versioned{key, version});
        raise(floor_[std::size_t(key)], version);
        return;
      }
      case 3:
        if (dice % 8 == 0) guard_.clear();
        if (dice % 8 == 1) guard_.new_generation();
        return;
      case 4:
        if (dice % 8 == 0) leave_in_the_middle(key);
        return;
      case 5:
        ask(key, dice, [this](int const& k) -> versioned {
          load(k, 4);
          throw origin_down();
        });
        return;
      case 6:
        ring(key, dice);
        return;
      case 7:
        cancel(key, dice);
        return;
      default:
        ask(key, dice, [this, dice](int const& k) { return load(k, dice); });
    }
  }

  /// The origin changes first, then the cache is told.
  void write(int key) {
    std::lock_guard const one_writer(writing_[std::size_t(key)]);
    std::uint64_t const version = ++origin_[std::size_t(key)];
    guard_.invalidate(key);
    raise(floor_[std::size_t(key)], version);
  }
  static void raise(std::atomic<std::uint64_t>& floor, std::uint64_t to) {
    std::uint64_t seen = floor.load();
    while (seen < to && !floor.compare_exchange_weak(seen, to)) {
    }
  }

  template <class F>
  void ask(int key, std::uint64_t dice, F compute) {
    std::uint64_t const at_least = floor_[std::size_t(key)].load();
    auto const until = dice % 4 == 0
                           ? tideover::deadline::after(clock_, std::chrono::nanoseconds(dice % 3 * 1'000'000))
                           : tideover::deadline::never();
    judge(key, at_least, guard_.try_serve(key, compute, until));
  }
  void judge(int key, std::uint64_t at_least, tideover::result<tideover::served<versioned>> const& got) {
    if (got) {
      if (got->value.key != key) ++foreign;
      if (got->value.version < at_least) ++stale;
      switch (got->how) {
        case serving::fresh:
          ++fresh;
          break;
        case serving::stale_while_revalidate:
          ++revalidated;
          break;
        case serving::computed:
          ++computed;
          break;
        case serving::joined:
          ++joined;
          break;
        case serving::stale_if_error:
          ++instead;
      }
      return;
    }
    if (got.code() == tideover::errc::timed_out) {
      ++timed_out;
    } else if (got.code() == tideover::errc::cancelled) {
      ++cancelled;
    } else if (got.code() == tideover::errc::recursive_computation) {
      ++cycles;
    } else if (got.code() == tideover::errc::computation_failed) {
      ++failed;
    } else if (got.code() != tideover::errc::queue_full && got.code() != tideover::errc::flight_abandoned) {
      ++unexpected;
    }
  }

  /// Each key's computation asks for the next key's.
  void ring(int key, std::uint64_t dice) {
    guard_.invalidate(key);
    ask(key, 1, [this, dice](int const& k) -> versioned {
      std::uint64_t const version = origin_[std::size_t(k)].load(std::memory_order_acquire);
      for (std::uint64_t i = dice % 8; i != 0; --i) std::this_thread::yield();
      int const next = dice % 4 == 0 ? k : (k + 1) % 3;  // itself now and then
      {
        auto const inner = guard_.try_serve(next, [this, k, next](int const& other) -> versioned {
          static_cast<void>(guard_.try_get_or_compute(k == next ? next + 1 : k, [](int const& last) {
            return versioned{last, ~std::uint64_t{0} >> 1};
          }));
          return load(other, 1);
        });
        if (!inner && inner.code() == tideover::errc::recursive_computation) ++cycles;
      }
      return {k, version};
    });
  }

  /// Two callers that both give up; the computation stops when it is told to.
  void cancel(int key, std::uint64_t dice) {
    std::stop_source stop;
    std::uint64_t const at_least = floor_[std::size_t(key)].load();
    std::thread stopper([&] {
      for (std::uint64_t i = dice % 16; i != 0; --i) std::this_thread::yield();
      stop.request_stop();
    });
    judge(key, at_least,
          guard_.try_serve(
              key,
              [this](int const& k, std::stop_token const& token) -> tideover::result<versioned> {
                versioned const v = load(k, 7);
                if (token.stop_requested()) return tideover::errc::cancelled;
                return v;
              },
              tideover::deadline{.stop = stop.get_token()}));
    stopper.join();
  }

  void leave_in_the_middle(int key) {
    guard_.invalidate(key);
    std::thread leaving([&] {
      static_cast<void>(
          guard_.try_get_or_compute(key, [this, here = std::this_thread::get_id()](int const& k) {
            versioned const v = load(k, 7);
            if (std::this_thread::get_id() != here)
              return v;  // as a refresh, on a thread that is not ours to end
            ++left;
            ::pthread_exit(nullptr);
          }));
    });
    leaving.join();
  }

  tideover::manual_clock clock_;
  std::array<std::atomic<std::uint64_t>, keys> origin_{}, floor_{};
  std::array<std::mutex, keys> writing_;
  std::atomic<int> working_{workers};
  std::atomic<std::size_t> steps_{0};
  guard_type guard_;
};

template <class Executor>
void everything(Executor executor, bool inline_refreshes) {
  std::size_t const calls = tideover_test::number_from("TIDEOVER_STRESS_CALLS", 60'000) / 4;
  stampede<Executor> t(std::move(executor));
  tideover_test::stress_turns const go_on(1, [&] {
    auto const s = t.stats();
    return t.instead > 0 && t.revalidated > 0 && s.found_refreshed > 0 && s.failed_fast > 0 &&
           s.computations.early > 0;
  });
  for (std::size_t turn = 0; go_on(turn); ++turn) t.run(calls, tideover_test::run_seed() + 1000 * turn);
  CHECK(t.stale == 0);
  CHECK(t.foreign == 0);
  CHECK(t.unexpected == 0);

  CHECK(t.fresh > 0);
  CHECK(t.revalidated > 0);
  CHECK(t.computed > 0);
  CHECK(t.joined > 0);
  CHECK(t.instead > 0);
  CHECK(t.failed > 0);
  CHECK(t.cycles > 0);
  CHECK(t.timed_out > 0);
  CHECK(t.left > 0);
  auto const s = t.stats();
  CHECK(s.computations.miss > 0);
  CHECK(s.computations.early > 0);
  CHECK(s.computations.stale > 0);
  CHECK(s.failed > 0);
  CHECK(s.abandoned > 0);
  CHECK(s.coalesced > 0);
  CHECK(s.cancelled + t.cancelled > 0);
  CHECK(s.recursions > 0);
  CHECK(s.failed_fast > 0);
  CHECK(s.rejected_writes > 0);
  CHECK(s.stale_served.revalidate > 0);
  CHECK(s.stale_served.error > 0);
  CHECK(s.found_refreshed > 0);
  if (!inline_refreshes) CHECK(s.refresh_failures > 0);
  CHECK(s.running == 0);
  CHECK(s.store_failures + s.predicate_failures == 0);
}

}  // namespace

TEST_CASE("S5: everything at once on a guard, refreshing inline", "[stress]") {
  tideover_test::watchdog const dog("a stampede, inline", std::chrono::minutes(5));
  everything(tideover::inline_refresh(), true);
}

TEST_CASE("S5: everything at once on a guard, refreshing on threads", "[stress]") {
  tideover_test::watchdog const dog("a stampede, on threads", std::chrono::minutes(5));
  everything(tideover::owned_threads{2}, false);
}

TEST_CASE("S5: a thousand threads, one expired key, one computation", "[stress]") {
  tideover_test::watchdog const dog("a thousand threads", std::chrono::minutes(5));
  using store = tideover::ttl_cache<int, tideover::cached<int>, tideover::steady>;
  tideover::stampede_guard<store> guard({}, {.ttl = 1ns});
  guard.get_or_compute(1, [] { return 1; });
  constexpr int callers = 1000;
  std::atomic<int> computations{0}, served{0}, inside{0};
  std::barrier<> start(callers);
  std::vector<std::thread> crew;
  for (int i = 0; i < callers; ++i) {
    crew.emplace_back([&] {
      start.arrive_and_wait();
      ++inside;
      int const got = guard.get_or_compute(1, [&] {
        ++computations;
        // It ends when all others have come.
        tideover_test::await([&] { return inside == callers && guard.stats().coalesced == callers - 1; });
        return 7;
      });
      served += got == 7;
    });
  }
  for (auto& t : crew) t.join();
  CHECK(computations == 1);
  CHECK(served == callers);
}

TEST_CASE("S5: flights alone: no two of one key at a time, whatever happens", "[stress]") {
  tideover_test::watchdog const dog("flights at once", std::chrono::minutes(5));
  tideover::single_flight<int, std::uint64_t> flights;
  std::array<std::atomic<int>, 4> inside{};
  std::atomic<std::size_t> together{0}, thrown{0}, values{0};
  std::size_t const calls = tideover_test::number_from("TIDEOVER_STRESS_CALLS", 60'000) / 2;
  std::uint64_t const seed = tideover_test::run_seed();
  std::vector<std::thread> crew;
  for (int w = 0; w < workers; ++w) {
    crew.emplace_back([&, random = std::mt19937_64(seed + std::uint64_t(w))]() mutable {
      for (std::size_t i = 0; i < calls; ++i) {
        auto const key = int(random() % inside.size());
        std::uint64_t const dice = random();
        try {
          std::uint64_t const got = flights.run(key, [&](int const& k) {
            auto& mine = inside[std::size_t(k)];
            if (mine.fetch_add(1) != 0) ++together;
            for (std::uint64_t n = dice % 4; n != 0; --n) std::this_thread::yield();
            if (dice % 16 == 0) {
              // A little longer, so that others share the failure.
              for (std::uint64_t n = 0, before = flights.stats().coalesced;
                   n != 200 && flights.stats().coalesced == before; ++n) {
                std::this_thread::yield();
              }
              --mine;
              throw origin_down();
            }
            --mine;
            return dice << 2 | std::uint64_t(k);
          });
          if ((got & 3) != std::uint64_t(key)) ++together;
          ++values;
        } catch (origin_down const&) {
          ++thrown;
        }
      }
    });
  }
  for (auto& t : crew) t.join();
  CHECK(together == 0);
  CHECK(values > 0);
  auto const s = flights.stats();
  CHECK(thrown > s.computations_failed);  // somebody shared a failure
  CHECK(s.coalesced > 0);
  CHECK(s.computations + s.coalesced == calls * workers);
  CHECK(s.running == 0);
}
