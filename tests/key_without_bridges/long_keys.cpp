// SPDX-License-Identifier: BSL-1.0
#include "key/decoder.hpp"
#include "key/model.hpp"
#include "support/catch.hpp"

#include <tideover/cache_key.hpp>
#include <tideover/error.hpp>
#include <tideover/ttl_cache.hpp>

#include <string>
#include <string_view>

// A program without bridges: no digest, so that a long key is an error that says what to include.

using namespace tideover_test;
using tideover::cache_key;

namespace {

template <class Action>
std::string refusal(Action action) {
  try {
    action();
  } catch (tideover::error const& e) {
    CHECK(e.code() == tideover::errc::invalid_argument);
    return e.what();
  }
  return {};
}

bool says_what_to_include(std::string const& text) {
  return text.find("tideover/xxhash.hpp") != std::string::npos && text.find("200") != std::string::npos;
}

struct own_digest {
  using policy_axis = tideover::axis::digest;
  tideover::digest128 operator()(std::string_view) const noexcept { return {}; }
};

}  // namespace

TEST_CASE("K5: without a digest a longer key is an error that says so, and changes nothing", "[K5]") {
  CHECK_FALSE(tideover::registered_digest::available());
  std::string const fits(200 - std::string_view("n::v1").size(), 'x');
  cache_key key("n");
  key.segment(fits);
  CHECK(key.size() == 200);
  std::string const before = key.str();
  auto const hash = key.hash();
  CHECK(says_what_to_include(refusal([&] { key.segment(""); })));
  CHECK(says_what_to_include(refusal([&] { key.param("a", 1); })));
  CHECK(says_what_to_include(refusal([&] { key.version(10); })));
  CHECK(says_what_to_include(refusal([&] { key.tag("t"); })));
  CHECK(says_what_to_include(refusal([&] { key.generation(1); })));
  CHECK(refusal([&] { key.segment(std::string(99'996, 'x')); }).find("100197") != std::string::npos);
  CHECK_FALSE(key.try_segment(""));
  CHECK_FALSE(key.try_version(10));
  CHECK(key.view() == before);
  CHECK(key.hash() == hash);
  CHECK_FALSE(key.digested());
  CHECK(key.version(2).view() == "n:" + fits + ":v2");
  constexpr tideover::key_schema<"n", "a"> schema{};
  CHECK(says_what_to_include(refusal([&] { schema(fits); })));
  CHECK_FALSE(schema.try_key(fits));
  CHECK(schema("short").view() == "n:a=short:v1");
}

TEST_CASE("K5: an own digest needs no bridge", "[K5]") {
  using key_type = tideover::basic_cache_key<own_digest>;
  CHECK(key_type("n").segment(std::string(200, 'x')).view() == "n:~h" + std::string(32, '0') + ":v1");
}

TEST_CASE("K6: an own keyed digest needs no bridge", "[K6]") {
  auto const digest = [](std::string_view text) {
    tideover::digest128 made{};
    made[0] = static_cast<unsigned char>(text.size());
    return made;
  };
  CHECK(cache_key("n").secret("a", "x:", digest).view() == "n:a=~p04" + std::string(30, '0') + ":v1");
}

TEST_CASE("K1: short keys need nothing", "[K1]") {
  cache_key const key = cache_key("user").segment(123).param("a", 0.5).tag("t").generation(2);
  CHECK(key.view() == "{t}:user@2:123:a=0.5:v1");
  CHECK(decode(key.view()).segments == std::vector{tree::of("123")});
  tideover::ttl_cache_options options;
  options.capacity = 10;
  tideover::ttl_cache<cache_key, int> cache(options);
  CHECK(cache.put(key, 1));
  CHECK(cache.get(key) == 1);
  CHECK(key.log_text().starts_with("user#"));
}
