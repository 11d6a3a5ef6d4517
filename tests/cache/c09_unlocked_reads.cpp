// SPDX-License-Identifier: BSL-1.0
#include "cache/computing.hpp"
#include "support/counted.hpp"

#include <tideover/detail/hazard.hpp>
#include <tideover/policy/eviction/s3_fifo.hpp>
#include <tideover/policy/eviction/sieve.hpp>
#include <tideover/policy/eviction/steered.hpp>
#include <tideover/policy/negative.hpp>

#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

// Entries that are read without a lock: when their values die, who may read in what, and what is left of it.

namespace {

using cache_type = tideover::ttl_cache<int, counted, manual_clock>;

/// More threads that have read some cache, and stand still, than a removal looks through each time.
class crowd {
 public:
  explicit crowd(std::size_t n) {
    for (std::size_t i = 0; i != n; ++i) {
      threads_.emplace_back([this] {
        cache_type any(sized(1));
        any.get(1);
        door_.pass();
      });
    }
    door_.await_arrivals(n);
  }
  ~crowd() {
    door_.open();
    for (std::thread& thread : threads_) thread.join();
  }
  crowd(crowd const&) = delete;
  crowd& operator=(crowd const&) = delete;

 private:
  gate door_;
  std::vector<std::thread> threads_;
};

/// `f()` within `depth` visits of key 0, one within the other.
template <class Cache, class F>
void at_depth(Cache& cache, unsigned depth, F f) {
  if (depth == 0) return f();
  CHECK(cache.visit(0, [&](counted const&) { at_depth(cache, depth - 1, f); }));
}

constexpr unsigned deepest = 2 * tideover::detail::hazard_record::nesting;

}  // namespace

TEST_CASE("C9: what is removed by request while nobody reads it dies at once, however many threads there are",
          "[C9]") {
  watchdog const dog("a crowd that stands still");
  crowd const others(40);
  long const alive = counted::live();
  manual_clock clock;
  tideover::ttl_cache<int, counted, manual_clock> cache(sized(100, 60s), clock);
  for (int key = 0; key != 10; ++key) cache.put(key, counted(key));
  SECTION("erase") {
    cache.erase(3);
    CHECK(counted::live() == alive + 9);
  }
  SECTION("erase_if") {
    cache.erase_if([](int const& key, counted const&) { return key < 4; });
    CHECK(counted::live() == alive + 6);
  }
  SECTION("clear") {
    cache.clear();
    CHECK(counted::live() == alive);
  }
  SECTION("set_capacity") {
    cache.set_capacity(2);
    CHECK(counted::live() == alive + 2);
  }
  SECTION("a generation, and maintain") {
    cache.new_generation();
    cache.maintain();
    CHECK(counted::live() == alive);
  }
  SECTION("expired, met by a read") {
    clock.advance(60s);
    CHECK_FALSE(cache.get(5));
    CHECK(counted::live() == alive + 9);
  }
  SECTION("put may leave some for later, and no more than half as many as there are threads") {
    long most = 0;
    for (int i = 0; i != 1000; ++i) {
      cache.put(i % 10, counted(i));
      most = std::max(most, counted::live() - alive - 10);
    }
    CHECK(most <= 41);
    cache.maintain();
    CHECK(counted::live() == alive + 10);
  }
}

TEST_CASE("C9: what is removed within its own visit dies at the end of it, at any depth", "[C9]") {
  watchdog const dog("visits in visits");
  bool const crowded = GENERATE(false, true);
  std::unique_ptr<crowd> others;
  if (crowded) others = std::make_unique<crowd>(40);
  for (unsigned depth = 0; depth <= deepest; ++depth) {
    long const alive = counted::live();
    {
      cache_type cache(sized(10));
      cache.put(0, counted(0));
      cache.put(1, counted(1));
      at_depth(cache, depth, [&] {
        CHECK(cache.visit(1, [&](counted const& value) {
          cache.erase(1);
          cache.maintain();
          CHECK(value.id() == 1);
          CHECK(counted::live() == alive + 2);
        }));
        CHECK(counted::live() == alive + 1);  // and not only when the outer visits end
        CHECK(cache.visit(0, [&](counted const&) {}));
      });
      cache.put(1, counted(1));
      at_depth(cache, depth, [&] {
        CHECK_THROWS_AS(cache.visit(1,
                                    [&](counted const&) {
                                      cache.put(1, counted(2));
                                      throw std::runtime_error("the visitor's own");
                                    }),
                        std::runtime_error);
      });
      CHECK(counted::live() == alive + 2);
      CHECK(cache.get(1)->id() == 2);
      CHECK(adds_up(cache.stats()));
    }
    CHECK(counted::live() == alive);
  }
}

TEST_CASE("C9: an outer visit keeps its value through everything that inner ones do", "[C9]") {
  watchdog const dog("an outer visit");
  long const alive = counted::live();
  {
    cache_type cache(sized(10));
    cache.put(0, counted(0));
    std::size_t reads = 0;
    auto const deeper = [&](auto& self, unsigned depth) -> void {
      int const mine = 100 + static_cast<int>(depth);
      cache.put(mine, counted(mine));
      cache.visit(mine, [&](counted const& value) {
        ++reads;
        cache.erase(mine);
        CHECK(counted::live() == alive + 2 + static_cast<long>(depth));
        if (depth != deepest) self(self, depth + 1);
        cache.get(0), cache.get(99), cache.peek(0);
        CHECK(value.id() == mine);
      });
      CHECK(counted::live() == alive + 1 + static_cast<long>(depth));
    };
    deeper(deeper, 0);
    CHECK(reads == deepest + 1);
    auto const stats = cache.stats();
    CHECK(stats.hits == 2 * reads);
    CHECK(stats.misses == reads);
  }
  CHECK(counted::live() == alive);
}

TEST_CASE("C9: nothing of a read is left behind when equality, copy or visitor throws", "[C9]") {
  struct touchy {
    int id;
    bool* bites;
    touchy(int i, bool* b) : id(i), bites(b) {}
    touchy(touchy const& o) : id(o.id), bites(o.bites) {
      if (*bites) throw std::runtime_error("a copy");
    }
    touchy(touchy&& o) noexcept : id(o.id), bites(o.bites) {}
  };
  struct equal {
    bool* bites;
    bool operator()(int a, int b) const {
      if (*bites) throw std::runtime_error("an equality");
      return a == b;
    }
  };
  using hashing = tideover::hash_by<std::hash<int>, equal>;
  bool copies_bite = false, equality_bites = false;
  long const alive = counted::live();
  {
    tideover::ttl_cache<int, std::pair<counted, touchy>, hashing, manual_clock> cache(
        sized(10), hashing(std::hash<int>(), equal{&equality_bites}));
    cache.put(1, std::pair<counted, touchy>(counted(1), touchy(1, &copies_bite)));
    // More often than there are slots, or the last ones would be taken under the lock.
    for (unsigned i = 0; i != deepest; ++i) {
      equality_bites = true;
      CHECK_THROWS_AS(cache.get(1), std::runtime_error);
      CHECK_THROWS_AS(cache.visit(1, [](auto const&) {}), std::runtime_error);
      equality_bites = false;
      copies_bite = true;
      CHECK_THROWS_AS(cache.get(1), std::runtime_error);
      CHECK_THROWS_AS(cache.peek(1), std::runtime_error);
      CHECK_THROWS_AS(cache.get_or_compute(
                          1, [&] { return std::pair<counted, touchy>(counted(2), touchy(2, &copies_bite)); }),
                      std::runtime_error);
      copies_bite = false;
      CHECK_THROWS_AS(cache.visit(1, [](auto const&) { throw std::runtime_error("a visitor"); }),
                      std::runtime_error);
    }
    CHECK(tideover::detail::hazard_record_of_this_thread().depth == 0);
    CHECK(cache.stats().hits == deepest);  // those of the visitors that threw
    CHECK(cache.stats().misses == 0);
    cache.erase(1);
    CHECK(counted::live() == alive);
  }
}

namespace {

/// Uses the cache when its thread has ended, and all that the thread had for reading has been given back.
struct last_will {
  cache_type* cache = nullptr;
  ~last_will() {
    if (cache == nullptr) return;
    cache->get(1);
    cache->visit(1, [&](counted const&) { cache->erase(1); });
    cache->get(1);
    cache->get_or_compute(2, [] { return counted(2); });
  }
};

}  // namespace

TEST_CASE("C8: reads are counted when their threads have ended, and in the destructors of their variables",
          "[C8]") {
  watchdog const dog("threads that end");
  long const alive = counted::live();
  {
    cache_type cache(sized(10));
    cache.put(0, counted(0));
    std::size_t hits = 0, misses = 0;
    // One after the other, so that they follow one another in the same place; then more than there are
    // places.
    for (int i = 0; i != 200; ++i) {
      std::thread([&] {
        cache.get(0), cache.visit(0, [](counted const&) {}), cache.peek(0), cache.get(1);
      }).join();
      hits += 2, misses += 1;
    }
    for (int i = 0; i != 3; ++i) {
      gate door;
      std::vector<std::thread> threads;
      for (int n = 0; n != 100; ++n) {
        threads.emplace_back([&] {
          cache.get(0), cache.get(1);
          door.pass();
          for (int again = 0; again != 50; ++again) cache.get(0), cache.get(1);
        });
      }
      door.await_arrivals(100);
      door.open();
      for (std::thread& thread : threads) thread.join();
      hits += 100 * 51, misses += 100 * 51;
    }
    CHECK(cache.stats().hits == hits);
    CHECK(cache.stats().misses == misses);

    for (int i = 0; i != 20; ++i) {
      cache.put(1, counted(1));
      cache.erase(2);
      std::thread([&] {
        thread_local last_will will;
        will.cache = &cache;  // made before the first read, so it dies after what the first read makes
        cache.get(0);
      }).join();
      hits += 3, misses += 2;
      CHECK_FALSE(cache.contains(1));
      CHECK(counted::live() == alive + 2);
    }
    CHECK(cache.stats().hits == hits);
    CHECK(cache.stats().misses == misses);
    CHECK(adds_up(cache.stats()));
  }
  CHECK(counted::live() == alive);
}

TEMPLATE_TEST_CASE("C9: each way to read a value without a lock is a use of it, and looking is none", "[C9]",
                   tideover::sieve, tideover::s3_fifo) {
  using used_cache = tideover::ttl_cache<int, counted, TestType, manual_clock>;
  auto const survives = [](auto read) {
    used_cache cache(sized(20));
    cache.put(0, counted(0));
    read(cache), read(cache), read(cache);
    // Enough for one that was not used to have left long ago.
    for (int key = 1; key != 60 && cache.contains(0); ++key) cache.put(key, counted(key));
    std::size_t n = 0;
    cache.for_each([&](int const& key, counted const&) { n += key == 0; });
    return n == 1;
  };
  auto const one = [] { return counted(1); };
  bool const without = survives([](used_cache&) {});
  CHECK_FALSE(without);
  CHECK(survives([](used_cache& c) { c.peek(0), c.contains(0), c.remaining_life(0); }) == without);
  CHECK(survives([](used_cache& c) { c.get(0); }));
  CHECK(survives([](used_cache& c) { c.visit(0, [](counted const&) {}); }));
  CHECK(survives([&](used_cache& c) { c.get_or_compute(0, one); }));
  CHECK(survives([&](used_cache& c) { c.visit_or_compute(0, one, [](counted const&) {}); }));
}

TEST_CASE("C13: a value that is visited without a lock is in use", "[C13]") {
  cache_type cache(sized(10));
  cache.put(1, counted(1));
  cache.put(2, counted(2));
  cache.visit(1, [&](counted const&) {
    CHECK(cache.explain(1).in_use);
    CHECK_FALSE(cache.explain(2).in_use);
  });
  CHECK_FALSE(cache.explain(1).in_use);
}

namespace {

/// A locking policy from before reads could do without a lock.
struct of_old {
  using policy_axis = tideover::axis::locking;
  using mutex_type = std::mutex;
  template <class T>
  using cell = std::atomic<T>;
  static constexpr std::size_t max_shards = 4;
  static constexpr bool is_shared = true;
};

}  // namespace

TEMPLATE_TEST_CASE("C9: locking policies that say nothing of reads have all of them under the lock", "[C9]",
                   of_old, (tideover::sharded<4, std::mutex>), tideover::one_mutex) {
  long const alive = counted::live();
  {
    tideover::ttl_cache<int, counted, TestType> cache(sized(10'000));
    cache.put(1, counted(1));
    CHECK(cache.get(1)->id() == 1);
    CHECK(cache.visit(1, [&](counted const& value) {
      CHECK(cache.explain(1).in_use);
      cache.erase(1);
      CHECK(value.id() == 1);
    }));
    CHECK(counted::live() == alive);
    CHECK_FALSE(cache.get(1));
    CHECK(cache.stats().hits == 2);
    CHECK(cache.stats().misses == 1);
  }
}
