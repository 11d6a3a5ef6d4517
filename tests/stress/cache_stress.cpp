// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/watchdog.hpp"

#include <tideover/deadline.hpp>
#include <tideover/error.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/eviction/fifo.hpp>
#include <tideover/policy/eviction/lru.hpp>
#include <tideover/policy/eviction/s3_fifo.hpp>
#include <tideover/policy/eviction/sieve.hpp>
#include <tideover/policy/eviction/steered.hpp>
#include <tideover/policy/eviction/w_tinylfu.hpp>
#include <tideover/policy/expiry/after_access.hpp>
#include <tideover/policy/expiry/after_write.hpp>
#include <tideover/policy/listener.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/ttl_cache.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <random>
#include <thread>
#include <vector>

/// Everything at once: threads read, write, erase, compute, visit, clear and resize one cache, while time
/// passes and a listener counts. Values carry versions, so that a stale one is seen; each race that the test
/// is about is counted where it happens, and one that never happened fails the test. Bounded by the number of
/// calls (TIDEOVER_STRESS_CALLS for each thread), never by time.
namespace {

using namespace std::chrono_literals;
using tideover::removal_cause;

constexpr int workers = 4;
constexpr int hot_keys = 4;  // half of all calls go to these, so that they meet

/// A version of a key's value. The check finds torn and freed ones, the count finds leaks.
class versioned {
 public:
  versioned(int key, std::uint64_t version) noexcept : key_(key), version_(version), check_(sum()) { ++live; }
  versioned(versioned const& o) noexcept : key_(o.key_), version_(o.version_), check_(o.check_) { ++live; }
  versioned& operator=(versioned const&) noexcept = default;
  ~versioned() {
    check_ = 0;
    --live;
  }

  std::uint64_t version() const { return version_; }
  bool belongs_to(int key) const { return key_ == key && check_ == sum(); }

  inline static std::atomic<long> live{0};

 private:
  std::uint64_t sum() const {
    return ((version_ + 1) * 0x9E3779B97F4A7C15u) ^ static_cast<std::uint64_t>(key_);
  }

  int key_;
  std::uint64_t version_;
  std::uint64_t check_;
};

struct origin_down : std::exception {};

using counter = std::atomic<std::size_t>;

struct races {
  counter hit{0}, missed{0}, expired_on_read{0}, failed_for_another{0}, wait_timed_out{0},
      removed_while_visited{0}, replaced_while_visited{0}, evicted_while_visited{0},
      written_while_computed{0}, told_and_called{0};
  // And what must never happen.
  counter stale{0}, damaged{0}, over_capacity{0}, unexpected{0};
};

thread_local bool reading = false;
thread_local int visited_key = -1;

struct listener {
  using policy_axis = tideover::axis::listener;

  void on_removal(int const& key, versioned const& value, removal_cause cause) const {
    if (!value.belongs_to(key)) ++seen->damaged;
    ++told->at(static_cast<std::size_t>(cause));
    if (cause == removal_cause::expired && reading) ++seen->expired_on_read;
    if (cause == removal_cause::evicted && key == visited_key) ++seen->evicted_while_visited;
    if (value.version() % 16 == 5) ++seen->told_and_called, (*call_back)(key);
  }

  races* seen;
  std::array<std::atomic<std::uint64_t>, 5>* told;
  std::function<void(int)>* call_back;
};

template <class Eviction, class Expiry, class Locking, std::size_t Capacity>
struct setting {
  static constexpr std::size_t capacity = Capacity;
  using cache =
      tideover::ttl_cache<int, versioned, Eviction, Expiry, Locking, tideover::manual_clock, listener>;
};

using small_lru = setting<tideover::lru, tideover::after_write, tideover::one_mutex, 24>;
using small_fifo = setting<tideover::fifo, tideover::after_access, tideover::sharded<16>, 24>;
using small_steered = setting<tideover::steered, tideover::after_write, tideover::one_mutex, 24>;
using small_sieve = setting<tideover::sieve, tideover::after_write, tideover::one_mutex, 24>;
// Several shards, so that what they share is shared; 4096 entries make 2 and 10,000 make 4 of them.
using steered_shards = setting<tideover::steered, tideover::after_access, tideover::sharded<16>, 10'000>;
using w_tinylfu_shards = setting<tideover::w_tinylfu, tideover::after_write, tideover::sharded<4>, 4096>;
using s3_fifo_shards = setting<tideover::s3_fifo, tideover::after_write, tideover::sharded<4>, 4096>;
using several_shards = setting<tideover::lru, tideover::after_write, tideover::sharded<4>, 4096>;

template <class Setting>
class stress {
 public:
  static constexpr std::size_t capacity = Setting::capacity;
  static constexpr int keys = static_cast<int>(capacity * 2);

  stress()
      : cache_(tideover::ttl_cache_options{.capacity = capacity, .ttl = 1s}, clock_,
               listener{&seen, &told, &call_back_}),
        current_(keys),
        floor_(keys) {
    call_back_ = [this](int key) { cache_.contains(key), cache_.get((key + 1) % keys); };
    for (int key = 0; key < keys; ++key) cache_.put(key, versioned(key, 0));
  }

  void run(std::size_t calls, std::uint64_t seed) {
    std::vector<std::thread> threads;
    for (int self = 0; self < workers; ++self) {
      threads.emplace_back([this, self, calls, seed] {
        worker w{self, std::mt19937_64(seed + static_cast<std::uint64_t>(self))};
        for (std::size_t i = 0; i < calls; ++i) one_call(w);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  races seen;
  std::array<std::atomic<std::uint64_t>, 5> told{};
  auto& cache() { return cache_; }
  auto& clock() { return clock_; }

 private:
  /// A worker is the only one to write its share of the keys, so it knows which version is the newest.
  struct worker {
    int self;
    std::mt19937_64 random;
    std::uint64_t below(std::uint64_t n) { return random() % n; }
  };
  using cell = std::atomic<std::uint64_t>;

  /// What the origin holds at this moment.
  cell& current(int key) { return current_[static_cast<std::size_t>(key)]; }
  /// What every call that starts from now on must at least see.
  cell& floor(int key) { return floor_[static_cast<std::size_t>(key)]; }

  int some_key(worker& w) {
    return static_cast<int>(w.below(2) == 0 ? w.below(hot_keys) : w.below(static_cast<std::uint64_t>(keys)));
  }

  void one_call(worker& w) {
    int const key = some_key(w);
    std::uint64_t const dice = w.below(1000);
    try {
      if (dice < 280) return get(key);
      if (dice < 480) return compute(w, key);
      if (dice < 580) return visit(w, key);
      if (dice < 840) return write(w, key - key % workers + w.self);
      if (dice < 900) return clock_.advance(std::chrono::microseconds(w.below(300)));
      if (dice < 940) return look(key);
      if (dice < 970) return void(cache_.maintain());
      if (dice < 980)
        return void(cache_.erase_if(
            [](int const& k, versioned const& v) { return (k + int(v.version() % 64)) % 64 == 0; }));
      if (dice < 985) return cache_.for_each([this](int const& k, versioned const& v) { check(k, v, 0); });
      if (dice < 988) return cache_.clear();
      if (dice < 998) return cache_.set_capacity(w.below(3) == 0 ? capacity / 2 : capacity);
      if (cache_.size() > capacity) ++seen.over_capacity;
    } catch (...) {
      ++seen.unexpected;
    }
  }

  void check(int key, versioned const& value, std::uint64_t at_least) {
    if (!value.belongs_to(key)) ++seen.damaged;
    if (value.version() < at_least) ++seen.stale;
  }

  void get(int key) {
    std::uint64_t const at_least = floor(key);
    reading = true;
    std::optional<versioned> const got = cache_.get(key);
    reading = false;
    ++(got ? seen.hit : seen.missed);
    if (got) check(key, *got, at_least);
  }

  void look(int key) {
    std::uint64_t const at_least = floor(key);
    if (std::optional<versioned> const got = cache_.peek(key)) check(key, *got, at_least);
    cache_.contains(key);
  }

  void write(worker& w, int key) {
    std::uint64_t const version = ++current(key);
    switch (w.below(8)) {
      case 0:
      case 1:
        cache_.erase(key);
        break;
      case 2:
        cache_.put(key, versioned(key, version), {.ttl = 0ns});
        break;
      case 3:
      case 4:
        cache_.put(key, versioned(key, version), {.ttl = 400us});
        break;
      default:
        cache_.put(key, versioned(key, version));
        break;
    }
    floor(key) = version;
  }

  /// Gives others the time to come by, or asks for another key, or lets time pass, or fails.
  versioned load(worker& w, int key, bool& computed, int depth) {
    computed = true;
    versioned const value(key, current(key));
    if (key < hot_keys) {
      std::uint64_t const arrivals = arrivals_;
      for (int i = 0; i < 50 && arrivals_ == arrivals; ++i) std::this_thread::yield();
      if (w.below(4) == 0) clock_.advance(100us);
      if (depth < 4 && w.below(4) == 0) {
        bool ignored = false;
        int const next = key ^ 1;
        static_cast<void>(cache_.try_get_or_compute(next, [&] { return load(w, next, ignored, depth + 1); }));
      }
      if (w.below(16) == 0) throw origin_down();
    }
    if (current(key) != value.version()) ++seen.written_while_computed;
    return value;
  }

  void compute(worker& w, int key) {
    std::uint64_t const at_least = floor(key);
    bool computed = false;
    ++arrivals_;
    try {
      auto const f = [&] { return load(w, key, computed, 0); };
      bool const hurried = w.below(3) == 0;
      check(key,
            hurried ? cache_.get_or_compute(key, f, tideover::deadline::after(clock_, 50us))
                    : cache_.get_or_compute(key, f),
            at_least);
    } catch (origin_down const&) {
      if (!computed) ++seen.failed_for_another;
    } catch (tideover::error const& e) {
      if (e.code() == tideover::errc::timed_out) return void(++seen.wait_timed_out);
      if (e.code() != tideover::errc::recursive_computation) throw;
    }
  }

  void visit(worker& w, int key) {
    std::uint64_t const at_least = floor(key);
    cache_.visit(key, [&](versioned const& value) {
      check(key, value, at_least);
      visited_key = key;
      // Others act meanwhile; and sometimes this very thread brings in so much that the entry must go.
      if (key < hot_keys) std::this_thread::yield();
      if (w.below(32) == 0) {
        int const rush = static_cast<int>(capacity > 100 ? 40 : 2 * capacity);
        for (int i = 0; i < rush; ++i) {
          int const other = (key + hot_keys + i) % keys;
          static_cast<void>(
              cache_.try_get_or_compute(other, [&] { return versioned(other, current(other)); }));
        }
      }
      visited_key = -1;
      std::optional<versioned> const now = cache_.peek(key);
      if (!now) ++seen.removed_while_visited;
      if (now && now->version() != value.version()) ++seen.replaced_while_visited;
      check(key, value, at_least);
    });
  }

  tideover::manual_clock clock_;
  std::function<void(int)> call_back_;
  typename Setting::cache cache_;
  std::vector<cell> current_, floor_;
  std::atomic<std::uint64_t> arrivals_{0};
};

}  // namespace

TEMPLATE_TEST_CASE("everything at once", "[stress]", small_lru, small_fifo, several_shards, small_steered,
                   small_sieve, steered_shards, w_tinylfu_shards, s3_fifo_shards) {
  tideover_test::watchdog const dog("everything at once", std::chrono::minutes(5));
  {
    stress<TestType> t;
    t.run(tideover_test::number_from("TIDEOVER_STRESS_CALLS", 60'000), tideover_test::run_seed());

    CHECK(t.seen.stale == 0);
    CHECK(t.seen.damaged == 0);
    CHECK(t.seen.over_capacity == 0);
    CHECK(t.seen.unexpected == 0);

    auto const stats = t.cache().stats();
    CHECK(t.seen.hit > 0);
    CHECK(t.seen.missed > 0);
    CHECK(t.seen.expired_on_read > 0);
    CHECK(t.seen.failed_for_another > 0);
    CHECK(t.seen.wait_timed_out > 0);
    CHECK(t.seen.removed_while_visited > 0);
    CHECK(t.seen.replaced_while_visited > 0);
    if (TestType::capacity < 100) CHECK(t.seen.evicted_while_visited > 0);
    CHECK(t.seen.written_while_computed > 0);
    CHECK(t.seen.told_and_called > 0);
    CHECK(stats.coalesced > 0);
    CHECK(stats.discarded > 0);
    CHECK(stats.recursions > 0);
    CHECK(stats.evicted > 0);
    CHECK(stats.replaced > 0);
    CHECK(stats.refused > 0);
    CHECK(stats.erased > 0);
    CHECK(stats.cleared > 0);

    // At rest everything agrees.
    CHECK(t.cache().size() <= t.cache().capacity());
    CHECK(stats.gets == stats.hits + stats.misses);
    CHECK(stats.puts == stats.inserted + stats.replaced + stats.refused);
    CHECK(stats.inserted == stats.resident + stats.expired + stats.evicted + stats.erased + stats.cleared);
    CHECK(stats.listener_failures == 0);
    CHECK(stats.waits_ended >= t.seen.wait_timed_out);
    auto const told = [&](removal_cause cause) { return t.told[static_cast<std::size_t>(cause)].load(); };
    CHECK(told(removal_cause::expired) == stats.expired);
    CHECK(told(removal_cause::evicted) == stats.evicted);
    CHECK(told(removal_cause::replaced) == stats.replaced);
    CHECK(told(removal_cause::erased) == stats.erased);
    CHECK(told(removal_cause::cleared) == stats.cleared);
    CHECK(t.clock().sleepers() == 0);
    CHECK(versioned::live >= long(t.cache().size()));
    t.cache().clear();
    CHECK(t.cache().size() == 0);
    CHECK(versioned::live == 0);
  }
  CHECK(versioned::live == 0);
}
