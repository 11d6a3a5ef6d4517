// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/watchdog.hpp"

#include <tideover/detail/hash_index.hpp>
#include <tideover/policy/locking.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

// `read` of the index, without a lock, while one thread writes.

namespace {

using tideover::entry_id;
using tideover::no_entry;
using tideover::detail::unsure_entry;
using tideover_test::watchdog;

using index_type = tideover::detail::hash_index<tideover::sharded<1>, std::allocator<std::byte>>;

constexpr std::uint32_t crowd_bucket = 0xFFFF'0000u;

/// Few tags, and many keys in the last bucket: so that entries pass on others' places and go round.
std::uint64_t hash_of(std::uint32_t key) {
  std::uint32_t const mixed = key * 0x9E37'79B9u;
  std::uint32_t const lower = key % 4 == 0 ? crowd_bucket + key : mixed;
  return (lower & 0xFFFF'FF00u) | (1 + key % 3);
}

auto const no_protection = [](entry_id) noexcept {};

}  // namespace

TEST_CASE("hash_index: read finds what find finds", "[detail]") {
  index_type entries{std::allocator<std::byte>()};
  auto const is = [](entry_id wanted) { return [wanted](entry_id id) { return id == wanted; }; };
  CHECK(entries.read(hash_of(1), no_protection, is(1)) == no_entry);
  auto const half = [](entry_id id) { return static_cast<std::uint32_t>(hash_of(id)); };
  for (entry_id id = 0; id != 500; ++id) {
    entries.reserve_one_more(half);
    entries.insert(hash_of(id), id);
    for (entry_id other : {entry_id{0}, id / 2, id}) {
      CHECK(entries.read(hash_of(other), no_protection, is(other)) == other);
    }
    CHECK(entries.read(hash_of(id + 1), no_protection, is(id + 1)) == no_entry);
  }
  for (entry_id id = 0; id != 500; id += 2) entries.erase(half(id), id);
  for (entry_id id = 0; id != 500; ++id) {
    CHECK(entries.read(hash_of(id), no_protection, is(id)) == (id % 2 == 0 ? no_entry : id));
  }
  entries.drain([](entry_id) {});
  CHECK(entries.read(hash_of(1), no_protection, is(1)) == no_entry);
}

TEST_CASE("hash_index: read looks again after it has protected an entry", "[detail]") {
  index_type entries{std::allocator<std::byte>()};
  auto const half = [](entry_id) { return static_cast<std::uint32_t>(hash_of(1)); };
  entries.reserve(9, half);
  entries.insert(hash_of(1), 7);
  std::vector<entry_id> was_protected, asked;
  auto const all = [&](entry_id id) {
    asked.push_back(id);
    return true;
  };
  SECTION("erased in between: it is not asked for, and not found") {
    CHECK(entries.read(
              hash_of(1),
              [&](entry_id id) {
                was_protected.push_back(id);
                entries.erase(half(id), id);
              },
              all) == no_entry);
    CHECK(was_protected == std::vector<entry_id>{7});
    CHECK(asked.empty());
  }
  SECTION("replaced in between: the new one is protected and found") {
    CHECK(entries.read(
              hash_of(1),
              [&](entry_id id) {
                was_protected.push_back(id);
                if (id == 7) entries.replace(half(id), 7, 8);
              },
              all) == 8);
    CHECK(was_protected == std::vector<entry_id>{7, 8});
    CHECK(asked == std::vector<entry_id>{8});
  }
  SECTION("replaced again and again: at last it says that it does not know") {
    entry_id newest = 7;
    CHECK(entries.read(
              hash_of(1), [&](entry_id id) { entries.replace(half(id), newest, id + 1), newest = id + 1; },
              all) == unsure_entry);
    CHECK(newest < 40);
    CHECK(asked.empty());
  }
  SECTION("grown in between: the new table is asked") {
    CHECK(entries.read(
              hash_of(1),
              [&](entry_id id) {
                was_protected.push_back(id);
                if (was_protected.size() == 1) {
                  entries.reserve(1000, half);
                  entries.replace(half(id), 7, 8);
                }
              },
              all) == 8);
    CHECK(asked == std::vector<entry_id>{8});
  }
  SECTION("erased and put back by another number, in the same place") {
    CHECK(entries.read(
              hash_of(1),
              [&](entry_id id) {
                was_protected.push_back(id);
                if (id != 7) return;
                entries.erase(half(id), 7);
                entries.insert(hash_of(1), 9);
              },
              all) == 9);
    CHECK(asked == std::vector<entry_id>{9});
  }
  SECTION("what the comparison throws passes through") {
    CHECK_THROWS_AS(
        entries.read(hash_of(1), no_protection, [](entry_id) -> bool { throw std::runtime_error("equal"); }),
        std::runtime_error);
  }
}

namespace {

/// Entries as a cache has them: their content is written before they are inserted, and only once nobody
/// protects them is it written again.
struct entry {
  std::uint32_t key = 0;
  std::uint32_t check = 0;
};

constexpr std::size_t readers = 3;

/// One writer of an index, and what its readers say of it.
class arena {
 public:
  arena() : entries_(4096) {}

  static constexpr std::uint32_t steady = 48;  // keys that are always there, replaced now and then
  static constexpr std::uint32_t keys = 1500;

  void run(std::size_t changes, std::uint64_t seed) {
    std::vector<std::thread> threads;
    for (std::size_t self = 0; self != readers; ++self)
      threads.emplace_back([this, self, seed] { look(self, seed); });
    change(changes, seed + readers);
    done_ = true;
    for (std::thread& t : threads) t.join();
  }

  std::atomic<std::size_t> found{0}, absent{0}, unsure{0}, changed_in_between{0}, missed{0}, damaged{0};
  std::size_t kept_for_readers = 0, grown = 0, drained = 0;

 private:
  void look(std::size_t self, std::uint64_t seed) {
    std::mt19937_64 random(seed + self);
    auto& mine = reads_[self].id;
    while (!done_) {
      auto const key = static_cast<std::uint32_t>(random() % (random() % 2 == 0 ? steady : keys));
      std::size_t times = 0;
      std::uint64_t const drains = drains_;
      entry_id const id = index_.read(
          hash_of(key),
          [&](entry_id candidate) { ++times, mine.store(candidate, std::memory_order_seq_cst); },
          [&](entry_id candidate) {
            entry const e = entries_[candidate];
            if (e.check != ~e.key) ++damaged;
            return e.key == key;
          });
      if (id == unsure_entry) {
        ++unsure;
      } else if (id == no_entry) {
        ++absent;
        if (key < steady && drains == drains_ && drains % 2 == 0) ++missed;
      } else {
        ++found;
        if (random() % 64 == 0) std::this_thread::yield();
        if (entries_[id].key != key) ++damaged;
      }
      if (times > 1) ++changed_in_between;
      mine.store(no_entry, std::memory_order_release);
    }
  }

  bool is_read(entry_id id) const {
    for (auto const& r : reads_) {
      if (r.id.load(std::memory_order_seq_cst) == id) return true;
    }
    return false;
  }
  /// An entry that nobody protects any more, with new content.
  entry_id make(std::uint32_t key) {
    for (std::size_t i = 0;; ++i) {
      if (i == retired_.size()) {
        entries_[used_] = {key, ~key};
        return used_++;
      }
      entry_id const id = retired_[i];
      if (is_read(id)) {
        ++kept_for_readers;
        continue;
      }
      retired_.erase(retired_.begin() + static_cast<std::ptrdiff_t>(i));
      entries_[id] = {key, ~key};
      return id;
    }
  }
  std::uint32_t half(entry_id id) const { return static_cast<std::uint32_t>(hash_of(entries_[id].key)); }
  void put(std::uint32_t key) {
    entry_id const id = make(key);
    if (where_[key] != no_entry) {
      entry_id const old = where_[key];
      index_.replace(half(old), old, id);
      retired_.push_back(old);
    } else {
      if (!index_.has_room()) ++grown;
      index_.reserve_one_more([this](entry_id other) { return half(other); });
      index_.insert(hash_of(key), id);
    }
    where_[key] = id;
  }
  void erase(std::uint32_t key) {
    entry_id const id = std::exchange(where_[key], no_entry);
    if (id == no_entry) return;
    index_.erase(half(id), id);
    retired_.push_back(id);
  }
  void change(std::size_t changes, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    where_.assign(keys, no_entry);
    for (std::uint32_t key = 0; key != steady; ++key) put(key);
    drains_ = 2;
    tideover_test::await([this] { return found != 0; });
    for (std::size_t i = 0; i != changes; ++i) {
      // More and more keys, so that it grows step by step.
      auto const some = static_cast<std::uint32_t>(steady + random() % (1 + i * (keys - steady) / changes));
      switch (random() % 4) {
        case 0:
          erase(some);
          break;
        case 1:
          put(static_cast<std::uint32_t>(random() % steady));
          break;
        default:
          put(some);
      }
      if (i % 128 == 0) std::this_thread::yield();
      if (i % 20'000 == 10'000) {
        ++drains_;  // odd: the steady ones are away
        index_.drain([this](entry_id id) { retired_.push_back(id); });
        where_.assign(keys, no_entry);
        for (std::uint32_t key = 0; key != steady; ++key) put(key);
        ++drains_;
        ++drained;
      }
    }
  }

  struct alignas(64) hazard {
    std::atomic<entry_id> id{no_entry};
  };
  index_type index_{std::allocator<std::byte>()};
  std::vector<entry> entries_;
  std::array<hazard, readers> reads_;
  std::vector<entry_id> where_, retired_;
  entry_id used_ = 0;
  std::atomic<std::uint64_t> drains_{1};
  std::atomic<bool> done_{false};
};

}  // namespace

TEST_CASE("hash_index: read while one thread inserts, replaces, erases, drains and grows", "[detail]") {
  watchdog const dog("an index that is read while it changes", std::chrono::minutes(3));
  std::size_t const changes = 4 * tideover_test::number_from("TIDEOVER_STRESS_CALLS", 60'000);
  std::size_t changed = 0, unsure = 0, kept = 0;
  for (std::uint64_t round = 0; round != 4; ++round) {
    arena a;
    a.run(changes / 4, tideover_test::run_seed() + round * 10);
    CHECK(a.missed == 0);
    CHECK(a.damaged == 0);
    CHECK(a.found > 0);
    CHECK(a.absent > 0);
    CHECK(a.grown > 3);
    CHECK(a.drained > 0);
    changed += a.changed_in_between, unsure += a.unsure, kept += a.kept_for_readers;
  }
  CHECK(changed > 0);
  CHECK(kept > 0);
  INFO("unsure " << unsure);
}
