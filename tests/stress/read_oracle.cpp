// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/stress_turns.hpp"
#include "support/watchdog.hpp"

#include <tideover/policy/clock.hpp>
#include <tideover/policy/eviction/sieve.hpp>
#include <tideover/policy/eviction/steered.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/ttl_cache.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

/// What many threads see of one key, judged afterwards: each call is an interval of a common time, and there
/// must be an order of the calls, each somewhere within its interval, that explains what they saw.
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t nothing = 0;  // the version of a key that is absent

struct event {
  std::uint64_t begin, end;  // ticks
  std::uint64_t version;
  bool kept = true;  // a write that took effect for certain; a computed value may have been discarded
};

/// The history of one key: its writes (an erasure writes `nothing`) and what was read.
struct history {
  std::vector<event> writes, reads;
};

/// Reads that no order explains. Versions are written once, but for `nothing`. Necessary conditions of
/// linearizability; for a register whose writes differ they leave nothing out but rings of three and more
/// (Gibbons and Korach, "Testing Shared Memories", SIAM J. Comput. 26(4), 1997, section 4).
std::size_t unexplained(history const& h) {
  // Latest begin, up to a time, of a write that has ended by then: what began after it has overwritten more.
  std::vector<event> by_end;
  for (event const& w : h.writes) {
    if (w.kept) by_end.push_back(w);
  }
  std::sort(by_end.begin(), by_end.end(), [](event const& a, event const& b) { return a.end < b.end; });
  std::vector<std::uint64_t> latest_begin;
  std::uint64_t latest = 0;
  for (event const& w : by_end) latest_begin.push_back(latest = std::max(latest, w.begin));
  auto const overwritten = [&](event const& w, std::uint64_t before) {
    auto const n = std::lower_bound(by_end.begin(), by_end.end(), before,
                                    [](event const& o, std::uint64_t t) { return o.end < t; }) -
                   by_end.begin();
    return n != 0 && latest_begin[static_cast<std::size_t>(n - 1)] > w.end;
  };
  std::vector<event> by_version = h.writes;
  std::sort(by_version.begin(), by_version.end(),
            [](event const& a, event const& b) { return a.version < b.version; });
  auto const of_version = [&](std::uint64_t v) {
    return std::equal_range(by_version.begin(), by_version.end(), event{0, 0, v},
                            [](event const& a, event const& b) { return a.version < b.version; });
  };
  std::size_t wrong = 0;
  for (event const& r : h.reads) {
    auto const [first, last] = of_version(r.version);
    wrong += std::none_of(first, last,
                          [&](event const& w) { return w.begin < r.end && !overwritten(w, r.begin); });
  }
  // What one has seen before another began to look is not older than what that one sees.
  std::vector<event> seen;
  for (event const& r : h.reads) {
    if (r.version != nothing) seen.push_back(r);
  }
  std::sort(seen.begin(), seen.end(), [](event const& a, event const& b) { return a.end < b.end; });
  std::vector<event> by_begin = seen;
  std::sort(by_begin.begin(), by_begin.end(),
            [](event const& a, event const& b) { return a.begin < b.begin; });
  std::uint64_t newest_begin = 0;
  std::size_t at = 0;
  for (event const& r : by_begin) {
    for (; at != seen.size() && seen[at].end < r.begin; ++at) {
      newest_begin = std::max(newest_begin, of_version(seen[at].version).first->begin);
    }
    auto const [w, last] = of_version(r.version);
    wrong += w == last || w->end < newest_begin;
  }
  return wrong;
}

template <class Eviction>
using hot_cache =
    tideover::ttl_cache<int, std::string, Eviction, tideover::sharded<1>, tideover::manual_clock>;

/// Longer than a string keeps in itself.
std::string text(std::uint64_t version) { return std::to_string(version).append(40, '.'); }
std::uint64_t version_of(std::string const& value) { return std::strtoull(value.c_str(), nullptr, 10); }

struct seen_races {
  std::size_t found = 0, absent = 0, overlapping = 0;
  std::atomic<std::size_t> computed{0};
};

/// Some writers and readers at one key, for `calls` calls each.
template <class Cache>
history play(Cache& cache, std::size_t calls, bool erases, std::uint64_t seed, seen_races& seen) {
  constexpr std::size_t writers = 2, readers = 3;
  std::atomic<std::uint64_t> time{1}, versions{1};
  std::array<history, writers + readers> parts;
  cache.put(0, text(1));
  std::barrier start(writers + readers);
  std::vector<std::thread> threads;
  for (std::size_t self = 0; self != writers + readers; ++self) {
    threads.emplace_back([&, self] {
      std::mt19937_64 random(seed + self);
      history& h = parts[self];
      start.arrive_and_wait();
      for (std::size_t i = 0; i != calls; ++i) {
        std::uint64_t const dice = random() % 100;
        event e{time++, 0, nothing};
        if (self < writers) {
          if (erases && dice < 30) {
            cache.erase(0);
          } else if (erases && dice < 45) {
            event own = e;
            std::string const got = cache.get_or_compute(0, [&] { return text(own.version = ++versions); });
            e.version = version_of(got);
            e.end = time++;
            h.reads.push_back(e);
            if (own.version == nothing) continue;
            ++seen.computed;
            own.end = e.end, own.kept = false;
            h.writes.push_back(own);
            continue;
          } else {
            e.version = ++versions;
            cache.put(0, text(e.version));
          }
          e.end = time++;
          h.writes.push_back(e);
          continue;
        }
        if (dice < 60) {
          if (std::optional<std::string> const got = cache.get(0)) e.version = version_of(*got);
        } else {
          cache.visit(0, [&](std::string const& value) { e.version = version_of(value); });
        }
        e.end = time++;
        h.reads.push_back(e);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  history all;
  all.writes.push_back({0, 0, 1});
  for (history const& h : parts) {
    all.writes.insert(all.writes.end(), h.writes.begin(), h.writes.end());
    all.reads.insert(all.reads.end(), h.reads.begin(), h.reads.end());
  }
  for (event const& r : all.reads) {
    ++(r.version == nothing ? seen.absent : seen.found);
    seen.overlapping += r.end - r.begin > 2;
  }
  return all;
}

std::size_t calls() { return tideover_test::number_from("TIDEOVER_STRESS_CALLS", 60'000); }

}  // namespace

TEST_CASE("the judge of histories knows what cannot be", "[stress]") {
  history h{{{0, 0, 1}, {10, 20, 2}, {30, 40, nothing}, {50, 60, 3}}, {}};
  auto const seen = [&](std::vector<event> reads) {
    h.reads = std::move(reads);
    return unexplained(h);
  };
  CHECK(seen({{1, 2, 1}, {11, 12, 1}, {13, 14, 2}, {35, 36, 2}, {35, 37, nothing}, {55, 56, 3}}) == 0);
  CHECK(seen({{15, 70, 1}, {15, 70, 2}, {15, 70, nothing}, {15, 70, 3}}) == 0);
  CHECK(seen({{21, 22, 1}}) == 1);        // overwritten before the call
  CHECK(seen({{21, 22, nothing}}) == 1);  // it was there all the while
  CHECK(seen({{45, 46, 2}}) == 1);        // erased before the call
  CHECK(seen({{5, 6, 2}}) == 1);          // not written yet
  CHECK(seen({{61, 62, nothing}}) == 1);  // written again before the call
  CHECK(seen({{61, 62, 9}}) == 2);        // never written
  h.writes = {{0, 0, 1}, {10, 20, 2}, {12, 40, 3}};
  CHECK(seen({{21, 22, 3}, {23, 24, 2}}) == 0);  // one of them came first, whichever
  h.writes = {{0, 0, 1}, {10, 20, 2}, {21, 40, 3}};
  CHECK(seen({{30, 31, 3}, {32, 33, 2}}) == 1);  // back in time
}

TEMPLATE_TEST_CASE("C9: one key, read without a lock, put, erased and computed: some order explains it",
                   "[stress]", tideover::steered, tideover::sieve) {
  tideover_test::watchdog const dog("histories of one key", std::chrono::minutes(5));
  std::uint64_t const seed = tideover_test::run_seed();
  seen_races seen;
  std::uint64_t discarded = 0;
  tideover_test::stress_turns const go_on(std::max<std::size_t>(10, calls() / 1000), [&] {
    return seen.absent > 0 && seen.overlapping > 0 && seen.computed > 0 && discarded > 0;
  });
  for (std::size_t round = 0; go_on(round); ++round) {
    tideover::manual_clock clock;
    hot_cache<TestType> cache({.capacity = 16, .ttl = 1h}, clock);
    CHECK(unexplained(play(cache, 1000, true, seed + round * 100, seen)) == 0);
    discarded += cache.stats().discarded;
  }
  CHECK(seen.found > 0);
  CHECK(seen.absent > 0);
  CHECK(seen.overlapping > 0);
  CHECK(seen.computed > 0);
  CHECK(discarded > 0);
}

TEMPLATE_TEST_CASE("C9: a key that is replaced again and again is never missed", "[stress]",
                   tideover::steered, tideover::sieve) {
  tideover_test::watchdog const dog("a key that is replaced", std::chrono::minutes(5));
  seen_races seen;
  tideover_test::stress_turns const go_on(std::max<std::size_t>(10, calls() / 2000),
                                          [&] { return seen.overlapping > 0; });
  for (std::size_t round = 0; go_on(round); ++round) {
    tideover::manual_clock clock;
    hot_cache<TestType> cache({.capacity = 16, .ttl = 1h}, clock);
    CHECK(unexplained(play(cache, 1000, false, tideover_test::run_seed() + round * 100, seen)) == 0);
    CHECK(cache.stats().misses == 0);
  }
  CHECK(seen.found > 0);
  CHECK(seen.absent == 0);
  CHECK(seen.overlapping > 0);
}

TEST_CASE("C9: while the index grows and shrinks back, what is there is found", "[stress]") {
  tideover_test::watchdog const dog("growth", std::chrono::minutes(5));
  constexpr int kept = 64;
  constexpr std::size_t large = 6000;
  std::atomic<std::size_t> missed{0}, wrong{0}, read_while_growing{0};
  tideover_test::stress_turns const go_on(std::max<std::size_t>(4, calls() / 4000),
                                          [&] { return read_while_growing > 0; });
  for (std::size_t round = 0; go_on(round); ++round) {
    // Expected are few, so the index begins small.
    tideover::ttl_cache<int, std::string, tideover::steered, tideover::sharded<1>> cache(
        {.capacity = kept * 2, .ttl = 1h});
    for (int key = 0; key != kept; ++key) cache.put(key, text(static_cast<std::uint64_t>(key) + 1));
    for (int again = 0; again != 8; ++again) {
      for (int key = 0; key != kept; ++key) cache.get(key);
    }
    cache.set_capacity(large);
    std::atomic<bool> grows{false}, done{false};
    std::vector<std::thread> readers;
    for (int self = 0; self != 3; ++self) {
      readers.emplace_back([&, self] {
        for (int key = self; !done; key = (key + 1) % kept) {
          bool const growing = grows;
          std::optional<std::string> const got = cache.get(key);
          if (!got) {
            ++missed;
          } else if (version_of(*got) != static_cast<std::uint64_t>(key) + 1) {
            ++wrong;
          }
          if (growing && !done) ++read_while_growing;
        }
      });
    }
    grows = true;
    for (int key = kept; key != static_cast<int>(large); ++key) cache.put(key, text(0));
    done = true;
    for (std::thread& reader : readers) reader.join();
  }
  CHECK(missed == 0);
  CHECK(wrong == 0);
  CHECK(read_while_growing > 0);
}

namespace {

struct mortal {
  explicit mortal(std::atomic<int>& n) noexcept : live(&n) { ++n; }
  mortal(mortal&& o) noexcept : live(std::exchange(o.live, nullptr)) {}
  ~mortal() {
    if (live != nullptr) --*live;
  }
  std::atomic<int>* live;
};

}  // namespace

TEST_CASE("C9: an erasure and the end of a visit do not miss each other", "[stress]") {
  tideover_test::watchdog const dog("erasures at the end of visits", std::chrono::minutes(5));
  tideover::ttl_cache<int, mortal> cache({.capacity = 16, .ttl = 1h});
  std::atomic<int> live{0};
  std::size_t const rounds = 4 * calls();  // it takes some 60,000 to see one that is missed
  std::size_t left_over = 0;
  std::atomic<std::size_t> visited{0}, ended_after_the_erasure{0};
  std::atomic<bool> erased{false}, over{false};
  // Each round is two switches of threads: on a busy machine fewer of them have to do.
  auto const end = std::chrono::steady_clock::now() + 60s;
  auto const next = [&]() noexcept {
    over = std::chrono::steady_clock::now() > end;
    if (live != 0) ++left_over, cache.maintain();
    erased = false;
    cache.put(0, mortal(live));
  };
  std::barrier round(2, next);
  std::thread visitor([&] {
    std::mt19937_64 random(tideover_test::run_seed());
    for (std::size_t i = 0; i != rounds; ++i) {
      round.arrive_and_wait();
      if (over) break;
      visited += cache.visit(0, [&](mortal const&) {
        for (std::uint64_t n = random() % 256; n != 0 && !erased; --n) {
          if (n % 64 == 0) std::this_thread::yield();
        }
        if (erased) ++ended_after_the_erasure;
      });
    }
  });
  std::mt19937_64 random(tideover_test::run_seed() + 1);
  for (std::size_t i = 0; i != rounds; ++i) {
    round.arrive_and_wait();
    if (over) break;
    for (std::uint64_t n = random() % 512; n != 0; --n) std::atomic_signal_fence(std::memory_order_seq_cst);
    cache.erase(0);
    erased = true;
  }
  visitor.join();
  CHECK(left_over == 0);
  CHECK(visited > 0);
  CHECK(visited < rounds);  // sometimes the erasure was first
  CHECK(ended_after_the_erasure > 0);
}
