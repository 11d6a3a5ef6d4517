// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/hashes.hpp"

#include <tideover/policy/hashing.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace {

using tideover::hash_by;
using tideover::hashing_policy;
using tideover::seeded_hash;

enum class colour : std::uint8_t { red, green };

struct point {
  int x, y;
  bool operator==(point const&) const = default;
};
struct hash_of_point {
  std::size_t operator()(point p) const { return std::size_t(p.x) * 31 + std::size_t(p.y); }
};
/// A string that is one by conversion only.
struct name {
  std::string text;
  operator std::string_view() const noexcept { return text; }
};

static_assert(hashing_policy<seeded_hash, int> && hashing_policy<seeded_hash, std::string>);
static_assert(hashing_policy<seeded_hash, colour> && hashing_policy<seeded_hash, void*>);
static_assert(hashing_policy<hash_by<hash_of_point>, point> &&
              !hashing_policy<hash_by<hash_of_point>, std::string>);
static_assert(!hashing_policy<std::hash<int>, int>, "a policy names its axis");

// What is looked up as it is: the key's own type, and text by text.
template <class Key, class K>
constexpr bool accepts = seeded_hash::accepts<Key, K>;
static_assert(accepts<int, int> && !accepts<int, long> && !accepts<int, std::string>);
static_assert(accepts<std::string, std::string_view> && accepts<std::string, char const*>);
static_assert(accepts<std::string, char[6]> && accepts<std::string_view, std::string> &&
              !accepts<std::string, name>);
static_assert(!accepts<std::string, int> && !accepts<std::string, std::u8string>);

using opaque = hash_by<std::hash<std::string>>;
using half_transparent = hash_by<tideover_test::transparent_hash, std::equal_to<std::string>>;
using transparent = hash_by<tideover_test::transparent_hash, std::equal_to<>>;
static_assert(opaque::accepts<std::string, std::string> && !opaque::accepts<std::string, std::string_view>);
static_assert(!half_transparent::accepts<std::string, std::string_view>, "the equality must say so too");
static_assert(transparent::accepts<std::string, std::string_view> &&
              transparent::accepts<std::string, char const*>);

static_assert(std::is_empty_v<hash_by<hash_of_point>>, "a hash without state takes no byte");

struct keyed_hash {
  explicit keyed_hash(std::size_t k) : key(k) {}
  std::size_t operator()(int i) const { return key ^ std::size_t(i); }
  std::size_t key;
};
static_assert(hashing_policy<hash_by<keyed_hash>, int> &&
              std::is_default_constructible_v<hash_by<hash_of_point>>);
static_assert(!std::is_default_constructible_v<hash_by<keyed_hash>>,
              "an object must be passed, and it is said so");

}  // namespace

TEST_CASE("seeded_hash: text hashes and compares alike in all its types", "[policy]") {
  seeded_hash const hash;
  for (std::string const& s :
       {std::string(), std::string("a"), std::string("tide"), std::string("tide over"),
        std::string("sixteen letters!"), std::string(33, 'x'), std::string(100, 'y')}) {
    CAPTURE(s);
    std::uint64_t const expected = hash(s);
    CHECK(hash(std::string_view(s)) == expected);
    CHECK(hash(s.c_str()) == expected);
    CHECK(hash(const_cast<char*>(s.c_str())) == expected);
    CHECK(seeded_hash::equal(s, std::string_view(s)));
    CHECK(seeded_hash::equal(s.c_str(), std::string(s).c_str()));
    CHECK_FALSE(seeded_hash::equal(s + "!", s.c_str()));
  }
  CHECK(hash("tide") == hash(std::string("tide")));  // an array of five, of which the last does not count
}

TEST_CASE("seeded_hash: text is read by its length, from wherever it lies", "[policy]") {
  seeded_hash const hash(1);
  std::string const with_zero("a\0b", 3);
  CHECK(hash(with_zero) != hash(std::string("a")));
  CHECK_FALSE(seeded_hash::equal(with_zero, std::string("a")));
  std::string buffer(200, '.');
  for (std::size_t length = 0; length < 100; ++length) {
    std::string const text(length, 'q');
    for (std::size_t offset = 0; offset < 16; ++offset) {  // unaligned, and with other neighbours
      buffer.assign(200, static_cast<char>('a' + offset));
      buffer.replace(offset, length, text);
      if (hash(std::string_view(buffer).substr(offset, length)) != hash(text))
        FAIL(length << " at " << offset);
    }
  }
  SUCCEED();
}

TEST_CASE("seeded_hash: one seed one hash, another seed another", "[policy]") {
  seeded_hash const a(1), again(1), b(2);
  auto const compare = [&](auto const& key) {
    CHECK(a(key) == again(key));
    CHECK(a(key) != b(key));
  };
  compare(0);
  compare(-1);
  compare(std::uint64_t{1} << 63);
  compare(colour::green);
  compare(1.5);
  compare(&a);
  compare(std::string());
  compare(std::string("tide"));
  compare(std::string(50, 'x'));
}

TEST_CASE("seeded_hash: close seeds share nothing, and each object without one draws its own", "[policy]") {
  std::set<std::uint64_t> of_zero, of_empty, of_text;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    seeded_hash const hash(seed);
    of_zero.insert(hash(0));
    of_empty.insert(hash(std::string_view()));
    of_text.insert(hash("tide"));
  }
  CHECK(of_zero.size() == 1000);
  CHECK(of_empty.size() == 1000);
  CHECK(of_text.size() == 1000);

  std::set<std::uint64_t> drawn;
  for (int i = 0; i < 100; ++i) drawn.insert(seeded_hash()(42));
  CHECK(drawn.size() == 100);
  seeded_hash const original;
  seeded_hash const copy = original;
  CHECK(copy(42) == original(42));
}

TEST_CASE("seeded_hash: equal numbers hash alike, whatever wrote them", "[policy]") {
  seeded_hash const hash(3);
  CHECK(hash(0.0) == hash(-0.0));  // equal, so they must
  CHECK(hash(std::int32_t{-5}) == hash(std::int64_t{-5}));
  CHECK(hash(true) == hash(1));
  CHECK(hash(colour::green) == hash(1));
}

TEST_CASE("hash_by: the user's hash and equality decide", "[policy]") {
  hash_by<hash_of_point> const hash;
  CHECK(hash(point{1, 2}) == hash(point{1, 2}));
  CHECK(hash(point{1, 2}) != hash(point{2, 1}));
  CHECK(hash(point{1, 0}) == hash(point{0, 31}));  // its own collisions stay
  CHECK(hash.equal(point{1, 2}, point{1, 2}));
  CHECK_FALSE(hash.equal(point{1, 0}, point{0, 31}));

  auto const by_length = [](std::string_view s) { return s.size(); };
  auto const same_length = [](std::string_view a, std::string_view b) { return a.size() == b.size(); };
  hash_by const lengths(by_length, same_length);
  CHECK(lengths("ab") == lengths("xy"));
  CHECK(lengths.equal("ab", "xy"));
  CHECK_FALSE(lengths.equal("ab", "xyz"));
}

TEST_CASE("hash_by: a transparent pair finds text by text", "[policy]") {
  transparent const hash;
  CHECK(hash(std::string("tide")) == hash(std::string_view("tide")));
  CHECK(hash(std::string("tide")) == hash("tide"));
  CHECK(hash.equal(std::string("tide"), std::string_view("tide")));
}

TEST_CASE("hash_by: a small hash of the user's is mixed into all 64 bits", "[policy]") {
  struct identity {
    std::size_t operator()(std::uint64_t x) const { return x; }
  };
  hash_by<identity> const hash;
  std::uint64_t ever_set = 0;
  std::uint64_t ever_clear = 0;
  for (std::uint64_t i = 0; i < 64; ++i) {
    ever_set |= hash(i);
    ever_clear |= ~hash(i);
  }
  CHECK(ever_set == ~std::uint64_t{0});
  CHECK(ever_clear == ~std::uint64_t{0});
}
