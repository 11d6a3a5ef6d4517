// SPDX-License-Identifier: BSL-1.0
#include "key/common.hpp"
#include "key/random_model.hpp"
#include "support/environment.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

constexpr tideover::cache_key_options old_form{.seed_compatible = true};

/// As the guide's function writes it.
std::string guide(key_model const& model) {
  std::string out = model.name_space;
  for (tree const& value : model.segments) out += ':' + value.text;
  for (auto const& [name, value] : model.params) out += ':' + name + ':' + value.text;
  return out + model.suffix();
}

}  // namespace

TEST_CASE("K8: keys as the original guide wrote them", "[K8]") {
  CHECK(cache_key("user", old_form).param("id", 123).version(2).view() == "user:id:123:v2");
  CHECK(cache_key("q", old_form).param("b", 2).param("a", 1).view() == "q:a:1:b:2:v1");
  CHECK(cache_key("user", old_form).view() == "user:v1");
  CHECK(cache_key("user", old_form).segment(123).segment("profile").version(2).view() ==
        "user:123:profile:v2");
  CHECK(cache_key("n", old_form).param("a b", "x:y %\n").view() == "n:a b:x:y %\n:v1");
  CHECK(cache_key("n", old_form).param("a=b", "caf\xc3\xa9=1").view() == "n:a=b:caf\xc3\xa9=1:v1");
  CHECK(cache_key("n", old_form).param("", "").view() == "n:::v1");
  CHECK(cache_key("n", old_form).param("f", 0.5).param("t", true).view() == "n:f:0.5:t:true:v1");
}

TEST_CASE("K8: it can be read and built on at any time", "[K8]") {
  cache_key key("n", old_form);
  key.param("b", "=");
  CHECK(key.view() == "n:b:=:v1");
  key.version(22);
  CHECK(key.view() == "n:b:=:v22");
  key.param("a", "%41");
  CHECK(key.view() == "n:a:%41:b:=:v22");
  key.segment("s:");
  CHECK(key.view() == "n:s::a:%41:b:=:v22");
  key.generation(3);
  CHECK(key.view() == "n@3:s::a:%41:b:=:v22");
  CHECK_THROWS_AS(key.param("a", 1), tideover::error);
  CHECK_FALSE(key.digested());
  CHECK(key.check() == 0);
  CHECK(key.name_space() == "n");
  CHECK(key.stored() == key);
  CHECK(key.stored().view() == key.view());
  CHECK(cache_key(key).stored().hash() == key.hash());
  CHECK(key.log_text().starts_with("n#"));
}

TEST_CASE("K8: injective for values without ':', and only for those", "[K8]") {
  model_maker make(run_seed() + 8, 8);
  std::unordered_map<std::string, std::string> made;
  std::size_t collisions = 0, seen = 0;
  for (int i = 0; i < 50'000; ++i) {
    key_model model;
    model.version = 1 + make.random().below(2);
    // The number of segments and parameters is the program's, for it is one kind of key.
    for (std::string_view const name : {"a", "b"}) {
      std::string value = make.text();
      std::erase(value, ':');
      model.params[std::string(name)] = tree::of(value);
    }
    cache_key const key = key_of(model, old_form);
    if (key.view() != guide(model)) FAIL_CHECK(key.view());
    auto const [at, fresh] = made.try_emplace(key.str(), model.identity());
    if (!fresh && at->second != model.identity()) ++collisions;
    seen += fresh ? 1 : 0;
  }
  CHECK(collisions == 0);
  CHECK(seen > 1000);
  CHECK(cache_key("n", old_form).param("a", "1:b:2").view() ==
        cache_key("n", old_form).param("a", 1).param("b", 2).view());
}

TEST_CASE("K8: too long a key is digested, as in the other form", "[K8]") {
  std::string const value(180, ':');  // 540 bytes when escaped, 180 as it is
  cache_key const fits = cache_key("n", old_form).param("a", value);
  CHECK(fits.view() == "n:a:" + value + ":v1");
  CHECK_FALSE(fits.digested());
  std::string const longest(200 - std::string_view("n:a::v1").size(), ' ');
  CHECK(cache_key("n", old_form).param("a", longest).view() == "n:a:" + longest + ":v1");
  cache_key const digested = cache_key("n", old_form).param("a", longest + ' ');
  CHECK(digested.digested());
  CHECK(digested.check() != 0);
  key_model model;
  model.params["a"] = tree::of(longest + ' ');
  CHECK(digested.view() == "n:~h" + xxh3_digits(model.full()) + ":v1");
  CHECK(digested.stored() == digested);
  cache_key grown = digested;
  grown.version(2);
  CHECK(grown.view() == "n:~h" + xxh3_digits(model.full().substr(0, model.full().size() - 1) + '2') + ":v2");
}

TEST_CASE("K8: copies and moves keep the form", "[K8]") {
  cache_key key("n", old_form);
  key.param("a", std::string(60, ':'));
  cache_key copy = key;
  cache_key moved = std::move(key);
  CHECK(copy == moved);
  copy.param("b", "=");
  moved.param("b", "=");
  CHECK(copy.view() == "n:a:" + std::string(60, ':') + ":b:=:v1");
  CHECK(moved.view() == copy.view());
  key = cache_key("n");
  key = copy;
  CHECK(key.param("c", "%").view().ends_with(":b:=:c:%:v1"));
}

TEST_CASE("K8: off unless asked for", "[K8]") {
  CHECK_FALSE(tideover::cache_key_options{}.seed_compatible);
  CHECK(cache_key("n").param("a", "x:y").view() == "n:a=x%3Ay:v1");
}
