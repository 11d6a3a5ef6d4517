// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <tideover/cache_store.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/ttl_cache.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using tideover::bulk_readable_store;
using tideover::cache_store;
using tideover::generational_store;
using tideover::life_aware_store;
using tideover::put_options;

using words = tideover::ttl_cache<std::string, int>;

static_assert(cache_store<words, std::string, int>);
static_assert(cache_store<tideover::ttl_cache<int, std::string, tideover::single_threaded, tideover::never>,
                          int, std::string>);
static_assert(!cache_store<words, std::string, std::string>, "it gives another value");
static_assert(!cache_store<int, std::string, int>);
static_assert(!cache_store<std::map<std::string, int>, std::string, int>);
static_assert(!cache_store<words const, std::string, int>, "a store is written to");

static_assert(life_aware_store<words, std::string>);
static_assert(generational_store<words>);
static_assert(!life_aware_store<int, std::string>);
static_assert(!bulk_readable_store<int, std::string, int> && !generational_store<int>);

/// The least that is a store.
struct plain_store {
  std::optional<int> get(std::string const&) { return {}; }
  bool put(std::string const&, int, put_options const& = {}) { return true; }
  void erase(std::string const&) {}
};
static_assert(cache_store<plain_store, std::string, int>);
static_assert(!bulk_readable_store<plain_store, std::string, int>);
static_assert(!generational_store<plain_store> && !life_aware_store<plain_store, std::string>);

/// All that a store may offer.
struct full_store : plain_store {
  std::vector<std::optional<int>> get_many(std::span<std::string const> keys) {
    return std::vector<std::optional<int>>(keys.size());
  }
  std::uint64_t generation() const { return 0; }
  void new_generation() {}
  std::optional<std::chrono::nanoseconds> remaining_life(std::string const&) const { return {}; }
};
static_assert(cache_store<full_store, std::string, int> && bulk_readable_store<full_store, std::string, int>);
static_assert(generational_store<full_store> && life_aware_store<full_store, std::string>);

/// Bulk reading alone makes no store.
struct reads_only {
  std::vector<std::optional<int>> get_many(std::span<std::string const>);
};
static_assert(!bulk_readable_store<reads_only, std::string, int>);

struct without_ttl {
  std::optional<int> get(std::string const&);
  bool put(std::string const&, int);
  void erase(std::string const&);
};
static_assert(!cache_store<without_ttl, std::string, int>);

struct silent_put : plain_store {
  void put(std::string const&, int, put_options const& = {}) {}  // does not say whether it stored
};
static_assert(!cache_store<silent_put, std::string, int>);

struct pointer_get : plain_store {
  int const* get(std::string const&) { return nullptr; }
};
static_assert(!cache_store<pointer_get, std::string, int>);

/// Code that knows the concept and nothing else.
template <cache_store<std::string, int> Store>
std::optional<int> round_trip(Store& store) {
  if (!store.put("k", 1)) return std::nullopt;
  if (!store.put("k", 2, put_options{.ttl = 1s})) return std::nullopt;
  return store.get("k");
}

}  // namespace

TEST_CASE("cache_store: a ttl_cache behind the concept", "[core]") {
  tideover::manual_clock clock;
  tideover::ttl_cache<std::string, int, tideover::manual_clock> cache({.ttl = 60s}, clock);
  CHECK(round_trip(cache) == 2);
  CHECK(cache.remaining_life("k") == 1s);
  clock.advance(1s);
  CHECK_FALSE(cache.get("k"));
  CHECK_FALSE(cache.remaining_life("k"));
}
