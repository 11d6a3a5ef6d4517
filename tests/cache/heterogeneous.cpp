// SPDX-License-Identifier: BSL-1.0
#include "cache/common.hpp"
#include "support/allocation_counter.hpp"
#include "support/hashes.hpp"

#include <tideover/policy/hashing.hpp>

#include <string>
#include <string_view>

using namespace std::string_view_literals;

namespace {

constexpr std::string_view long_key = "a key of sixty-four characters, which no small string could hold"sv;
static_assert(long_key.size() == 64);

using seeded = tideover::seeded_hash;
using own = tideover::hash_by<transparent_hash, std::equal_to<>>;

}  // namespace

TEMPLATE_TEST_CASE("a lookup by string_view or literal finds a string and makes none", "[lookup]", seeded,
                   own) {
  REQUIRE(allocation_counter::works());
  tideover::ttl_cache<std::string, int, manual_clock, TestType> cache(sized(10));
  cache.put(std::string(long_key), 1);
  char const* const literal = long_key.data();
  bool inside = false;
  allocation_counter const counter;
  bool const found = cache.get(long_key) == 1 && cache.peek(long_key) == 1 && cache.contains(long_key) &&
                     cache.visit(long_key, [&](int const& v) { inside = v == 1; }) &&
                     cache.get(literal) == 1 && cache.get_or_compute(long_key, [] { return 2; }) == 1 &&
                     !cache.get(long_key.substr(1)) && cache.erase(long_key) && !cache.erase(literal);
  std::size_t const allocations = counter.allocations();
  CHECK(found);
  CHECK(inside);
  CHECK(allocations == 0);
}

TEMPLATE_TEST_CASE("a put or a computation by string_view stores a string of its own", "[lookup]", seeded,
                   own) {
  tideover::ttl_cache<std::string, int, manual_clock, TestType> cache(sized(10));
  {
    std::string short_lived(long_key);
    std::string_view const view = short_lived;
    CHECK(cache.put(view, 1));
    CHECK(cache.get_or_compute(view.substr(1), [](std::string const& key) { return int(key.size()); }) == 63);
    short_lived.assign(64, '?');
  }
  CHECK(cache.get(long_key) == 1);
  CHECK(cache.get(long_key.substr(1)) == 63);
  CHECK(cache.put("literal", 3));
  CHECK(cache.get("literal"sv) == 3);
  CHECK(cache.get(std::string("literal")) == 3);
}

TEST_CASE("strings with zeros inside, empty ones and prefixes are different keys", "[lookup]") {
  tideover::ttl_cache<std::string, int> cache(sized(100));
  std::string_view const keys[] = {""sv, "\0"sv, "\0\0"sv, "a"sv, "a\0"sv, "ab"sv, "abc"sv, "a\0c"sv};
  int n = 0;
  for (std::string_view const key : keys) cache.put(key, n++);
  CHECK(cache.size() == std::size(keys));
  n = 0;
  for (std::string_view const key : keys) CHECK(cache.get(key) == n++);
}
