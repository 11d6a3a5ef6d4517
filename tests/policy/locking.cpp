// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <tideover/policy/locking.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <type_traits>

namespace {

using tideover::locking_policy;
using tideover::one_mutex;
using tideover::sharded;
using tideover::single_threaded;

static_assert(locking_policy<sharded<>> && locking_policy<sharded<1>> && locking_policy<sharded<64>>);
static_assert(locking_policy<sharded<4, std::shared_mutex>>);
static_assert(locking_policy<one_mutex> && locking_policy<single_threaded>);
static_assert(!locking_policy<int> && !locking_policy<std::mutex>);

static_assert(sharded<>::max_shards == 16 && sharded<64>::max_shards == 64);
static_assert(one_mutex::max_shards == 1 && single_threaded::max_shards == 1);
static_assert(sharded<>::is_shared && one_mutex::is_shared && !single_threaded::is_shared);
static_assert(std::is_same_v<sharded<4, std::shared_mutex>::mutex_type, std::shared_mutex>);
static_assert(std::is_same_v<sharded<>::cell<int>, std::atomic<int>>);

template <std::size_t Shards>
struct with_shards : one_mutex {
  static constexpr std::size_t max_shards = Shards;
};
static_assert(locking_policy<with_shards<2>>);
static_assert(!locking_policy<with_shards<0>> && !locking_policy<with_shards<3>>, "a power of two");

// What one thread has to itself costs nothing: the mutex takes no byte of its own, the cell is the bare
// value.
static_assert(std::is_empty_v<single_threaded::mutex_type>);
static_assert(sizeof(single_threaded::cell<std::uint32_t>) == sizeof(std::uint32_t));
static_assert(std::is_trivially_destructible_v<single_threaded::cell<std::uint32_t>>);

constexpr auto relaxed = std::memory_order_relaxed;

}  // namespace

TEST_CASE("single_threaded: its mutex may be locked at any time", "[policy]") {
  single_threaded::mutex_type mutex;
  std::unique_lock const outer(mutex);
  std::unique_lock const inner(mutex);
  CHECK(mutex.try_lock());
  CHECK(outer.owns_lock());
  CHECK(inner.owns_lock());
}

TEMPLATE_TEST_CASE("single_threaded: a cell does what an atomic does", "[policy]", std::uint32_t,
                   std::uint64_t, std::size_t) {
  std::mt19937 random(1);
  single_threaded::cell<TestType> cell{5};
  std::atomic<TestType> atomic{5};
  CHECK(single_threaded::cell<TestType>().load(relaxed) == 0);
  for (int i = 0; i < 10'000; ++i) {
    auto const operand = random() % 16 == 0 ? std::numeric_limits<TestType>::max() : TestType(random() % 8);
    bool same = true;
    switch (random() % 6) {
      case 0:
        cell.store(operand, relaxed);
        atomic.store(operand, relaxed);
        break;
      case 1:
        same = cell.exchange(operand, relaxed) == atomic.exchange(operand, relaxed);
        break;
      case 2:
        same = cell.fetch_add(operand, relaxed) == atomic.fetch_add(operand, relaxed);
        break;
      case 3:
        same = cell.fetch_sub(operand, relaxed) == atomic.fetch_sub(operand, relaxed);
        break;
      default: {
        TestType ours = random() % 2 == 0 ? operand : atomic.load(relaxed);
        TestType theirs = ours;
        TestType const desired = TestType(operand + 1);
        same = cell.compare_exchange_weak(ours, desired, relaxed, relaxed) ==
                   atomic.compare_exchange_strong(theirs, desired, relaxed, relaxed) &&
               ours == theirs;
      }
    }
    if (!same || cell.load(relaxed) != atomic.load(relaxed)) FAIL("they differ after step " << i);
  }
  SUCCEED();
}

TEST_CASE("single_threaded: small cells wrap as small atomics do", "[policy]") {
  single_threaded::cell<std::uint8_t> cell{255};
  CHECK(cell.fetch_add(2, relaxed) == 255);
  CHECK(cell.load(relaxed) == 1);
  CHECK(cell.fetch_sub(3, relaxed) == 1);
  CHECK(cell.load(relaxed) == 254);
}
