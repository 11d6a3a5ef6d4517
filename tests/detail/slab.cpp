// SPDX-License-Identifier: BSL-1.0
#include "support/bombing_allocator.hpp"
#include "support/catch.hpp"
#include "support/environment.hpp"

#include <tideover/detail/slab.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <random>
#include <utility>
#include <vector>

namespace {

using tideover::entry_id;
using tideover::no_entry;
using tideover_test::bomb;

/// Counts its own, knows its address, and carries a mark that recycling must leave alone.
struct slot {
  slot() : self(this) { ++live; }
  slot(slot const&) = delete;
  slot& operator=(slot const&) = delete;
  ~slot() {
    if (self != this) std::abort();
    --live;
  }
  slot* self;
  std::uint64_t mark = 0;
  entry_id next = no_entry;
  entry_id& link() { return next; }
  inline static long live = 0;
};

struct alignas(128) wide_slot {
  entry_id next = no_entry;
  entry_id& link() { return next; }
};

template <class T>
using slab = tideover::detail::slab<T, tideover_test::bombing_allocator<std::byte>>;
tideover_test::bombing_allocator<std::byte> from(bomb& b) {
  return tideover_test::bombing_allocator<std::byte>(b);
}

}  // namespace

TEST_CASE("slab: an unused one holds no memory", "[detail]") {
  bomb memory;
  {
    slab<slot> const empty(from(memory));
    CHECK(empty.used() == 0);
    CHECK_FALSE(empty.has_free());
    CHECK(memory.allocations == 0);
  }
  CHECK(memory.bytes_out == 0);
}

TEST_CASE("slab: slots have consecutive numbers and never move, over all borders of its chunks", "[detail]") {
  constexpr entry_id many = 5000;
  bomb memory;
  long const before = slot::live;
  {
    slab<slot> slots(from(memory));
    std::vector<slot*> addresses;
    for (entry_id id = 0; id != many; ++id) {
      REQUIRE(slots.acquire() == id);
      slots[id].mark = id * 3;
      addresses.push_back(&slots[id]);
    }
    CHECK(slots.used() == many);
    CHECK(slot::live == before + long{many});
    for (entry_id id = 0; id != many; ++id) {
      if (&slots[id] != addresses[id] || slots[id].self != addresses[id] || slots[id].mark != id * 3)
        FAIL("slot " << id << " moved");
      if (&std::as_const(slots)[id] != addresses[id]) FAIL("slot " << id << " is elsewhere for const");
    }
    std::sort(addresses.begin(), addresses.end());
    CHECK(std::adjacent_find(addresses.begin(), addresses.end()) == addresses.end());
    // 16, 16, 32, 64 ... 4096: nine chunks hold 4096 and one more reaches 5000.
    CHECK(memory.allocations == 10);
    CHECK(memory.bytes_out == long{8192 * sizeof(slot)});
  }
  CHECK(slot::live == before);
  CHECK(memory.bytes_out == 0);
}

TEST_CASE("slab: a chunk is allocated when its first slot is wanted, not sooner", "[detail]") {
  bomb memory;
  slab<slot> slots(from(memory));
  std::vector<entry_id> grew_at;
  for (entry_id id = 0; id != 1100; ++id) {
    long const before = memory.allocations;
    (void)slots.acquire();
    if (memory.allocations != before) grew_at.push_back(id);
  }
  CHECK(grew_at == std::vector<entry_id>{0, 16, 32, 64, 128, 256, 512, 1024});
}

TEST_CASE("slab: released slots are used again, as they are, before new ones", "[detail]") {
  bomb memory;
  slab<slot> slots(from(memory));
  long const before = slot::live;
  for (int i = 0; i < 20; ++i) (void)slots.acquire();
  slots[7].mark = 70;
  slots[3].mark = 30;
  slots.release(7);
  slots.release(3);
  CHECK(slots.has_free());
  CHECK(slot::live == before + 20);  // recycled, not destroyed
  std::vector<entry_id> again{slots.acquire(), slots.acquire()};
  std::sort(again.begin(), again.end());
  CHECK(again == std::vector<entry_id>{3, 7});
  CHECK(slots[7].mark == 70);
  CHECK(slots[3].mark == 30);
  CHECK_FALSE(slots.has_free());
  CHECK(slots.acquire() == 20);
}

TEST_CASE("slab: a chain of slots can be handed in as a whole", "[detail]") {
  bomb memory;
  slab<slot> slots(from(memory));
  for (int i = 0; i < 8; ++i) (void)slots.acquire();
  slots[5].next = 1;
  slots[1].next = 6;
  slots[6].next = no_entry;
  slots.adopt_free(5);
  CHECK(slots.has_free());
  CHECK(slots.acquire() == 5);
  CHECK(slots.acquire() == 1);
  CHECK(slots.acquire() == 6);
  CHECK_FALSE(slots.has_free());
  CHECK(slots.acquire() == 8);
}

TEST_CASE("slab: when an allocation fails, nothing has changed and the next try may succeed", "[detail]") {
  bomb memory;
  long const before = slot::live;
  {
    slab<slot> slots(from(memory));
    for (entry_id const border : {0u, 16u, 32u, 64u, 128u}) {
      while (slots.used() != border) (void)slots.acquire();
      memory.fuse = 0;
      for (int i = 0; i < 3; ++i) CHECK_THROWS_AS(slots.acquire(), std::bad_alloc);
      CHECK(slots.used() == border);
      CHECK(slot::live == before + long{border});
      if (border != 0) {  // a free slot needs no memory
        slots.release(border - 1);
        CHECK(slots.acquire() == border - 1);
      }
      memory.fuse = bomb::never;
      CHECK(slots.acquire() == border);
    }
    CHECK(memory.failures == 15);
  }
  CHECK(slot::live == before);
  CHECK(memory.bytes_out == 0);
}

TEST_CASE("slab: when a slot cannot be made, nothing has changed", "[detail]") {
  struct counting_down {
    counting_down() {
      if (--left() < 0) throw 1;
    }
    static int& left() {
      static int value = 0;
      return value;
    }
    entry_id next = no_entry;
    entry_id& link() { return next; }
  };
  bomb memory;
  {
    slab<counting_down> slots(from(memory));
    counting_down::left() = 16;
    for (int i = 0; i < 16; ++i) (void)slots.acquire();
    CHECK_THROWS_AS(slots.acquire(), int);  // the first of a new chunk
    CHECK_THROWS_AS(slots.acquire(), int);
    CHECK(slots.used() == 16);
    counting_down::left() = 1;
    CHECK(slots.acquire() == 16);
    CHECK_THROWS_AS(slots.acquire(), int);  // the second
    CHECK(slots.used() == 17);
  }
  CHECK(memory.bytes_out == 0);
}

TEST_CASE("slab: slots are aligned as they ask", "[detail]") {
  bomb memory;
  slab<wide_slot> slots(from(memory));
  for (entry_id id = 0; id != 100; ++id) {
    (void)slots.acquire();
    if (reinterpret_cast<std::uintptr_t>(&slots[id]) % 128 != 0) FAIL("slot " << id);
  }
  SUCCEED();
}

TEST_CASE("slab: a random walk: what is out is out once, and keeps its mark", "[detail]") {
  std::mt19937_64 random(tideover_test::run_seed());
  bomb memory;
  slab<slot> slots(from(memory));
  std::vector<std::pair<entry_id, std::uint64_t>> out;
  std::vector<bool> is_out(4096, false);
  for (int step = 0; step < 50'000; ++step) {
    bool const growing = step / 5000 % 2 == 0;
    if (out.empty() || random() % 8 < (growing ? 5u : 3u)) {
      memory.fuse = random() % 4 == 0 ? 0 : bomb::never;
      try {
        entry_id const id = slots.acquire();
        if (is_out.at(id)) FAIL("number " << id << " was given out twice");
        is_out[id] = true;
        out.emplace_back(id, slots[id].mark = random());
      } catch (std::bad_alloc const&) {
        if (slots.has_free()) FAIL("there was a free one");
      }
    } else {
      std::swap(out[random() % out.size()], out.back());
      auto const [id, mark] = out.back();
      out.pop_back();
      if (slots[id].mark != mark) FAIL("the mark of " << id << " has changed");
      is_out[id] = false;
      slots.release(id);
    }
  }
  CHECK(slots.used() < 4096);
}
