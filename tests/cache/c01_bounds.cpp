// SPDX-License-Identifier: BSL-1.0
#include "cache/common.hpp"

#include <tideover/policy/pmr.hpp>
#include <tideover/policy/weigher.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory_resource>
#include <new>
#include <thread>
#include <vector>

namespace {

struct weighs_its_value {
  std::size_t operator()(int, int value) const { return static_cast<std::size_t>(value); }
};
using weighed = int_cache<tideover::lru, tideover::weigh_by<weighs_its_value>>;

tideover::ttl_cache_options weighing(std::size_t max_weight) {
  tideover::ttl_cache_options options = sized(100);
  options.max_weight = max_weight;
  return options;
}

}  // namespace

TEMPLATE_TEST_CASE("C1: there are never more entries than the capacity", "[C1]", tideover::lru,
                   tideover::fifo) {
  for (std::size_t const capacity : {1u, 2u, 7u, 64u}) {
    int_cache<TestType> cache(sized(capacity));
    for (int key = 0; key < 300; ++key) {
      REQUIRE(cache.put(key, key));
      REQUIRE(cache.size() <= capacity);
      REQUIRE(cache.get(key) == key);
    }
    CHECK(cache.size() == capacity);
    CHECK(cache.capacity() == capacity);
    CHECK(cache.stats().evicted == 300 - capacity);
  }
}

TEST_CASE("C1: lru evicts the entry that was used least recently", "[C1]") {
  int_cache<tideover::lru> cache(sized(3));
  cache.put(1, 1), cache.put(2, 2), cache.put(3, 3);
  cache.get(1);
  cache.visit(2, [](int const&) {});
  cache.put(4, 4);
  CHECK_FALSE(cache.contains(3));
  cache.get_or_compute(1, [] { return 0; });
  cache.put(5, 5);
  CHECK_FALSE(cache.contains(2));
  cache.put(4, 40);  // replacing counts as use
  cache.put(6, 6);
  CHECK_FALSE(cache.contains(1));
  CHECK(cache.contains(4));
}

TEST_CASE("C1: looking without using does not save an entry from eviction", "[C1]") {
  int_cache<tideover::lru> cache(sized(2));
  cache.put(1, 1), cache.put(2, 2);
  CHECK(cache.peek(1) == 1);
  CHECK(cache.contains(1));
  cache.put(3, 3);
  CHECK_FALSE(cache.contains(1));
  CHECK(cache.contains(2));
}

TEST_CASE("C1: fifo evicts the entry that was inserted first, used or replaced or not", "[C1]") {
  int_cache<tideover::fifo> cache(sized(3));
  cache.put(1, 1), cache.put(2, 2), cache.put(3, 3);
  cache.get(1);
  cache.put(1, 10);
  cache.put(4, 4);
  CHECK_FALSE(cache.contains(1));
  CHECK(cache.contains(2));
}

TEST_CASE("C1: unbounded evicts nothing", "[C1]") {
  int_cache<tideover::unbounded> cache(sized(2));
  for (int key = 0; key < 5000; ++key) cache.put(key, key);
  CHECK(cache.size() == 5000);
  CHECK(cache.stats().evicted == 0);
  CHECK(cache.get(0) == 0);
}

TEST_CASE("C1: a smaller capacity holds when set_capacity returns", "[C1]") {
  int_cache<tideover::lru> cache(sized(64));
  for (int key = 0; key < 64; ++key) cache.put(key, key);
  cache.set_capacity(5);
  CHECK(cache.capacity() == 5);
  CHECK(cache.size() == 5);
  for (int key = 59; key < 64; ++key) CHECK(cache.contains(key));
  for (int key = 100; key < 200; ++key) cache.put(key, key);
  CHECK(cache.size() == 5);
  cache.set_capacity(50);
  for (int key = 200; key < 300; ++key) cache.put(key, key);
  CHECK(cache.size() == 50);
}

TEST_CASE("C1: a capacity above the first one is used, whatever the number of shards", "[C1]") {
  int_cache<tideover::lru, tideover::sharded<16>> cache(sized(4096));
  cache.set_capacity(20'000);
  for (int key = 0; key < 60'000; ++key) cache.put(key, key);
  CHECK(cache.size() <= 20'000);
  CHECK(cache.size() > 18'000);  // shards fill unevenly by chance, but not so much
}

TEST_CASE("C1: several shards together stay within the capacity, and use it", "[C1]") {
  int_cache<tideover::lru, tideover::sharded<16>> cache(sized(3 * 2048 + 5));
  std::size_t most = 0;
  for (int key = 0; key < 30'000; ++key) {
    cache.put(key, key);
    most = cache.size() > most ? cache.size() : most;
  }
  CHECK(most <= 3 * 2048 + 5);
  CHECK(most > 5500);
}

TEST_CASE("C1: the weight never exceeds the bound", "[C1]") {
  weighed cache(weighing(100));
  for (int key = 0; key < 1000; ++key) {
    cache.put(key % 50, key % 41);
    REQUIRE(cache.weight() <= 100);
    REQUIRE(cache.weight() == cache.stats().weight);
  }
  CHECK(cache.stats().evicted > 0);
}

TEST_CASE("C1: one heavy entry takes the place of as many light ones as it needs", "[C1]") {
  weighed cache(weighing(10));
  for (int key = 1; key <= 5; ++key) cache.put(key, 2);
  CHECK(cache.put(9, 5));
  CHECK(cache.weight() == 9);
  CHECK(cache.size() == 3);
  CHECK(cache.contains(9));
  CHECK(cache.contains(5));
}

TEST_CASE("C1: replacing by a heavier value makes room and keeps the new value", "[C1]") {
  weighed cache(weighing(10));
  cache.put(1, 4), cache.put(2, 4);
  CHECK(cache.put(1, 9));
  CHECK(cache.weight() == 9);
  CHECK(cache.peek(1) == 9);
  CHECK_FALSE(cache.contains(2));
}

TEST_CASE("C1: an entry heavier than the bound is refused, and evicts nobody", "[C1]") {
  weighed cache(weighing(10));
  cache.put(1, 4), cache.put(2, 6);
  CHECK_FALSE(cache.put(3, 11));
  CHECK_FALSE(cache.contains(3));
  CHECK(cache.size() == 2);
  CHECK(cache.stats().refused == 1);
  CHECK(cache.put(3, 10));
  CHECK(cache.size() == 1);
}

TEST_CASE("C1: a refused put does not leave the older value to be read", "[C1]") {
  weighed cache(weighing(10));
  cache.put(1, 4);
  CHECK_FALSE(cache.put(1, 11));
  CHECK_FALSE(cache.contains(1));  // the writer said that 4 is no longer the value
  CHECK(cache.stats().erased == 1);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C1: a computed value heavier than the bound is delivered and not stored", "[C1]") {
  weighed cache(weighing(10));
  CHECK(cache.get_or_compute(1, [] { return 50; }) == 50);
  CHECK_FALSE(cache.contains(1));
  CHECK(cache.stats().refused == 1);
}

TEST_CASE("C1: the bound holds at rest after many threads have put", "[C1]") {
  int_cache<tideover::lru, tideover::sharded<4>> cache(sized(2 * 2048));
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&cache, thread] {
      for (int key = 0; key < 5000; ++key) cache.put(thread * 5000 + key, key);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(cache.size() <= 2 * 2048);
  CHECK(cache.size() > 3500);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C1: a capacity that is only an expectation beyond the weight costs no memory", "[C1]") {
  struct sparing : std::pmr::memory_resource {
    std::size_t most = 0;
    void* do_allocate(std::size_t n, std::size_t alignment) override {
      most = std::max(most, n);
      if (n > (std::size_t{1} << 26)) throw std::bad_alloc();
      return std::pmr::new_delete_resource()->allocate(n, alignment);
    }
    void do_deallocate(void* p, std::size_t n, std::size_t alignment) override {
      std::pmr::new_delete_resource()->deallocate(p, n, alignment);
    }
    bool do_is_equal(memory_resource const& other) const noexcept override { return this == &other; }
  } memory;
  tideover::weigh_by one([](int, int) { return std::size_t{1}; });
  tideover::ttl_cache<int, int, decltype(one), tideover::pmr_allocator> cache(
      {.capacity = 4'000'000'000, .max_weight = 1000}, one, tideover::pmr_allocator(&memory));
  for (int i = 0; i != 5000; ++i) cache.put(i, i);
  CHECK(cache.weight() <= 1000);
  CHECK(memory.most > 0);
}

TEST_CASE("C1: a smaller max_weight holds when set_max_weight returns, the coldest having left", "[C1]") {
  weighed cache(weighing(1000));
  for (int key = 0; key < 50; ++key) cache.put(key, 20);
  CHECK(cache.max_weight() == 1000);
  CHECK(cache.weight() == 1000);
  cache.set_max_weight(210);
  CHECK(cache.max_weight() == 210);
  CHECK(cache.weight() == 200);
  CHECK(cache.size() == 10);
  for (int key = 40; key < 50; ++key) CHECK(cache.contains(key));
  CHECK(cache.stats().evicted == 40);
  CHECK_FALSE(cache.put(60, 211));
  CHECK(cache.get_or_compute(61, [] { return 211; }) == 211);
  CHECK_FALSE(cache.contains(61));
  CHECK(cache.weight() == 200);
  cache.set_max_weight(400);
  CHECK(cache.put(60, 211));
  CHECK(cache.weight() <= 400);
  cache.set_max_weight(1);
  CHECK(cache.size() == 0);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C1: a smaller max_weight takes a little of each shard", "[C1]") {
  struct one {
    std::size_t operator()(int, int) const { return 1; }
  };
  tideover::ttl_cache_options options = sized(4 * 2048);
  options.max_weight = 8000;
  int_cache<tideover::lru, tideover::sharded<4>, tideover::weigh_by<one>> cache(options);
  REQUIRE(cache.shards() == 4);
  for (int key = 0; key < 8000; ++key) cache.put(key, key);
  cache.set_max_weight(4000);
  CHECK(cache.weight() == 4000);
  std::array<int, 4> left{};
  for (int key = 0; key < 8000; ++key) {
    auto const e = cache.explain(key);
    if (e.state == tideover::entry_state::live) ++left[e.shard];
  }
  for (int const n : left) CHECK((n > 700 && n < 1300));
}
