// SPDX-License-Identifier: BSL-1.0
#include "cache/listening.hpp"

#include <algorithm>

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

TEST_CASE("C3: maintain_some looks at no more entries than it was told, and says when it is done", "[C3]") {
  manual_clock clock;
  int_cache<> cache(sized(20'000, 60s), clock);
  for (int key = 0; key < 10'000; ++key) cache.put(key, key);
  for (int key = 10'000; key < 10'100; ++key) cache.put(key, key, living(2h));
  CHECK(cache.maintain_some(1));
  clock.advance(60s + 3ms);
  CHECK_FALSE(cache.maintain_some(0));
  CHECK(cache.size() == 10'100);
  int calls = 0;
  for (bool done = false; !done; ++calls) {
    std::size_t const before = cache.size();
    done = cache.maintain_some(100);
    REQUIRE(cache.size() <= before);
    REQUIRE(before - cache.size() <= 100);
    REQUIRE(calls < 1000);
  }
  CHECK(calls >= 100);
  CHECK(cache.size() == 100);
  CHECK(cache.stats().expired == 10'000);
  CHECK(cache.maintain_some(100));
  CHECK(cache.maintain() == 0);
}

TEST_CASE("C3: entries that are far from due cost maintain_some its steps, and come to their end", "[C3]") {
  manual_clock clock;
  int_cache<tideover::single_threaded> cache(sized(1000, 24h * 40), clock);
  for (int key = 0; key < 1000; ++key) cache.put(key, key);
  clock.advance(24h * 40 - 1ns);
  int calls = 1;
  for (; !cache.maintain_some(100); ++calls) REQUIRE(calls < 1000);
  CHECK(calls >= 10);  // they moved down the wheel, a hundred at a time
  CHECK(cache.size() == 1000);
  clock.advance(1050us);
  CHECK(cache.maintain() == 1000);
}

TEST_CASE("C3: maintain lets go of the lock after at most 256 entries", "[C3]") {
  manual_clock clock;
  scripted listener;
  int_cache<scripted> cache(sized(20'000, 60s), clock, listener);
  for (int key = 0; key < 10'000; ++key) cache.put(key, key);
  clock.advance(60s + 3ms);
  std::size_t told = 0, most_at_once = 0;
  listener.play([&](int, int, removal_cause) {
    most_at_once = std::max(most_at_once, 10'000 - cache.size() - told);
    ++told;
  });
  CHECK(cache.maintain() == 10'000);
  CHECK(told == 10'000);
  CHECK(most_at_once <= 256);
}
