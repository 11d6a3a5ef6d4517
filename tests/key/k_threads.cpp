// SPDX-License-Identifier: BSL-1.0
#include "key/common.hpp"
#include "support/watchdog.hpp"

#include <array>
#include <atomic>
#include <barrier>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

TEST_CASE("many threads read one key, and its first hash is everyone's", "[key][threads]") {
  watchdog const dog("readers of one key");
  constexpr std::size_t threads = 3;
  constexpr std::size_t rounds = 10;
  constexpr std::size_t keys_a_round = 300;
  std::vector<cache_key> keys;
  std::array<std::vector<std::uint64_t>, threads> hashes;
  std::atomic<std::size_t> wrong{0}, turns{0}, last{0}, ready{0};
  std::size_t disagreed = 0, round = 0;

  auto const between = [&]() noexcept {
    for (auto& of_one : hashes) {
      if (of_one != hashes[0]) ++disagreed;
    }
    for (auto& of_one : hashes) of_one.clear();
    // New ones each time: nobody has asked for their hashes yet.
    keys.clear();
    for (std::size_t i = 0; i < keys_a_round; ++i) {
      keys.push_back(
          cache_key("n").segment(round).segment(i).segment(std::string(i % 3 == 0 ? 300 : 20, 'x')));
    }
    ++round;
  };
  between();
  std::barrier gate(static_cast<std::ptrdiff_t>(threads), between);
  auto const read = [&](std::size_t me) {
    for (std::size_t r = 0; r < rounds; ++r) {
      for (cache_key const& key : keys) {
        // All come to a key before any goes on to the next, so that they do meet there, on one core as well.
        std::size_t const meeting = ++ready;
        await([&] { return ready >= (meeting + threads - 1) / threads * threads; });
        // Relaxed: to count how often readers take turns must not put them in order.
        if (last.exchange(me, std::memory_order_relaxed) != me) turns.fetch_add(1, std::memory_order_relaxed);
        cache_key const copy = key;
        hashes[me].push_back(key.hash());
        if (copy != key || copy.hash() != key.hash() || key.str() != copy.view()) ++wrong;
        if (key.stored().hash() != key.hash() || key.log_text() != copy.log_text()) ++wrong;
      }
      gate.arrive_and_wait();
    }
  };
  std::vector<std::thread> running;
  for (std::size_t i = 0; i < threads; ++i) running.emplace_back(read, i);
  for (std::thread& t : running) t.join();
  CHECK(wrong == 0);
  CHECK(disagreed == 0);
  CHECK(round == rounds + 1);
  CHECK(turns >= rounds * keys_a_round);  // they did read at the same time
}

TEST_CASE("threads that build keys of their own meet nowhere", "[key][threads]") {
  watchdog const dog("builders");
  std::atomic<std::size_t> wrong{0};
  std::string const expected = cache_key("n").segment(std::string(300, 'x')).param("a", 0.1).str();
  std::barrier<> gate(4);
  std::vector<std::thread> running;
  for (int t = 0; t < 4; ++t) {
    running.emplace_back([&] {
      gate.arrive_and_wait();
      for (int i = 0; i < 2000; ++i) {
        cache_key const key = cache_key("n").param("a", 0.1).segment(std::string(300, 'x'));
        if (key.view() != expected || key.hash() == 0) ++wrong;
      }
    });
  }
  for (std::thread& t : running) t.join();
  CHECK(wrong == 0);
}
