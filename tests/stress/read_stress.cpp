// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/watchdog.hpp"

#include <tideover/cache_snapshot.hpp>
#include <tideover/detail/hazard.hpp>
#include <tideover/error.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/eviction/s3_fifo.hpp>
#include <tideover/policy/eviction/sieve.hpp>
#include <tideover/policy/eviction/steered.hpp>
#include <tideover/policy/eviction/w_tinylfu.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/ttl_cache.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

/// Entries that are read without a lock, while others take them away. Values know whose they are and which
/// version; their destructors find out whether they die twice or under a lock. Each race that a test is about
/// is counted where it happens, and one that never happened fails the test.
namespace {

using namespace std::chrono_literals;
using counter = std::atomic<std::size_t>;

std::size_t calls() { return tideover_test::number_from("TIDEOVER_STRESS_CALLS", 60'000); }

// ---- A lock that is seen, and values that look whether it is held
// -------------------------------------------

thread_local int locks_held = 0;
thread_local bool ends_a_visit = false;

class seen_mutex {
 public:
  void lock() noexcept { mutex_.lock(), ++locks_held; }
  bool try_lock() noexcept { return mutex_.try_lock() && (++locks_held, true); }
  void unlock() noexcept { --locks_held, mutex_.unlock(); }

 private:
  tideover::spin_mutex mutex_;
};

struct deaths {
  std::atomic<long> live{0};
  counter twice{0}, under_a_lock{0}, at_the_end_of_a_visit{0};
};
deaths dead;

/// One version of a key's value, in memory of its own.
class record {
 public:
  record(int key, std::uint64_t version) : key_(key), version_(version), check_(sum()) { ++dead.live; }
  record(record const& o) : key_(o.key_), version_(o.version_), check_(o.check_) { ++dead.live; }
  record& operator=(record const&) = delete;
  ~record() {
    if (check_ != sum()) ++dead.twice;
    check_ = 0;
    --dead.live;
    if (locks_held != 0) ++dead.under_a_lock;
    if (ends_a_visit) ++dead.at_the_end_of_a_visit;
  }
  bool belongs_to(int key) const { return key_ == key && check_ == sum(); }
  std::uint64_t version() const { return version_; }

 private:
  std::uint64_t sum() const {
    return ((version_ + 1) * 0x9E3779B97F4A7C15u) ^ static_cast<std::uint64_t>(key_);
  }
  int key_;
  std::uint64_t version_;
  std::uint64_t check_;
};

struct copy_failed : std::exception {};
struct visitor_failed : std::exception {};
thread_local bool copies_fail = false;

/// A value that owns its record: copies are deep, and fail on demand.
class owning {
 public:
  owning(int key, std::uint64_t version) : record_(std::make_unique<record>(key, version)) {}
  owning(owning const& o) {
    if (copies_fail) throw copy_failed();
    record_ = std::make_unique<record>(*o.record_);
  }
  owning(owning&&) noexcept = default;
  owning& operator=(owning&&) noexcept = default;
  record const& operator*() const { return *record_; }

 private:
  std::unique_ptr<record> record_;
};

/// A value that shares its record.
class sharing {
 public:
  sharing(int key, std::uint64_t version) : record_(std::make_shared<record const>(key, version)) {}
  record const& operator*() const { return *record_; }

 private:
  std::shared_ptr<record const> record_;
};

bool belongs(owning const& v, int key) { return (*v).belongs_to(key); }
bool belongs(sharing const& v, int key) { return (*v).belongs_to(key); }
std::uint64_t version(owning const& v) { return (*v).version(); }
std::uint64_t version(sharing const& v) { return (*v).version(); }

/// And one that is text, too long for the string itself.
struct text {
  text(int key, std::uint64_t n)
      : value(std::to_string(n).append(1, ' ').append(std::to_string(key)).append(64, '.')) {}
  std::string value;
};
bool belongs(text const& v, int key) {
  return v.value.ends_with(std::string(1, ' ').append(std::to_string(key)).append(64, '.'));
}
std::uint64_t version(text const& v) { return std::strtoull(v.value.c_str(), nullptr, 10); }

/// A value in a snapshot: its version.
template <class Value>
struct version_codec {
  void write(Value const& v, std::string& to) const {
    tideover::snapshot_codec<std::uint64_t>().write(version(v), to);
  }
  std::optional<Value> read(std::string_view) const { return std::nullopt; }
};

using locking = tideover::sharded<4, seen_mutex>;

template <class Value, class Eviction, std::size_t Capacity>
struct setting {
  using value = Value;
  using cache = tideover::ttl_cache<int, Value, Eviction, locking, tideover::manual_clock>;
  static constexpr std::size_t capacity = Capacity;
};
using small_owning = setting<owning, tideover::steered, 24>;
using small_sharing = setting<sharing, tideover::sieve, 24>;
using small_text = setting<text, tideover::s3_fifo, 24>;
using shards_owning = setting<owning, tideover::w_tinylfu, 4096>;
using shards_sharing = setting<sharing, tideover::steered, 8192>;

// ---- Everything at once
// -------------------------------------------------------------------------------------

constexpr int workers = 5;
constexpr int hot_keys = 6;
constexpr unsigned slots = tideover::detail::hazard_record::nesting;

struct races {
  counter hit{0}, missed{0}, read_in_compute{0}, computed{0}, visited{0}, removed_in_visit{0},
      replaced_in_visit{0}, by_itself{0}, beyond_the_slots{0}, visitor_threw{0}, copy_threw{0}, resized{0},
      cleared_in_visit{0}, outdated_in_visit{0}, walked_in_visit{0}, saved{0};
  std::size_t rarest() const {
    return std::min({removed_in_visit.load(), replaced_in_visit.load(), cleared_in_visit.load(),
                     outdated_in_visit.load(), walked_in_visit.load()});
  }
  counter stale{0}, damaged{0}, unexpected{0};
};

template <class Setting>
class stress {
 public:
  using value = typename Setting::value;
  static constexpr std::size_t capacity = Setting::capacity;
  static constexpr int keys = static_cast<int>(capacity) / workers * workers * 2;

  stress()
      : cache({.capacity = capacity, .ttl = 1s}, clock),
        current_(static_cast<std::size_t>(keys)),
        floor_(static_cast<std::size_t>(keys)) {}

  void run(std::size_t calls, std::uint64_t seed) {
    std::vector<std::thread> threads;
    for (int self = 0; self != workers; ++self) {
      threads.emplace_back([this, self, calls, seed] {
        worker w{self, std::mt19937_64(seed + static_cast<std::uint64_t>(self))};
        for (std::size_t i = 0; i != calls; ++i) {
          try {
            one_call(w);
          } catch (...) {
            ++seen.unexpected;
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  races seen;
  tideover::manual_clock clock;
  typename Setting::cache cache;

 private:
  /// A worker is the only one to write its share of the keys, so it knows which version is the newest.
  struct worker {
    int self;
    std::mt19937_64 random;
    unsigned depth = 0;
    std::uint64_t below(std::uint64_t n) { return random() % n; }
  };
  using cell = std::atomic<std::uint64_t>;

  cell& current(int key) { return current_[static_cast<std::size_t>(key)]; }
  /// What every call that starts from now on must at least see.
  cell& floor(int key) { return floor_[static_cast<std::size_t>(key)]; }
  int some_key(worker& w) {
    return static_cast<int>(w.below(4) != 0 ? w.below(hot_keys) : w.below(static_cast<std::uint64_t>(keys)));
  }
  void check(int key, value const& v, std::uint64_t at_least) {
    if (!belongs(v, key)) ++seen.damaged;
    if (version(v) < at_least) ++seen.stale;
  }

  void one_call(worker& w) {
    int const key = some_key(w);
    std::uint64_t const dice = w.below(1000);
    if (dice < 300) return get(w, key);
    if (dice < 560) return visit(w, key);
    if (dice < 680) return compute(w, key);
    if (dice < 920) return write(w, key - key % workers + w.self);
    if (dice < 950) return clock.advance(std::chrono::microseconds(w.below(1000)));
    if (dice < 960) return void(cache.maintain());
    if (dice < 968) return walk(key);
    if (dice < 980) {
      ++seen.resized;
      return cache.set_capacity(w.below(2) == 0 ? capacity : capacity * 3 / 4);
    }
    if (w.below(capacity) >= 24) return;  // a large cache must have the time to fill
    if (dice < 990) return ++cleared_, cache.clear();
    ++generations_, cache.new_generation();
  }

  void get(worker& w, int key) {
    std::uint64_t const at_least = floor(key);
    copies_fail = w.below(64) == 0;
    try {
      std::optional<value> const got = w.below(4) == 0 ? cache.peek(key) : cache.get(key);
      ++(got ? seen.hit : seen.missed);
      copies_fail = false;
      if (got) check(key, *got, at_least);
    } catch (copy_failed const&) {
      copies_fail = false;
      ++seen.copy_threw;
    }
  }

  void visit(worker& w, int key) {
    std::uint64_t const at_least = floor(key);
    bool const fails = w.below(16) == 0;
    ++w.depth;
    try {
      cache.visit(key, [&](value const& v) {
        ++seen.visited;
        if (w.depth > slots) ++seen.beyond_the_slots;
        std::size_t const cleared = cleared_, generations = generations_, walks = walks_;
        check(key, v, at_least);
        if (w.below(4) == 0) std::this_thread::yield();
        if (w.depth < slots + 2 && w.below(3) != 0) visit(w, some_key(w));
        if (key % workers == w.self && w.below(4) == 0) ++seen.by_itself, write(w, key);
        if (cleared != cleared_) ++seen.cleared_in_visit;
        if (generations != generations_) ++seen.outdated_in_visit;
        if (walks != walks_) ++seen.walked_in_visit;
        bool there = false;
        std::uint64_t newest = version(v);
        cache.visit(key, [&](value const& now) { there = true, newest = version(now); });
        if (!there) ++seen.removed_in_visit;
        if (newest != version(v)) ++seen.replaced_in_visit;
        check(key, v, at_least);
        ends_a_visit = true;
        if (fails) throw visitor_failed();
      });
    } catch (visitor_failed const&) {
      ++seen.visitor_threw;
    }
    ends_a_visit = false;
    --w.depth;
  }

  void compute(worker& w, int key) {
    std::uint64_t const at_least = floor(key);
    bool computed = false;
    auto const load = [&] {
      computed = true;
      std::uint64_t const now = current(key);
      if (w.below(4) == 0) std::this_thread::yield();
      return value(key, now);
    };
    if (w.below(2) == 0) {
      check(key, cache.get_or_compute(key, load), at_least);
    } else {
      cache.visit_or_compute(key, load, [&](value const& v) { check(key, v, at_least); });
    }
    ++(computed ? seen.computed : seen.read_in_compute);
  }

  void write(worker& w, int key) {
    std::uint64_t const next = ++current(key);
    switch (w.below(8)) {
      case 0:
        cache.erase(key);
        break;
      case 1:
        cache.put(key, value(key, next), {.ttl = 300us});
        break;
      default:
        cache.put(key, value(key, next));
        break;
    }
    floor(key) = next;
  }

  void walk(int key) {
    ++walks_;
    if (key % 8 == 0) {
      std::ostringstream out;
      tideover::save_snapshot(cache, out, {}, tideover::snapshot_codec<int>(), version_codec<value>());
      ++seen.saved;
    } else if (key % 2 == 0) {
      cache.for_each([&](int const& k, value const& v) { check(k, v, 0); });
    } else {
      cache.erase_if([&](int const& k, value const& v) { return check(k, v, 0), k % 5 == key % 5; });
    }
  }

  std::vector<cell> current_, floor_;
  counter cleared_{0}, generations_{0}, walks_{0};
};

}  // namespace

TEMPLATE_TEST_CASE("C9: everything at once, while entries are read without a lock", "[stress]", small_owning,
                   small_sharing, small_text, shards_owning, shards_sharing) {
  tideover_test::watchdog const dog("everything at once, reads without a lock", std::chrono::minutes(5));
  dead.at_the_end_of_a_visit = 0;
  {
    stress<TestType> t;
    t.run(calls() / 2, tideover_test::run_seed());
    // What takes two threads at one instant may need some more of them on a machine that is busy.
    for (std::uint64_t more = 1; more != 16 && t.seen.rarest() == 0; ++more) {
      t.run(calls() / 8, tideover_test::run_seed() + 1000 * more);
    }
    CHECK(t.seen.stale == 0);
    CHECK(t.seen.damaged == 0);
    CHECK(t.seen.unexpected == 0);
    CHECK(t.seen.hit > 0);
    CHECK(t.seen.missed > 0);
    CHECK(t.seen.read_in_compute > 0);
    CHECK(t.seen.computed > 0);
    CHECK(t.seen.visited > 0);
    CHECK(t.seen.removed_in_visit > 0);
    CHECK(t.seen.replaced_in_visit > 0);
    CHECK(t.seen.by_itself > 0);
    CHECK(t.seen.beyond_the_slots > 0);
    CHECK(t.seen.visitor_threw > 0);
    CHECK(t.seen.resized > 0);
    CHECK(t.seen.cleared_in_visit > 0);
    CHECK(t.seen.outdated_in_visit > 0);
    CHECK(t.seen.walked_in_visit > 0);
    CHECK(t.seen.saved > 0);
    if (std::is_same_v<typename TestType::value, owning>) CHECK(t.seen.copy_threw > 0);
    if (!std::is_same_v<typename TestType::value, text>) CHECK(dead.at_the_end_of_a_visit > 0);

    t.cache.maintain();
    auto const stats = t.cache.stats();
    CHECK(stats.resident == t.cache.size());
    CHECK(stats.inserted == stats.resident + stats.expired + stats.evicted + stats.erased + stats.cleared);
    CHECK(stats.gets == stats.hits + stats.misses);
    if (!std::is_same_v<typename TestType::value, text>) {
      CHECK(dead.live == static_cast<long>(stats.resident));
    }
    if (TestType::capacity < 100) CHECK(stats.evicted > 0);
    CHECK(stats.expired > 0);
    CHECK(stats.cleared > 0);
    CHECK(stats.erased > 0);
  }
  CHECK(dead.live == 0);
  CHECK(dead.twice == 0);
  CHECK(dead.under_a_lock == 0);
}
