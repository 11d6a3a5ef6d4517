// SPDX-License-Identifier: BSL-1.0
#include "support/bombing_allocator.hpp"
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/watchdog.hpp"

#include <tideover/config.hpp>
#include <tideover/detail/hash_index.hpp>
#include <tideover/policy/locking.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <random>
#include <set>
#include <stdexcept>
#include <vector>

namespace {

using tideover::entry_id;
using tideover::no_entry;
using tideover_test::bomb;
using tideover_test::watchdog;

using index_type =
    tideover::detail::hash_index<tideover::single_threaded, tideover_test::bombing_allocator<std::byte>>;
tideover_test::bombing_allocator<std::byte> from(bomb& b) {
  return tideover_test::bombing_allocator<std::byte>(b);
}

std::uint32_t hash(std::uint32_t place, unsigned tag) { return (place & 0xFFFF'FF00u) | tag; }
constexpr std::uint32_t first_bucket = 0;
constexpr std::uint32_t last_bucket = 0xFFFF'FFFFu;

auto const no_hashes = [](entry_id) -> std::uint32_t {
  throw std::logic_error("nothing is there to be moved");
};
auto is(entry_id wanted) {
  return [wanted](entry_id id) { return id == wanted; };
}
auto const nobody = [](entry_id) { return false; };

}  // namespace

TEST_CASE("hash_index: the lanes of a tag are found by words and at once alike", "[detail]") {
  std::mt19937_64 random(tideover_test::run_seed());
  auto const as_numbers = []<class Lanes>(Lanes, std::uint64_t low, std::uint64_t high, std::uint8_t tag) {
    std::set<unsigned> numbers;
    for (auto left = Lanes::of(low, high, tag); left != 0; left &= left - 1)
      numbers.insert(Lanes::one_of(left));
    return numbers;
  };
  for (int round = 0; round != 2000; ++round) {
    std::array<std::uint8_t, 16> bytes{};
    std::uint8_t const tag = static_cast<std::uint8_t>(random());
    // Those whose carry or borrow could be taken for the tag stand beside it.
    for (std::uint8_t& b : bytes)
      b = static_cast<std::uint8_t>(tag + random() % 4 * (random() % 2 * 64) + random() % 3);
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    std::set<unsigned> expected;
    for (unsigned at = 0; at != 16; ++at) {
      (at < 8 ? low : high) |= std::uint64_t{bytes[at]} << at % 8 * 8;
      if (at < 12 && bytes[at] == tag) expected.insert(at);
    }
    REQUIRE(as_numbers(tideover::detail::tag_lanes_by_word(), low, high, tag) == expected);
    REQUIRE(as_numbers(tideover::detail::tag_lanes(), low, high, tag) == expected);
  }
}

TEST_CASE("hash_index: an empty one has allocated nothing and finds nothing", "[detail]") {
  bomb memory;
  {
    index_type entries(from(memory));
    CHECK(entries.empty());
    CHECK(entries.size() == 0);
    CHECK_FALSE(entries.has_room());
    CHECK(entries.find(hash(1, 1), [](entry_id) { return true; }) == no_entry);
    entries.drain([](entry_id) { std::abort(); });
    entries.reserve(0, no_hashes);
    CHECK(memory.allocations == 0);
    entries.reserve(1, no_hashes);
    CHECK(entries.has_room());
    CHECK(entries.find(hash(1, 1), [](entry_id) { return true; }) == no_entry);
    CHECK(memory.allocations == 1);
  }
  CHECK(memory.bytes_out == 0);
}

TEST_CASE("hash_index: what was inserted is found by its hash until it is erased", "[detail]") {
  bomb memory;
  index_type entries(from(memory));
  entries.reserve(100, no_hashes);
  entries.insert(hash(10, 7), 1);
  entries.insert(hash(1u << 12, 7), 2);
  CHECK(entries.size() == 2);
  CHECK(entries.find(hash(10, 7), is(1)) == 1);
  CHECK(entries.find(hash(1u << 12, 7), is(2)) == 2);
  CHECK(entries.find(hash(10, 8), is(1)) == no_entry);  // another tag: not even asked
  CHECK(entries.find(hash(last_bucket, 7), is(1)) == no_entry);
  entries.erase(hash(10, 7), 1);
  CHECK(entries.find(hash(10, 7), is(1)) == no_entry);
  CHECK(entries.find(hash(1u << 12, 7), is(2)) == 2);
  entries.erase(hash(1u << 12, 7), 2);
  CHECK(entries.empty());
}

TEST_CASE("hash_index: a tag of zero is a tag like others, and none matches another", "[detail]") {
  bomb memory;
  index_type entries(from(memory));
  entries.reserve(12 * 256, no_hashes);
  for (unsigned tag = 0; tag < 256; ++tag) entries.insert(hash(std::uint32_t(tag) << 24, tag), tag);
  for (unsigned tag = 0; tag < 256; ++tag) {
    std::vector<entry_id> asked;
    auto const ask = [&](entry_id id) {
      asked.push_back(id);
      return false;
    };
    CHECK(entries.find(hash(std::uint32_t(tag) << 24, tag), ask) == no_entry);
    CHECK(asked == std::vector<entry_id>{tag});
  }
}

TEST_CASE("hash_index: neighbouring tags in one bucket are told apart at each place", "[detail]") {
  // A match of one byte must not reach into the next, for any pair of bytes.
  bomb memory;
  for (unsigned const base : {1u, 2u, 64u, 126u, 127u, 128u, 129u, 254u}) {
    index_type entries(from(memory));
    entries.reserve(9, no_hashes);
    for (entry_id id = 0; id != 9; ++id) entries.insert(hash(0, id % 2 == 0 ? base : base + 1), id);
    for (unsigned const tag : {base, base + 1}) {
      std::set<entry_id> asked;
      (void)entries.find(hash(0, tag), [&](entry_id id) {
        asked.insert(id);
        return false;
      });
      CHECK(asked == (tag == base ? std::set<entry_id>{0, 2, 4, 6, 8} : std::set<entry_id>{1, 3, 5, 7}));
    }
  }
}

TEST_CASE("hash_index: the numbers of erased entries are not believed", "[detail]") {
  bomb memory;
  index_type entries(from(memory));
  entries.reserve(9, no_hashes);
  for (int round = 0; round < 100; ++round) {  // one number over and over, at any place
    entries.insert(hash(0, 3), 5);
    entries.insert(hash(0, 4), 6);
    entries.erase(hash(0, 3), 5);
    entries.insert(hash(0, 5), 5);
    CHECK(entries.find(hash(0, 3), is(5)) == no_entry);
    CHECK(entries.find(hash(0, 5), is(5)) == 5);
    entries.erase(hash(0, 4), 6);
    entries.erase(hash(0, 5), 5);
    CHECK(entries.empty());
  }
}

TEST_CASE("hash_index: a bucket that is full passes entries on, around the end, and forgets when they go",
          "[detail]") {
  bomb memory;
  index_type entries(from(memory));
  entries.reserve(27, no_hashes);  // three buckets of twelve
  for (entry_id id = 0; id != 27; ++id) entries.insert(hash(last_bucket, 9), id);
  for (entry_id id = 0; id != 27; ++id) CHECK(entries.find(hash(last_bucket, 9), is(id)) == id);

  // Who looks from a bucket on asks those that stand in it and behind it, in this order.
  std::vector<entry_id> asked;
  auto const ask = [&](entry_id id) {
    asked.push_back(id);
    return false;
  };
  CHECK(entries.find(hash(last_bucket, 9), ask) == no_entry);
  CHECK(asked.size() == 27);

  // With those gone that had to go on, a search stays in its bucket again.
  for (entry_id id = 12; id != 27; ++id) entries.erase(hash(last_bucket, 9), id);
  asked.clear();
  CHECK(entries.find(hash(last_bucket, 9), ask) == no_entry);
  CHECK(asked.size() == 12);
  for (entry_id id = 12; id != 20; ++id) entries.insert(hash(first_bucket, 9), id);
  asked.clear();
  CHECK(entries.find(hash(last_bucket, 9), ask) == no_entry);
  CHECK(asked.size() == 12);
}

TEST_CASE("hash_index: a search ends also when every bucket has passed some entry on", "[detail]") {
  watchdog const dog("an endless search");
  bomb memory;
  index_type entries(from(memory));
  entries.reserve(18, no_hashes);                                                   // two buckets of twelve
  for (entry_id id = 0; id != 18; ++id) entries.insert(hash(first_bucket, 3), id);  // six are in the second
  for (entry_id id = 0; id != 12; ++id) entries.erase(hash(first_bucket, 3), id);
  for (entry_id id = 0; id != 12; ++id) entries.insert(hash(last_bucket, 3), id);  // six are in the first
  CHECK(entries.find(hash(first_bucket, 3), nobody) == no_entry);
  CHECK(entries.find(hash(last_bucket, 3), nobody) == no_entry);
  CHECK(entries.find(hash(first_bucket, 77), nobody) == no_entry);
  for (entry_id id = 0; id != 12; ++id) CHECK(entries.find(hash(last_bucket, 3), is(id)) == id);
  for (entry_id id = 12; id != 18; ++id) CHECK(entries.find(hash(first_bucket, 3), is(id)) == id);
  for (entry_id id = 0; id != 12; ++id) entries.erase(hash(last_bucket, 3), id);
  for (entry_id id = 12; id != 18; ++id) entries.erase(hash(first_bucket, 3), id);
  CHECK(entries.empty());
}

TEST_CASE("hash_index: replace puts a number in the place of another", "[detail]") {
  bomb memory;
  index_type entries(from(memory));
  entries.reserve(18, no_hashes);
  for (entry_id id = 0; id != 18; ++id) entries.insert(hash(first_bucket, 3), id);
  for (entry_id id = 0; id != 18; ++id)
    entries.replace(hash(first_bucket, 3), id, id + 100);  // also those passed on
  CHECK(entries.size() == 18);
  for (entry_id id = 0; id != 18; ++id) {
    CHECK(entries.find(hash(first_bucket, 3), is(id)) == no_entry);
    CHECK(entries.find(hash(first_bucket, 3), is(id + 100)) == id + 100);
  }
  for (entry_id id = 0; id != 18; ++id) entries.erase(hash(first_bucket, 3), id + 100);
  CHECK(entries.empty());
}

TEST_CASE("hash_index: drain names each once and keeps the memory", "[detail]") {
  bomb memory;
  index_type entries(from(memory));
  entries.reserve(100, no_hashes);
  for (entry_id id = 0; id != 40; ++id) entries.insert(hash(first_bucket, 3), id);
  std::set<entry_id> named;
  std::size_t calls = 0;
  long const allocations = memory.allocations;
  entries.drain([&](entry_id id) { named.insert(id), ++calls; });
  CHECK(named.size() == 40);
  CHECK(calls == 40);
  CHECK(entries.empty());
  CHECK(entries.find(hash(first_bucket, 3), nobody) == no_entry);
  for (entry_id id = 0; id != 100; ++id) {
    CHECK(entries.has_room());
    entries.insert(hash(std::uint32_t(id) * 42'949'672u, 3), id);  // evenly
  }
  CHECK(memory.allocations == allocations);
  std::vector<entry_id> asked;  // counts of what was passed on are gone too
  (void)entries.find(hash(first_bucket, 3), [&](entry_id id) {
    asked.push_back(id);
    return false;
  });
  CHECK(asked.size() <= 12);
}

TEST_CASE("hash_index: it grows by doubling, moves everything, and asks for one cache line per nine",
          "[detail]") {
  bomb memory;
  {
    index_type entries(from(memory));
    std::vector<std::uint64_t> hashes;
    auto const lower_of = [&](entry_id id) { return static_cast<std::uint32_t>(hashes[id]); };
    long growths = 0;
    for (entry_id id = 0; id != 20'000; ++id) {
      long const before = memory.allocations;
      entries.reserve_one_more(lower_of);
      growths += memory.allocations - before;
      REQUIRE(entries.has_room());
      hashes.push_back(std::uint64_t{id} * 0x9E37'79B9'7F4A'7C15u);
      entries.insert(hashes[id], id);
    }
    CHECK(growths == 13);                                                      // 9, 18, 36 ... 36,864
    CHECK(memory.bytes_out == long{(36'864 / 9 + 1) * tideover::cache_line});  // and a line before them
    CHECK(entries.size() == 20'000);
    for (entry_id id = 0; id != 20'000; ++id) {
      if (entries.find(hashes[id], is(id)) != id) FAIL("entry " << id << " was lost");
    }
    entries.reserve(20'001, lower_of);
    CHECK(memory.bytes_out == long{(36'864 / 9 + 1) * tideover::cache_line});
    entries.reserve(36'865, lower_of);  // to the exact number of buckets
    CHECK(memory.bytes_out == long{(36'864 / 9 + 2) * tideover::cache_line});
    for (entry_id id = 0; id != 20'000; ++id) {
      if (entries.find(hashes[id], is(id)) != id) FAIL("entry " << id << " was lost");
    }
  }
  CHECK(memory.bytes_out == 0);
}

TEST_CASE("hash_index: when growing fails, nothing has changed", "[detail]") {
  bomb memory;
  {
    index_type entries(from(memory));
    auto const lower_of = [](entry_id id) { return hash(std::uint32_t(id) << 24, id + 1); };
    memory.fuse = 0;
    CHECK_THROWS_AS(entries.reserve_one_more(lower_of), std::bad_alloc);
    CHECK_THROWS_AS(entries.reserve(100, lower_of), std::bad_alloc);
    CHECK_FALSE(entries.has_room());
    CHECK(entries.find(hash(0, 1), nobody) == no_entry);
    memory.fuse = bomb::never;
    entries.reserve_one_more(lower_of);
    for (entry_id id = 0; id != 9; ++id) entries.insert(lower_of(id), id);
    CHECK_FALSE(entries.has_room());
    memory.fuse = 0;
    for (int i = 0; i < 3; ++i) CHECK_THROWS_AS(entries.reserve_one_more(lower_of), std::bad_alloc);
    CHECK_FALSE(entries.has_room());
    CHECK(entries.size() == 9);
    for (entry_id id = 0; id != 9; ++id) CHECK(entries.find(lower_of(id), is(id)) == id);
    memory.fuse = bomb::never;
    entries.reserve_one_more(lower_of);
    for (entry_id id = 0; id != 9; ++id) CHECK(entries.find(lower_of(id), is(id)) == id);
    CHECK_THROWS_AS(entries.reserve(std::size_t{9} * 0x1'0000'0000u, lower_of),
                    std::bad_alloc);  // beyond all hashes
    for (entry_id id = 0; id != 9; ++id) CHECK(entries.find(lower_of(id), is(id)) == id);
  }
  CHECK(memory.bytes_out == 0);
}

TEST_CASE("hash_index: what the question throws passes through and changes nothing", "[detail]") {
  bomb memory;
  index_type entries(from(memory));
  entries.reserve(9, no_hashes);
  entries.insert(hash(0, 1), 4);
  CHECK_THROWS_AS(entries.find(hash(0, 1), [](entry_id) -> bool { throw 1; }), int);
  CHECK(entries.size() == 1);
  CHECK(entries.find(hash(0, 1), is(4)) == 4);
}
