// SPDX-License-Identifier: BSL-1.0
#include "key/common.hpp"
#include "support/allocation_counter.hpp"

#include <tideover/policy/clock.hpp>
#include <tideover/policy/expiry/per_entry.hpp>
#include <tideover/policy/hashing.hpp>
#include <tideover/ttl_cache.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

using namespace std::chrono_literals;

namespace {

/// All long keys have one digest, and so one text and one hash.
struct one_digest {
  using policy_axis = tideover::axis::digest;
  tideover::digest128 operator()(std::string_view) const noexcept { return {}; }
};
using constant_key = tideover::basic_cache_key<one_digest>;

template <class Key>
using cache_of = tideover::ttl_cache<Key, int, tideover::manual_clock>;

tideover::ttl_cache_options small() {
  tideover::ttl_cache_options options;
  options.capacity = 100;
  return options;
}

/// The sizes around the ends of the inline buffer and of small strings.
constexpr std::size_t sizes[] = {0, 1, 10, 14, 15, 16, 60, 114, 115, 116, 150, 195};

}  // namespace

TEST_CASE("a cache of strings is asked by keys, and nothing is allocated for it", "[key][cache]") {
  REQUIRE(allocation_counter::works());
  cache_of<std::string> cache(small());
  for (std::size_t const size : sizes) {
    cache_key const key = cache_key("n").segment(std::string(size, 'x'));
    cache_key const other = cache_key("n").segment(std::string(size, 'y'));
    CHECK(cache.put(key, 1));
    bool inside = false;
    allocation_counter const counter;
    bool const found = cache.get(key) == 1 && cache.peek(key) == 1 && cache.contains(key) &&
                       cache.visit(key, [&](int const& v) { inside = v == 1; }) &&
                       cache.get(key.view()) == 1 && cache.get_or_compute(key, [] { return 2; }) == 1 &&
                       (size == 0 || !cache.get(other)) && cache.erase(key) && !cache.erase(key);
    std::size_t const allocations = counter.allocations();
    CHECK(found);
    CHECK(inside);
    CHECK(allocations == 0);
  }
}

TEST_CASE("a cache of strings keeps the text of the key", "[key][cache]") {
  cache_of<std::string> cache(small());
  {
    cache_key key = cache_key("user").segment(123);
    CHECK(cache.put(key, 1));
    CHECK(cache.put(cache_key("user").segment(124), 2));
    key.segment("gone");
    CHECK(cache.get_or_compute(key, [] { return 3; }) == 3);
    CHECK(cache.get_or_compute(cache_key("user").segment(125), [] { return 4; }) == 4);
  }
  CHECK(cache.get("user:123:v1") == 1);
  CHECK(cache.get(std::string("user:124:v1")) == 2);
  CHECK(cache.get("user:123:gone:v1"sv) == 3);
  CHECK(cache.get("user:125:v1"sv) == 4);
  cache_key const digested = cache_key("user").segment(std::string(300, 'x'));
  CHECK(cache.put(digested, 5));
  CHECK(cache.get(digested.view()) == 5);
  CHECK(cache.get(digested.stored()) == 5);
}

TEST_CASE("a cache of keys finds them by their text, digested or not", "[key][cache]") {
  cache_of<cache_key> cache(small());
  int n = 0;
  for (std::size_t const size : {0u, 10u, 110u, 120u, 150u, 195u, 196u, 300u, 5000u}) {
    cache_key const key = cache_key("n").segment(std::string(size, 'x'));
    CHECK(cache.put(key, ++n));
    CHECK(cache.get(key) == n);
    CHECK(cache.get(cache_key("n").segment(std::string(size, 'x'))) == n);
    CHECK(cache.get(key.stored()) == n);
    CHECK_FALSE(cache.get(cache_key("n").segment(std::string(size + 1, 'x')).version(2)));
    CHECK(cache.get_or_compute(cache_key("n").segment(std::string(size, 'x')), [] { return -1; }) == n);
    CHECK(cache.put(cache_key("n").segment(std::string(size, 'x')), n));  // replaces
  }
  CHECK(cache.size() == static_cast<std::size_t>(n));
  CHECK(cache.erase(cache_key("n").segment(std::string(5000, 'x'))));
  CHECK(cache.size() == static_cast<std::size_t>(n) - 1);
}

TEST_CASE("looking up a key in a cache of keys allocates nothing", "[key][cache]") {
  REQUIRE(allocation_counter::works());
  cache_of<cache_key> cache(small());
  for (std::size_t const size : {10u, 110u, 150u, 196u, 5000u}) {
    cache_key const key = cache_key("n").segment(std::string(size, 'x'));
    cache.put(key, 7);
    allocation_counter const counter;
    bool const found = cache.get(key) == 7 && cache.contains(key) &&
                       cache.get_or_compute(key, [] { return 2; }) == 7 && cache.erase(key);
    std::size_t const allocations = counter.allocations();
    CHECK(found);
    CHECK(allocations == 0);
  }
}

TEST_CASE("K5: where digests collide, the entry of another key is a miss", "[K5][cache]") {
  cache_of<constant_key> cache(small());
  constant_key const mine = constant_key("n").segment(std::string(300, 'x'));
  constant_key const yours = constant_key("n").segment(std::string(300, 'y'));
  REQUIRE(mine.view() == yours.view());
  REQUIRE(mine.hash() == yours.hash());
  CHECK(cache.put(mine, 1));
  CHECK(cache.get(mine) == 1);
  CHECK_FALSE(cache.get(yours));
  CHECK_FALSE(cache.contains(yours));
  CHECK_FALSE(cache.erase(yours));
  CHECK(cache.get_or_compute(yours, [] { return 2; }) == 2);
  CHECK(cache.get(mine) == 1);
  CHECK(cache.get(yours) == 2);
  CHECK(cache.get(yours.stored()) == 2);
  CHECK(cache.size() == 2);
}

TEST_CASE("K5: a cache keeps keys without their long texts", "[K5][cache]") {
  REQUIRE(allocation_counter::works());
  cache_of<cache_key> cache(small());
  cache_key const key = cache_key("n").segment(std::string(1'000'000, 'x'));
  cache.put(cache_key("warm").segment(1), 1);
  std::size_t kept = 0;
  {
    allocation_counter const counter;
    cache.put(key, 1);
    kept = counter.bytes();
  }
  CHECK(kept < 10'000);
  {
    allocation_counter const counter;
    cache.put(cache_key(key), 2);  // moved from: its text is not kept either, but had to be copied here
    CHECK(counter.bytes() < 1'100'000);
  }
  CHECK(cache.get(key) == 2);
  allocation_counter const counter;
  cache_key const stored = key.stored();
  CHECK(counter.bytes() < 1000);
  CHECK(stored == key);
}

TEST_CASE("keys in the containers of the standard library", "[key][cache]") {
  std::unordered_map<cache_key, int> map;
  map[cache_key("n").segment(1)] = 1;
  map[cache_key("n").segment("1")] += 1;
  map[cache_key("n").segment(std::string(300, 'x'))] = 3;
  CHECK(map.size() == 2);
  CHECK(map.at(cache_key("n").segment(1)) == 2);
  CHECK(map.at(cache_key("n").segment(std::string(300, 'x')).stored()) == 3);
}

TEST_CASE("an up-to-120-byte key is built, copied and read without allocation", "[key]") {
  REQUIRE(allocation_counter::works());
  constexpr tideover::key_schema<"user", "id", "page", "sort"> schema{.version = 2};
  std::string const text(40, ':');  // 120 bytes when escaped
  std::string const fits(120 - std::string_view("n::v1").size(), 'x');
  allocation_counter const counter;
  cache_key key =
      cache_key("shop").tag("acme").generation(17).segment(123).param("b", 0.25).param("a", true).version(3);
  cache_key const copy = key;
  cache_key const made = schema(123, "profile", -7);
  cache_key moved = std::move(key);
  moved = copy;
  bool const same =
      moved == copy && copy.hash() == moved.hash() && made.view() == "user:id=123:page=profile:sort=-7:v2";
  cache_key const longest = cache_key("n").segment(fits);
  cache_key const secret = cache_key("n").secret("s", "value", size_digest());
  std::size_t const allocations = counter.allocations();
  CHECK(same);
  CHECK(longest.size() == 120);
  CHECK(secret.size() < 120);
  CHECK(allocations == 0);
  CHECK(copy.view() == "{acme}:shop@17:123:a=true:b=0.25:v3");
  allocation_counter const longer;
  cache_key const more = cache_key("n").segment(text);
  CHECK(longer.allocations() > 0);  // the counter would have seen it
}

TEST_CASE("a cache of texts whose policies look at the key is given a key of text", "[key]") {
  tideover::per_entry by_key([](std::string const& key, int) { return std::chrono::seconds(key.size()); });
  tideover::ttl_cache<std::string, int, decltype(by_key)> cache({}, by_key);
  CHECK(cache.put(cache_key("n").segment(1), 1));
  CHECK(cache.get("n:1:v1") == 1);
}

namespace {

struct stored_elsewhere {
  int number;
  bool operator==(stored_elsewhere const&) const = default;
  stored_elsewhere stored() const { return {number + 1000}; }
};
struct by_number {
  using is_transparent = void;
  std::size_t operator()(stored_elsewhere const& key) const { return static_cast<std::size_t>(key.number); }
};

}  // namespace

TEST_CASE("what another type of key means by stored() is its own affair", "[key]") {
  tideover::ttl_cache<stored_elsewhere, int, tideover::hash_by<by_number>> cache({});
  cache.put(stored_elsewhere{1}, 7);
  CHECK(cache.get(stored_elsewhere{1}) == 7);
}
