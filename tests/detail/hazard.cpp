// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/gate.hpp"
#include "support/watchdog.hpp"

#include <tideover/config.hpp>
#include <tideover/detail/hazard.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <vector>

namespace {

using namespace tideover::detail;
using tideover_test::gate;
using tideover_test::watchdog;

/// What some thread of this registry reads, in no order.
std::multiset<void const*> read_in(hazard_registry const& r) {
  std::multiset<void const*> all;
  r.for_each_read([&](void const* p) { all.insert(p); });
  return all;
}

}  // namespace

TEST_CASE("hazard: each record is on cache lines of its own", "[detail]") {
  CHECK(alignof(hazard_record) == tideover::cache_line);
  CHECK(sizeof(hazard_record) % tideover::cache_line == 0);
}

TEST_CASE("hazard: a slot says what it protects, until its end", "[detail]") {
  hazard_registry registry;
  int a = 0, b = 0;
  CHECK(registry.threads() == 0);
  hazard_record* const r = registry.acquire();
  REQUIRE(r != nullptr);
  CHECK(registry.threads() == 1);
  CHECK(read_in(registry).empty());
  {
    hazard_slot one(*r);
    REQUIRE(one);
    CHECK(read_in(registry).empty());
    one.protect(&a);
    CHECK(read_in(registry) == std::multiset<void const*>{&a});
    {
      hazard_slot two(*r);
      REQUIRE(two);
      two.protect(&a);
      CHECK(read_in(registry) == std::multiset<void const*>{&a, &a});
      one.protect(&b);
      CHECK(read_in(registry) == std::multiset<void const*>{&a, &b});
    }
    CHECK(read_in(registry) == std::multiset<void const*>{&b});
    one.end_in_order();
    CHECK(read_in(registry).empty());
    one.protect(&a);
  }
  CHECK(read_in(registry).empty());
  CHECK(r->depth == 0);
  registry.release(*r);
  CHECK(registry.threads() == 0);
}

TEST_CASE("hazard: beyond the slots there is none, and those that are there go on protecting", "[detail]") {
  hazard_registry registry;
  hazard_record& r = *registry.acquire();
  std::array<int, hazard_record::nesting> things{};
  std::vector<std::unique_ptr<hazard_slot>> slots;
  for (int& thing : things) {
    slots.push_back(std::make_unique<hazard_slot>(r));
    REQUIRE(*slots.back());
    slots.back()->protect(&thing);
  }
  for (int i = 0; i != 3; ++i) {
    hazard_slot beyond(r);
    CHECK_FALSE(beyond);
    beyond.end_in_order();
    CHECK(read_in(registry).size() == things.size());
  }
  slots.pop_back();
  {
    hazard_slot again(r);
    CHECK(again);
  }
  while (!slots.empty()) slots.pop_back();
  CHECK(r.depth == 0);
  registry.release(r);
  CHECK_FALSE(hazard_slot(no_hazard_record));
}

TEST_CASE("hazard: records are numbered, found beyond the first block, and given out again", "[detail]") {
  // Its blocks are never freed: static, so that nothing is said to be lost.
  static hazard_registry registry;
  std::vector<hazard_record*> all;
  std::vector<int> things(100);
  for (std::uint32_t i = 0; i != 100; ++i) {
    all.push_back(registry.acquire());
    REQUIRE(all.back() != nullptr);
    CHECK(all.back()->number == i);
    all.back()->reads[0] = &things[i];
  }
  CHECK(registry.threads() == 100);
  auto const read = read_in(registry);
  CHECK(read.size() == 100);
  CHECK(std::all_of(things.begin(), things.end(), [&](int& t) { return read.count(&t) == 1; }));
  for (hazard_record* r : all) r->reads[0] = nullptr;
  registry.release(*all[70]);
  registry.release(*all[3]);
  CHECK(registry.acquire() == all[3]);
  CHECK(registry.acquire() == all[70]);
  for (hazard_record* r : all) registry.release(*r);
  CHECK(registry.threads() == 0);
}

TEST_CASE("hazard: a thread has one record, and gives it back at its end", "[detail]") {
  watchdog const dog("threads and their records");
  std::uint32_t const before = hazards.threads();
  gate door;
  std::array<hazard_record*, 2> given{};
  {
    std::vector<std::thread> threads;
    for (hazard_record*& mine : given) {
      threads.emplace_back([&] {
        mine = &hazard_record_of_this_thread();
        if (&hazard_record_of_this_thread() != mine) mine = nullptr;
        door.pass();
      });
    }
    door.await_arrivals(2);
    CHECK(given[0] != nullptr);
    CHECK(given[1] != nullptr);
    CHECK(given[0] != given[1]);
    CHECK(hazards.threads() == before + 2);
    door.open();
    for (std::thread& t : threads) t.join();
  }
  CHECK(hazards.threads() == before);
  hazard_record* again = nullptr;
  std::thread([&] { again = &hazard_record_of_this_thread(); }).join();
  CHECK((again == given[0] || again == given[1]));
}

namespace {

struct looks_at_the_end {
  hazard_record** seen = nullptr;
  ~looks_at_the_end() {
    if (seen != nullptr) *seen = &hazard_record_of_this_thread();
  }
};

}  // namespace

TEST_CASE("hazard: what runs after a thread has given its record back has no slots", "[detail]") {
  hazard_record* late = nullptr;
  hazard_record* own = nullptr;
  std::uint32_t const before = hazards.threads();
  std::thread([&] {
    thread_local looks_at_the_end last;
    last.seen = &late;
    own = &hazard_record_of_this_thread();  // made after `last`, so destroyed before it
  }).join();
  CHECK(own != &no_hazard_record);
  CHECK(late == &no_hazard_record);
  CHECK(hazards.threads() == before);
}

TEST_CASE("hazard: a record whose thread ends in the middle of reading is nobody else's", "[detail]") {
  watchdog const dog("a thread that ends while it reads");
  int thing = 0;
  hazard_record* abandoned = nullptr;
  std::optional<hazard_slot> slot;
  std::thread([&] {
    abandoned = &hazard_record_of_this_thread();
    slot.emplace(*abandoned);
    slot->protect(&thing);
  }).join();
  CHECK(read_in(hazards).count(&thing) == 1);
  hazard_record* other = nullptr;
  std::thread([&] { other = &hazard_record_of_this_thread(); }).join();
  CHECK(other != abandoned);
  slot.reset();
  hazards.release(*abandoned);
}

TEST_CASE("hazard: what is read is not freed, however readers and a writer meet", "[detail]") {
  watchdog const dog("hazard pointers of many threads", std::chrono::minutes(3));
  struct thing {
    explicit thing(std::uint64_t n) : number(n), check(~n) {}
    ~thing() { number = 0, check = 0; }
    std::uint64_t number, check;
  };
  constexpr std::size_t places = 4;
  std::array<std::atomic<thing*>, places> place{};
  std::uint64_t made = 0;
  for (auto& p : place) p = new thing(++made);
  std::atomic<bool> done{false};
  std::atomic<std::size_t> reads{0}, changed_in_between{0}, damaged{0}, waited_for_reader{0};
  std::vector<std::thread> readers;
  for (std::size_t self = 0; self != 3; ++self) {
    readers.emplace_back([&, self] {
      std::uint64_t newest = 0;
      for (std::size_t i = self; !done; ++i) {
        hazard_slot slot(hazard_record_of_this_thread());
        auto& p = place[i % places];
        thing* seen = p.load(std::memory_order_acquire);
        for (;;) {
          slot.protect(seen);
          thing* const now = p.load(std::memory_order_seq_cst);
          if (now == seen) break;
          ++changed_in_between;
          seen = now;
        }
        if (i % 64 == 0) std::this_thread::yield();
        if (seen->check != ~seen->number) ++damaged;
        newest = std::max(newest, seen->number);
        ++reads;
      }
    });
  }
  std::size_t const changes = tideover_test::number_from("TIDEOVER_STRESS_CALLS", 60'000);
  // A reader that is preempted keeps the writer: on a busy machine fewer changes have to do.
  auto const enough = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  auto const all_met = [&] { return reads != 0 && changed_in_between != 0 && waited_for_reader != 0; };
  for (std::size_t i = 0; (i < changes && std::chrono::steady_clock::now() < enough) || !all_met(); ++i) {
    thing* const old = place[i % places].exchange(new thing(++made), std::memory_order_seq_cst);
    for (bool waits = false;; waits = true) {
      bool is_read = false;
      hazards.for_each_read([&](void const* q) { is_read = is_read || q == old; });
      if (!is_read) break;
      if (!waits) ++waited_for_reader;
      std::this_thread::yield();
    }
    delete old;
  }
  done = true;
  for (std::thread& t : readers) t.join();
  for (auto& p : place) delete p.load();
  CHECK(damaged == 0);
  CHECK(reads > 0);
  CHECK(changed_in_between > 0);
  CHECK(waited_for_reader > 0);
}
