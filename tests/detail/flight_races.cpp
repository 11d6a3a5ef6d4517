// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/watchdog.hpp"

#include <tideover/deadline.hpp>
#include <tideover/detail/flight.hpp>
#include <tideover/policy/clock.hpp>

#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <stop_token>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using tideover::deadline;
using tideover::instant;
using tideover::manual_clock;
using tideover::detail::flight;
using tideover::detail::flight_end;
using tideover::detail::no_deadline;
using tideover_test::watchdog;

constexpr std::size_t threads = 4;
constexpr std::size_t nobody = threads;
using targets = std::array<std::size_t, threads>;  ///< whose flight each thread waits for

/// How many rings there are when each thread waits for one flight, or for none.
std::size_t rings(targets const& wanted) {
  std::size_t found = 0;
  for (std::size_t start = 0; start < threads; ++start) {
    std::size_t at = start;
    bool smallest = true;
    for (std::size_t step = 0; step < threads; ++step) {
      at = wanted[at];
      if (at == nobody || at == start) break;
      smallest = smallest && at > start;
    }
    found += std::size_t{at == start && smallest};
  }
  return found;
}

}  // namespace

TEST_CASE("flight: each ring of waits is broken at exactly one place, while threads come and go",
          "[detail]") {
  // All lead, then each waits for another, then settles and exits: those who look for cycles walk over
  // threads that are about to leave.
  watchdog const dog("rings of waits", 300s);
  std::mt19937_64 random(tideover_test::run_seed());
  tideover::steady const clock;
  std::size_t refused_in_all = 0;
  std::size_t settled_in_all = 0;
  for (int round = 0; round < 400; ++round) {
    targets wanted{};
    for (std::size_t& target : wanted) target = random() % (threads + 1);
    std::vector<flight> flights(threads);
    std::barrier<> all_lead(static_cast<std::ptrdiff_t>(threads));
    std::atomic<std::size_t> refused{0}, settled{0};
    std::vector<std::thread> crew;
    for (std::size_t i = 0; i < threads; ++i) {
      crew.emplace_back([&, i] {
        flights[i].lead();
        all_lead.arrive_and_wait();
        if (wanted[i] != nobody) {
          flight_end const end = flights[wanted[i]].wait(clock, no_deadline{});
          ++(end == flight_end::recursive ? refused : settled);
          if (end != flight_end::recursive && end != flight_end::settled) std::abort();
        }
        flights[i].settle();
      });
    }
    for (auto& thread : crew) thread.join();
    if (refused != rings(wanted))
      FAIL("round " << round << ": " << refused << " for " << rings(wanted) << " rings");
    refused_in_all += refused;
    settled_in_all += settled;
  }
  CHECK(refused_in_all > 0);
  CHECK(settled_in_all > 0);
}

TEST_CASE("flight: settling, a deadline and a stop race for one wait", "[detail]") {
  watchdog const dog("three ends of a wait", 300s);
  manual_clock const clock;
  std::array<std::atomic<long>, 4> ends{};
  std::vector<std::thread> waiters;
  std::barrier<> begin(4);
  constexpr int rounds = 1500;
  std::unique_ptr<flight> f;
  std::stop_source source;
  deadline until;
  int outcome = 0;
  std::atomic<int> arrived{0};
  std::atomic<bool> saw_nothing{false};
  for (int w = 0; w < 2; ++w) {
    waiters.emplace_back([&] {
      for (int round = 1; round <= rounds; ++round) {
        begin.arrive_and_wait();
        ++arrived;
        flight_end const end = f->wait(clock, until);
        ++ends[static_cast<std::size_t>(end)];
        if (end == flight_end::settled && outcome != round) saw_nothing = true;
        begin.arrive_and_wait();  // nobody waits any more: the flight may go
      }
    });
  }
  std::thread disturber([&] {
    for (int round = 1; round <= rounds; ++round) {
      begin.arrive_and_wait();
      if (round % 3 != 0) tideover_test::await([&] { return arrived == 2; });
      if (round % 2 == 0) {
        clock.advance(1s);
      } else {
        source.request_stop();
      }
      begin.arrive_and_wait();
    }
  });
  for (int round = 1; round <= rounds; ++round) {
    f = std::make_unique<flight>();
    source = std::stop_source();
    until = deadline::after(clock, 1s, source.get_token());
    arrived = 0;
    f->lead();
    begin.arrive_and_wait();
    if (round % 4 != 0) tideover_test::await([&] { return arrived == 2; });
    for (int i = 0; i < round % 5; ++i) std::this_thread::yield();
    outcome = round;
    f->settle();
    begin.arrive_and_wait();
  }
  for (auto& thread : waiters) thread.join();
  disturber.join();
  CHECK_FALSE(saw_nothing);
  CHECK(ends[static_cast<std::size_t>(flight_end::settled)] > 0);
  CHECK(ends[static_cast<std::size_t>(flight_end::timed_out)] > 0);
  CHECK(ends[static_cast<std::size_t>(flight_end::cancelled)] > 0);
  CHECK(ends[static_cast<std::size_t>(flight_end::recursive)] == 0);
}

TEST_CASE("flight: leaders hand a renewed flight from thread to thread under joiners", "[detail]") {
  watchdog const dog("a flight handed on", 300s);
  tideover::steady const clock;
  std::vector<flight> flights(64);
  std::atomic<long> settled{0};
  for (int round = 0; round < 30; ++round) {
    std::barrier<> all(3);
    std::vector<std::thread> crew;
    for (std::size_t t = 0; t < 2; ++t) {
      crew.emplace_back([&, t] {  // leads its half, one flight at a time, and leaves
        for (std::size_t i = t; i < flights.size(); i += 2) flights[i].lead();
        all.arrive_and_wait();
        for (std::size_t i = t; i < flights.size(); i += 2) flights[i].settle();
      });
    }
    all.arrive_and_wait();
    std::thread joiner([&] {
      flight own;
      own.lead();  // so that it has a place in the graph, and looks for cycles
      for (flight& f : flights) settled += f.wait(clock, no_deadline{}) == flight_end::settled;
      own.settle();
    });
    joiner.join();
    for (auto& thread : crew) thread.join();
    for (flight& f : flights) f.renew();
  }
  CHECK(settled == 30 * 64);
}
