// SPDX-License-Identifier: BSL-1.0
// The walk behind hottest and coldest, by itself: what happens between two of its turns is done by hand here.
#include "policy/eviction_walk.hpp"
#include "support/catch.hpp"
#include "support/environment.hpp"

#include <tideover/detail/cache/eviction_order.hpp>
#include <tideover/policy/eviction/fifo.hpp>
#include <tideover/policy/eviction/lru.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <utility>
#include <vector>

namespace {

using namespace tideover;
using tideover_test::bare_entries;

/// What the walk asks of a shard.
template <class Policy>
struct bare_shard {
  explicit bare_shard(entry_id n) : entries(n), resident(n) {
    for (entry_id id = 0; id != n; ++id) insert(id);
  }
  void insert(entry_id id) {
    policy.on_insert(entries(), id);
    resident[id] = true;
    ++count;
  }
  void remove(entry_id id) {
    policy.on_remove(entries(), id);
    resident[id] = false;
    --count;
  }
  std::size_t size() const { return count; }
  bool is_resident(entry_id id) const { return resident[id]; }
  template <class F>
  bool ask_eviction(F f) {
    return f(std::as_const(policy), entries());
  }

  Policy policy;
  bare_entries<Policy> entries;
  std::vector<bool> resident;
  std::size_t count = 0;
};

constexpr entry_id entries = 3000;

/// Those that are let alone, in the order in which they were first met.
std::vector<entry_id> left_alone(std::vector<detail::listed_entry> const& all) {
  std::vector<entry_id> order;
  std::vector<bool> met(entries);
  for (detail::listed_entry const& e : all) {
    if (e.id % 2 == 1 || met[e.id]) continue;
    met[e.id] = true;
    order.push_back(e.id);
  }
  return order;
}

}  // namespace

TEMPLATE_TEST_CASE("C13: a walk finds its way, whatever happens to the entries around it", "[C13]", lru,
                   fifo) {
  // The first ones had the walk go on at an entry that had moved, while it trusted one neighbour.
  auto const seed = GENERATE(as<std::uint64_t>{}, 29u, 50u, 127u, 143u, 178u, tideover_test::run_seed());
  std::mt19937_64 random(seed);
  std::vector<entry_id> oldest_first;
  for (entry_id id = 0; id != entries; id += 2) oldest_first.push_back(id);
  for (int changes = 0; changes <= 3000; changes = changes * 3 + 1) {
    for (bool const hottest : {false, true}) {
      bare_shard<TestType> shard(entries);
      detail::eviction_walk<bare_shard<TestType>> walk(std::numeric_limits<std::size_t>::max(), hottest);
      int turns = 0;
      for (bool more = true; more; ++turns) {
        walk.make_room();
        more = walk.step(shard, [](entry_id) noexcept { return true; });
        for (int i = 0; i != changes; ++i) {
          auto const id = static_cast<entry_id>(random() % (entries / 2) * 2 + 1);
          if (!shard.is_resident(id)) {
            shard.insert(id);
          } else if (random() % 2 == 0) {
            shard.remove(id);
          } else {
            shard.policy.on_hit(shard.entries(), id);
          }
        }
      }
      walk.finish();
      std::vector<entry_id> expected = oldest_first;
      if (hottest) std::reverse(expected.begin(), expected.end());
      INFO("seed " << seed << " changes " << changes << (hottest ? " hottest" : " coldest"));
      bool const in_order = left_alone(walk.result()) == expected;
      CHECK(in_order);
      CHECK(turns < 100);
    }
  }
}

TEST_CASE("C13: a walk ends, though everything it has met moves or goes", "[C13]") {
  std::mt19937_64 random(tideover_test::run_seed());
  for (bool const hottest : {false, true}) {
    for (bool const moves : {false, true}) {
      bare_shard<lru> shard(entries);
      detail::eviction_walk<bare_shard<lru>> walk(std::numeric_limits<std::size_t>::max(), hottest);
      std::size_t turns = 0, dealt_with = 0;
      for (bool more = true; more; ++turns) {
        walk.make_room();
        more = walk.step(shard, [](entry_id) noexcept { return true; });
        for (; dealt_with != walk.result().size(); ++dealt_with) {
          entry_id const id = walk.result()[dealt_with].id;
          if (!shard.is_resident(id)) continue;
          if (moves) {
            shard.policy.on_hit(shard.entries(), id);
          } else {
            shard.remove(id);
          }
        }
      }
      CHECK(turns <= 2 * entries / 256 + 2);
      std::vector<bool> met(entries);
      for (detail::listed_entry const& e : walk.result()) met[e.id] = true;
      // Going from the cold end everything is met, wherever it goes to; from the hot end what moves comes
      // back.
      if (!hottest || !moves) CHECK(std::count(met.begin(), met.end(), true) == entries);
    }
  }
}
