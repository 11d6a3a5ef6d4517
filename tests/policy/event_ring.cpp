// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <tideover/policy/eviction/event_ring.hpp>
#include <tideover/policy/locking.hpp>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace {

template <class Locking>
using ring = tideover::eviction_parts::event_ring<Locking>;

}  // namespace

TEMPLATE_TEST_CASE("event_ring: first in, first out, and what comes to a full ring is lost", "[policy]",
                   tideover::single_threaded, tideover::one_mutex) {
  ring<TestType> events;
  std::vector<std::uint64_t> taken;
  auto const take = [&] { events.take([&](std::uint64_t e) noexcept { taken.push_back(e); }); };
  take();
  CHECK(taken.empty());
  for (std::uint32_t round = 0; round != 3; ++round) {
    for (std::uint32_t i = 0; i != 64; ++i) REQUIRE(events.push(i));
    CHECK_FALSE(events.push(64));
    take();
    REQUIRE(taken.size() == 64);
    for (std::uint32_t i = 0; i != 64; ++i) CHECK(taken[i] == i);
    taken.clear();
  }
}

TEST_CASE("event_ring: an event may be 0, and one that takes may push", "[policy]") {
  ring<tideover::one_mutex> events;
  std::vector<std::uint64_t> taken;
  REQUIRE(events.push(0));
  REQUIRE(events.push(0x1'FFFF'FFFFu));
  events.take([&](std::uint64_t e) noexcept {
    taken.push_back(e);
    if (e == 0) events.push(5);
    events.take([&](std::uint64_t) noexcept { taken.push_back(99); });  // somebody is taking: nothing happens
  });
  CHECK(taken == std::vector<std::uint64_t>{0, 0x1'FFFF'FFFFu, 5});
}

TEST_CASE("event_ring: threads push and take at once; each event arrives once", "[policy]") {
  constexpr std::uint32_t threads = 4, each = 30'000;
  ring<tideover::one_mutex> events;
  std::vector<std::uint8_t> seen(threads * each);  // written by whoever takes: one at a time
  std::uint64_t arrived = 0, twice = 0;
  std::atomic<std::uint64_t> pushed{0};
  auto const note = [&](std::uint64_t e) noexcept {
    twice += seen[e] != 0;
    seen[e] = 1;
    ++arrived;
  };
  std::vector<std::thread> workers;
  for (std::uint32_t t = 0; t != threads; ++t) {
    workers.emplace_back([&, t] {
      std::uint64_t mine = 0;
      for (std::uint32_t i = 0; i != each; ++i) {
        mine += events.push(t * each + i);
        if (i % 3 == 0) events.take(note);
        if (i % 1'000 == 0) events.alone([&] { twice += 0; });
      }
      pushed += mine;
    });
  }
  for (auto& worker : workers) worker.join();
  events.take(note);
  CHECK(twice == 0);
  CHECK(arrived == pushed);
  CHECK(pushed > threads * each / 10);
}
