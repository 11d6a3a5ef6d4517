// SPDX-License-Identifier: BSL-1.0
#include "key/common.hpp"
#include "key/random_model.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

/// One digest for all texts, so that the check alone tells long keys apart.
struct one_digest {
  using policy_axis = tideover::axis::digest;
  tideover::digest128 operator()(std::string_view) const noexcept { return {}; }
};

/// Remembers what it was given; copies share it.
struct listening_digest {
  using policy_axis = tideover::axis::digest;
  std::vector<std::string>* heard;
  tideover::digest128 operator()(std::string_view text) const {
    heard->emplace_back(text);
    return size_digest()(text);
  }
};

using constant_key = tideover::basic_cache_key<one_digest>;
using sized_key = tideover::basic_cache_key<size_digest>;

/// A segment that makes the key `n:...:v1` exactly `size` bytes long.
std::string filling(std::size_t size) { return std::string(size - std::string_view("n::v1").size(), 'x'); }

}  // namespace

TEST_CASE("K5: above 200 bytes a digest stands for the key", "[K5]") {
  cache_key const whole = cache_key("n").segment(filling(200));
  CHECK(whole.size() == 200);
  CHECK(whole.view() == "n:" + filling(200) + ":v1");
  CHECK_FALSE(whole.digested());
  CHECK(whole.check() == 0);

  cache_key const digested = cache_key("n").segment(filling(201));
  std::string const full = "n:" + filling(201) + ":v1";
  REQUIRE(full.size() == 201);
  CHECK(digested.digested());
  CHECK(digested.check() != 0);
  CHECK(digested.view() == "n:~h" + xxh3_digits(full) + ":v1");
  CHECK(digested.name_space() == "n");
  CHECK(decode(digested.view()).digest == xxh3_digits(full));
}

TEST_CASE("K5: at every length and every bound, with every head", "[K5]") {
  key_model head;
  head.name_space = "name.space";
  head.tag = tree::of("t:g");
  head.generation = 12;
  head.version = 345;
  for (std::size_t const max_length : {std::size_t(96), std::size_t(97), std::size_t(120), std::size_t(121),
                                       std::size_t(200), std::size_t(249), std::size_t(250)}) {
    for (std::size_t size = 0; size < 260; ++size) {
      key_model model = size % 2 == 0 ? head : key_model();
      (size % 3 == 0 ? model.params["p"] : model.segments.emplace_back()) = tree::of(std::string(size, 'x'));
      cache_key const key = key_of(model, {.max_length = max_length});
      bool const longer = model.full().size() > max_length;
      if (key.view() != model.text(xxh3_digits, max_length) || key.digested() != longer ||
          (key.check() != 0) != longer || key.size() > 250 || key.name_space() != model.name_space) {
        FAIL_CHECK(max_length << " bytes: " << key.view());
      }
    }
  }
}

TEST_CASE("K5: the digest is of the whole key, version and head included", "[K5]") {
  std::vector<std::string> heard;
  using key_type = tideover::basic_cache_key<listening_digest>;
  key_type key("n", {}, listening_digest{&heard});
  key.segment(filling(200));
  CHECK(heard.empty());
  key.version(10);
  CHECK(heard == std::vector{"n:" + filling(200) + ":v10"});
  key.tag("t").param("p", 1);
  CHECK(heard.back() == "{t}:n:" + filling(200) + ":p=1:v10");
  key_type const copy = key;
  CHECK(copy.view() == key.view());
}

TEST_CASE("K5: a long key can be built on, and may be short again", "[K5]") {
  cache_key key("n");
  key.segment(filling(199)).version(12);
  CHECK(key.size() == 200);
  key.version(123);
  CHECK(key.digested());
  key.version(1);
  CHECK(key.view() == "n:" + filling(199) + ":v1");
  CHECK_FALSE(key.digested());
  CHECK(key.check() == 0);
  CHECK(key == cache_key("n").segment(filling(199)));
  CHECK(key.hash() == cache_key("n").segment(filling(199)).hash());

  key_model model;
  model.segments = {tree::of(std::string(250, ':'))};
  cache_key built("n");
  built.segment(std::string(250, ':'));
  auto const check = [&] {
    CHECK(built.view() == model.text(xxh3_digits));
    CHECK(built.digested());
    CHECK(built.name_space() == "n");
  };
  check();
  built.version(77), model.version = 77, check();
  built.param("b", "x"), model.params["b"] = tree::of("x"), check();
  built.param("a", std::string(1000, '%')), model.params["a"] = tree::of(std::string(1000, '%')), check();
  built.segment(""), model.segments.push_back(tree::of("")), check();
  built.generation(5), model.generation = 5, check();
  built.tag("t"), model.tag = tree::of("t"), check();
  built.segment(std::string(100'000, 'z')), model.segments.push_back(tree::of(std::string(100'000, 'z'))),
      check();
  built.version(1), model.version = 1, check();
}

TEST_CASE("K5: the longest head and version fit into 250 bytes", "[K5]") {
  cache_key key(std::string(64, 'n'));
  key.tag(std::string(100, 't')).generation(std::numeric_limits<std::uint64_t>::max());
  key.version(std::numeric_limits<std::uint64_t>::max()).segment("s");
  key_model model;
  model.name_space = std::string(64, 'n');
  model.tag = tree::of(std::string(100, 't'));
  model.generation = model.version = std::numeric_limits<std::uint64_t>::max();
  model.segments = {tree::of("s")};
  CHECK(key.view() == model.text(xxh3_digits));
  CHECK(key.size() == 188 + 35 + 22);
  CHECK(decode(key.view()).tag == model.tag);
  CHECK(key.name_space() == model.name_space);
}

TEST_CASE("K5: max_length is 96 to 250, and the error says so", "[K5]") {
  CHECK(tideover::cache_key_options{}.max_length == 200);
  for (std::size_t const bad :
       {std::size_t(0), std::size_t(1), std::size_t(95), std::size_t(251), std::size_t(256),
        std::size_t(256 + 96), std::size_t(65536 + 200), std::numeric_limits<std::size_t>::max()}) {
    std::string const said = refusal([&] { cache_key key("n", {.max_length = bad}); });
    CHECK(says(said, "max_length"));
    CHECK(says(said, std::to_string(bad)));
    CHECK(says(said, "between 96 and 250"));
    CHECK_FALSE(cache_key::try_make("n", {.max_length = bad}));
  }
  CHECK(cache_key("n", {.max_length = 96}).view() == "n:v1");
  CHECK(cache_key("n", {.max_length = 250}).view() == "n:v1");
}

TEST_CASE("K5: two digested keys are equal only if their whole texts are", "[K5]") {
  constant_key const a = constant_key("n").segment(filling(300));
  constant_key const b = constant_key("n").segment(filling(301));
  constant_key const c = constant_key("n").segment(filling(300));
  REQUIRE(a.digested());
  REQUIRE(a.view() == b.view());
  CHECK(a == c);
  CHECK(a.check() == c.check());
  CHECK(a.hash() == c.hash());
  CHECK(std::is_eq(a <=> c));
  CHECK(a != b);
  CHECK(a.check() != b.check());
  CHECK(std::is_neq(a <=> b));
  CHECK(((a < b) != (b < a)));
  CHECK(a.stored() != b.stored());
  CHECK(a.stored() == a);
  CHECK(std::set<constant_key>{a, b, c}.size() == 2);
  std::set<std::uint64_t> checks;
  for (std::size_t size = 250; size < 1250; ++size)
    checks.insert(constant_key("n").segment(filling(size)).check());
  CHECK(checks.size() == 1000);
}

TEST_CASE("K5: one byte anywhere changes digest and check", "[K5]") {
  std::string const text = filling(400);
  cache_key const original = cache_key("n").segment(text);
  std::set<std::string> texts{original.str()};
  std::set<std::uint64_t> checks{original.check()};
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = 'y';
    cache_key const key = cache_key("n").segment(changed);
    texts.insert(key.str());
    checks.insert(key.check());
  }
  CHECK(texts.size() == text.size() + 1);
  CHECK(checks.size() == text.size() + 1);
}

TEST_CASE("K5: stored() drops the long text and stays the same key", "[K5]") {
  cache_key const key = cache_key("n").tag("t").generation(3).segment(std::string(5000, 'x')).version(2);
  cache_key stored = key.stored();
  CHECK(stored == key);
  CHECK(std::is_eq(stored <=> key));
  CHECK(observed(stored) == observed(key));
  CHECK(std::hash<cache_key>()(stored) == std::hash<cache_key>()(key));
  CHECK(stored.name_space() == "n");
  CHECK(stored.stored() == key);
  CHECK(cache_key(stored) == key);
  CHECK(cache_key(key).stored() == key);
  CHECK(std::move(cache_key(key)).stored() == key);
  cache_key const built_and_hashed = key;
  built_and_hashed.hash();
  CHECK(built_and_hashed.stored().hash() == key.hash());

  // Nothing can be added to it, as its text is gone; it says so and stays.
  observed const before(stored);
  CHECK(says(refusal([&] { stored.segment(1); }), "whole"));
  CHECK(says(refusal([&] { stored.param("p", 1); }), "whole"));
  CHECK(says(refusal([&] { stored.secret("p", 1, size_digest()); }), "whole"));
  CHECK(says(refusal([&] { stored.version(3); }), "whole"));
  CHECK_FALSE(refusal([&] { stored.tag("u"); }).empty());
  CHECK_FALSE(refusal([&] { stored.generation(4); }).empty());
  CHECK_FALSE(stored.try_segment(1));
  CHECK(observed(stored) == before);

  cache_key const plain = cache_key("n").segment("short").stored();
  CHECK(plain == cache_key("n").segment("short"));
  CHECK(cache_key(plain).segment(2) == cache_key("n").segment("short").segment(2));
}

TEST_CASE("K5: a digest's own failure changes nothing", "[K5]") {
  struct failing {
    using policy_axis = tideover::axis::digest;
    tideover::digest128 operator()(std::string_view) const { throw 42; }
  };
  tideover::basic_cache_key<failing> key("n");
  key.segment(filling(200));
  observed const before(key);
  CHECK_THROWS_AS(key.segment(1), int);
  CHECK_THROWS_AS(key.param("a", 1), int);
  CHECK_THROWS_AS(key.version(10), int);
  CHECK_THROWS_AS(key.tag("t"), int);
  CHECK_THROWS_AS(key.generation(1), int);
  CHECK(observed(key) == before);
  CHECK(key.version(2).view() == "n:" + filling(200) + ":v2");
}

TEST_CASE("K5: a digest of the reader's own", "[K5]") {
  sized_key const key = sized_key("n").segment(filling(256));
  CHECK(key.view() == "n:~h00000000000000000000000000000100:v1");
  using schema = tideover::basic_key_schema<sized_key, "n", "a">;
  CHECK(schema{}(std::string(256 - 7, 'x')).view() == "n:~h00000000000000000000000000000100:v1");
}
