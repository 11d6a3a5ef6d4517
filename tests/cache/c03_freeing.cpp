// SPDX-License-Identifier: BSL-1.0
#include "cache/common.hpp"

TEST_CASE("C3: maintain frees what expired, with no reads, and says how many", "[C3]") {
  manual_clock clock;
  int_cache<> cache(sized(1000, 60s), clock);
  for (int key = 0; key < 300; ++key) cache.put(key, key);
  for (int key = 300; key < 500; ++key) cache.put(key, key, living(2h));
  CHECK(cache.maintain() == 0);
  clock.advance(60s + 3ms);
  CHECK(cache.size() == 500);
  CHECK(cache.maintain() == 300);
  CHECK(cache.size() == 200);
  CHECK(cache.stats().expired == 300);
  CHECK(cache.maintain() == 0);
}

TEST_CASE("C3: maintain frees lives from 1 ms to 10 years, each in its time and none before", "[C3]") {
  using namespace std::chrono;
  manual_clock clock;
  int_cache<> cache(sized(1000, 60s), clock);
  nanoseconds const lives[] = {1ms,  2ms,   5ms, 67ms, 1s,       4s,        68s,
                               5min, 73min, 25h, 77h,  24h * 40, 24h * 365, 24h * 3650};
  tideover::instant const start = clock.now();
  int key = 0;
  for (nanoseconds const life : lives) cache.put(key++, 0, living(life));
  std::size_t left = std::size(lives);
  for (nanoseconds const life : lives) {
    clock.set(start + (life - 1ns));
    cache.maintain();
    CHECK(cache.size() == left);
    clock.set(start + life + 1050us);
    cache.maintain();
    CHECK(cache.size() == --left);
  }
}

TEST_CASE("C3: writes free what expired before they evict what has not", "[C3]") {
  manual_clock clock;
  int_cache<tideover::lru> cache(sized(100, 60s), clock);
  for (int key = 0; key < 50; ++key) cache.put(key, key, living(1h));
  for (int key = 50; key < 100; ++key) cache.put(key, key);
  clock.advance(61s);
  for (int key = 100; key < 150; ++key) cache.put(key, key);
  CHECK(cache.stats().evicted == 0);
  for (int key = 0; key < 50; ++key) CHECK(cache.contains(key));
}

TEST_CASE("C3: writes alone free what expired: the resident do not pile up", "[C3]") {
  manual_clock clock;
  int_cache<> cache(sized(100'000, 10ms), clock);
  std::size_t most = 0;
  for (int key = 0; key < 50'000; ++key) {
    cache.put(key, key);
    clock.advance(100us);  // a hundred are alive at a time
    most = cache.size() > most ? cache.size() : most;
  }
  CHECK(most < 1000);
}
