// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/stress_turns.hpp"
#include "support/watchdog.hpp"

#include <tideover/cache_snapshot.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/policy/tagging.hpp>
#include <tideover/ttl_cache.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

/// Snapshots are saved and loaded, and the hottest and coldest asked for, while other threads read, write,
/// erase and resize. Keys below `settled` are put before and only read: each snapshot must hold them, once;
/// of the others none may be torn. Each race is counted.
namespace {

using namespace std::chrono_literals;

using counter = std::atomic<std::size_t>;
constexpr int settled = 600;
constexpr int keys = 3000;

std::string value_of(int key, std::uint64_t version) {
  std::string const part = std::to_string(key) + ":" + std::to_string(version) + ";";
  return part + part;  // longer than what a string holds in its place, and seen when torn
}
bool is_whole(int key, std::string const& value) {
  std::string const half = value.substr(0, value.size() / 2);
  return half + half == value && value.rfind(std::to_string(key) + ":", 0) == 0;
}

template <class Eviction, class Locking>
struct setting {
  using cache =
      tideover::ttl_cache<int, std::string, Eviction, Locking, tideover::tagged, tideover::manual_clock>;
};
using lru_one = setting<tideover::lru, tideover::one_mutex>;
using steered_shards = setting<tideover::steered, tideover::sharded<4>>;
using s3_fifo_shards = setting<tideover::s3_fifo, tideover::sharded<4>>;
using sieve_one = setting<tideover::sieve, tideover::one_mutex>;

}  // namespace

TEMPLATE_TEST_CASE("snapshots while everything changes", "[stress]", lru_one, steered_shards, s3_fifo_shards,
                   sieve_one) {
  tideover_test::watchdog const dog("snapshots while everything changes", std::chrono::minutes(5));
  tideover::manual_clock clock;
  // Room for all: what is settled is never evicted.
  typename TestType::cache cache({.capacity = 4 * 8192, .ttl = 1h}, clock);
  for (int key = 0; key < settled; ++key) cache.put(key, value_of(key, 0), {.tags = "settled"});

  counter missing{0}, torn{0}, twice{0}, unexpected{0}, saved{0}, written_while_saved{0},
      erased_while_saved{0}, moved_while_saved{0}, read_while_saved{0}, explained{0};
  std::atomic<std::uint64_t> writes{0}, erasures{0}, reads{0};
  std::atomic<bool> done{false};

  auto const writer = [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    while (!done) {
      try {
        int const any = static_cast<int>(random() % keys);
        int const loose = settled + static_cast<int>(random() % (keys - settled));
        switch (random() % 8) {
          case 0:
          case 1:
            cache.put(loose, value_of(loose, random() % 1000), {.tags = {"loose", "all"}});
            ++writes;
            break;
          case 2:
            cache.erase(loose);
            ++erasures;
            break;
          case 3:
            if (random() % 64 == 0) cache.erase_tag("loose");
            if (random() % 64 == 0) cache.set_capacity(4 * 8192 + random() % 1000);
            break;
          case 4:
            if (cache.explain(any).state == tideover::entry_state::live) ++explained;
            break;
          case 5:
            if (!cache.visit(any % settled,
                             [&](std::string const& v) { torn += !is_whole(any % settled, v); }))
              ++missing;
            ++reads;
            break;
          default:
            if (auto const got = cache.get(any)) torn += !is_whole(any, *got);
            ++reads;
            break;
        }
      } catch (...) {
        ++unexpected;
      }
    }
  };
  std::size_t const rounds = tideover_test::number_from("TIDEOVER_STRESS_CALLS", 60'000) / 1500;
  tideover_test::stress_turns const go_on(rounds, [&] {
    return written_while_saved > 0 && erased_while_saved > 0 && read_while_saved > 0 &&
           moved_while_saved > 0 && explained > 0;
  });
  auto const saver = [&] {
    for (std::size_t i = 0; go_on(i); ++i) {
      try {
        std::uint64_t const before = writes, gone = erasures, seen = reads;
        std::stringstream stream;
        tideover::save_snapshot(cache, stream);
        typename TestType::cache other({.capacity = 4 * 8192, .ttl = 1h}, clock);
        ++saved;
        written_while_saved += writes != before;
        erased_while_saved += erasures != gone;
        read_while_saved += reads != seen;
        tideover::load_snapshot(other, stream);
        for (int key = 0; key < settled; ++key) missing += !other.contains(key);
        other.for_each([&](int const& key, std::string const& value) { torn += !is_whole(key, value); });
        if (other.erase_tag("settled") != settled) ++missing;

        std::set<int> met;
        std::vector<int> order;
        cache.hottest(200, [&](int const& key, std::string const& value) {
          torn += !is_whole(key, value);
          if (key < settled) twice += !met.insert(key).second;
          order.push_back(key);
        });
        std::vector<int> now;
        cache.hottest(200, [&](int const& key, std::string const&) { now.push_back(key); });
        moved_while_saved += now != order;
      } catch (...) {
        ++unexpected;
      }
    }
  };
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 3; ++t)
    threads.emplace_back([&, t] { writer(tideover_test::run_seed() + t); });
  std::thread second(saver);
  saver();
  second.join();
  done = true;
  for (std::thread& thread : threads) thread.join();

  CHECK(missing == 0);
  CHECK(torn == 0);
  CHECK(twice == 0);
  CHECK(unexpected == 0);
  CHECK(saved >= 2 * rounds);
  CHECK(written_while_saved > 0);
  CHECK(erased_while_saved > 0);
  CHECK(read_while_saved > 0);
  CHECK(moved_while_saved > 0);
  CHECK(explained > 0);
  CHECK(cache.erase_tag("settled") == settled);
  cache.erase_tag("all");
  CHECK(cache.size() == 0);
  CHECK(cache.stats().tags == 0);
}
