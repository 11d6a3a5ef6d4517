// SPDX-License-Identifier: BSL-1.0
#include "policy/eviction_walk.hpp"
#include "support/catch.hpp"
#include "support/environment.hpp"

#include <tideover/policy/eviction.hpp>
#include <tideover/policy/eviction/fifo.hpp>
#include <tideover/policy/eviction/lru.hpp>
#include <tideover/policy/eviction/unbounded.hpp>
#include <tideover/ttl_cache.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace {

using tideover::entry_id;
using tideover::eviction_policy;
using tideover::fifo;
using tideover::lru;
using tideover::no_entry;
using tideover::unbounded;
using tideover_test::bare_entries;
using tideover_test::naive_order;
using tideover_test::walk_eviction;

static_assert(eviction_policy<lru> && eviction_policy<fifo> && eviction_policy<unbounded>);
static_assert(!eviction_policy<int>);
static_assert(sizeof(lru::hook) == 8 && sizeof(fifo::hook) == 8 && std::is_empty_v<unbounded::hook>);
static_assert(std::is_empty_v<unbounded>);

struct without_victim : fifo {
  template <class Hooks>
  void victim(Hooks) = delete;
};
struct may_throw : fifo {
  template <class Hooks>
  void on_hit(Hooks, entry_id) {}
};
struct hook_with_destructor : unbounded {
  struct hook {
    ~hook() {}
  };
};
static_assert(!eviction_policy<without_victim> && !eviction_policy<may_throw> &&
              !eviction_policy<hook_with_destructor>);

std::size_t steps() { return std::size_t(tideover_test::number_from("TIDEOVER_MODEL_STEPS", 100'000)); }

}  // namespace

TEST_CASE("lru: the victim is the entry used least recently", "[policy]") {
  lru policy;
  bare_entries<lru> entries(3);
  CHECK(policy.victim(entries()) == no_entry);
  for (entry_id const id : {0u, 1u, 2u}) policy.on_insert(entries(), id);
  CHECK(policy.victim(entries()) == 0);
  policy.on_hit(entries(), 0);
  CHECK(policy.victim(entries()) == 1);
  policy.on_hit(entries(), 0);
  CHECK(policy.victim(entries()) == 1);
  policy.on_remove(entries(), 1);
  CHECK(policy.victim(entries()) == 2);
  policy.on_hit(entries(), 2);
  CHECK(policy.victim(entries()) == 0);
  CHECK(policy.victim(entries()) == 0);  // asking changes nothing
  policy.on_remove(entries(), 0);
  policy.on_remove(entries(), 2);
  CHECK(policy.victim(entries()) == no_entry);
  policy.on_insert(entries(), 1);
  CHECK(policy.victim(entries()) == 1);
}

TEST_CASE("fifo: the victim is the entry inserted first, whatever it was used for", "[policy]") {
  fifo policy;
  bare_entries<fifo> entries(4);
  CHECK(policy.victim(entries()) == no_entry);
  for (entry_id const id : {0u, 1u, 2u}) policy.on_insert(entries(), id);
  for (int i = 0; i < 3; ++i) policy.on_hit(entries(), 0);
  CHECK(policy.victim(entries()) == 0);
  policy.on_replace(entries(), 0, 3);  // a new value for the oldest is the oldest still
  CHECK(policy.victim(entries()) == 3);
  policy.on_remove(entries(), 3);
  CHECK(policy.victim(entries()) == 1);
  policy.on_remove(entries(), 1);
  policy.on_remove(entries(), 2);
  CHECK(policy.victim(entries()) == no_entry);
}

TEST_CASE("unbounded: nobody has to leave", "[policy]") {
  unbounded policy;
  bare_entries<unbounded> entries(3);
  for (entry_id const id : {0u, 1u, 2u}) policy.on_insert(entries(), id);
  policy.on_hit(entries(), 1);
  CHECK(policy.victim(entries()) == no_entry);
  policy.on_remove(entries(), 1);
  CHECK(policy.victim(entries()) == no_entry);
}

TEST_CASE("lru, fifo: a random walk beside a list that is searched from end to end", "[policy]") {
  std::uint64_t const seed = tideover_test::run_seed();
  for (std::size_t const entries : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{50}}) {
    CAPTURE(entries);
    CHECK(walk_eviction<lru>(naive_order{.hit_moves = true}, entries, steps() / 4, seed) == "");
    CHECK(walk_eviction<fifo>(naive_order{.hit_moves = false}, entries, steps() / 4, seed) == "");
  }
}

TEST_CASE("lru, fifo: the walk can tell one from the other", "[policy]") {
  CHECK(walk_eviction<lru>(naive_order{.hit_moves = false}, 20, 10'000, 1) != "");
  CHECK(walk_eviction<fifo>(naive_order{.hit_moves = true}, 20, 10'000, 1) != "");
}

namespace {

struct asks_for_its_shard : tideover::lru {
  template <class Hooks>
  void on_insert(Hooks hooks, tideover::entry_id id) noexcept {
    highest = std::max(highest, hooks.shard());
    tideover::lru::on_insert(hooks, id);
  }
  inline static std::size_t highest = 0;
};

}  // namespace

TEST_CASE("a policy that shares nothing knows its shard too") {
  tideover::ttl_cache<int, int, asks_for_its_shard, tideover::single_threaded> one({.capacity = 100});
  one.put(1, 1);
  CHECK(asks_for_its_shard::highest == 0);
  tideover::ttl_cache<int, int, asks_for_its_shard> many({.capacity = 100'000});
  for (int i = 0; i != 1000; ++i) many.put(i, i);
  CHECK(asks_for_its_shard::highest == 15);
}
