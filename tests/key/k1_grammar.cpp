// SPDX-License-Identifier: BSL-1.0
#include "key/common.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

TEST_CASE("K1: the examples of the documentation", "[K1]") {
  CHECK(cache_key("user").segment(123).segment("profile").version(2).str() == "user:123:profile:v2");
  CHECK(cache_key("q").param("b", 2).param("a", 1).version(1).str() == "q:a=1:b=2:v1");
  constexpr tideover::key_schema<"q", "b", "a"> q{.version = 1};
  CHECK(q(2, 1).str() == "q:a=1:b=2:v1");
  CHECK(cache_key("shop").tag("acme").generation(17).segment("user").str() == "{acme}:shop@17:user:v1");
}

TEST_CASE("K1: the parts stand in their places whatever the order of the calls", "[K1]") {
  std::string const expected = "{t}:n@3:s1:s2:a=1:b=2:v9";
  CHECK(cache_key("n")
            .tag("t")
            .generation(3)
            .segment("s1")
            .segment("s2")
            .param("a", 1)
            .param("b", 2)
            .version(9)
            .str() == expected);
  CHECK(cache_key("n")
            .version(9)
            .param("b", 2)
            .segment("s1")
            .param("a", 1)
            .segment("s2")
            .generation(3)
            .tag("t")
            .str() == expected);
  CHECK(cache_key("n")
            .generation(3)
            .param("b", 2)
            .param("a", 1)
            .version(9)
            .segment("s1")
            .tag("t")
            .segment("s2")
            .str() == expected);
  CHECK(cache_key("n").segment("s2").segment("s1").str() == "n:s2:s1:v1");
}

TEST_CASE("K1: a key can be read after every step", "[K1]") {
  cache_key key("n");
  CHECK(key.view() == "n:v1");
  key.param("b", 2);
  CHECK(key.view() == "n:b=2:v1");
  key.segment("s");
  CHECK(key.view() == "n:s:b=2:v1");
  key.version(12);
  CHECK(key.view() == "n:s:b=2:v12");
  key.param("a", 1);
  CHECK(key.view() == "n:s:a=1:b=2:v12");
  key.version(3);
  CHECK(key.view() == "n:s:a=1:b=2:v3");
  key.tag("t");
  CHECK(key.view() == "{t}:n:s:a=1:b=2:v3");
  key.generation(0);
  CHECK(key.view() == "{t}:n@0:s:a=1:b=2:v3");
  CHECK(key.name_space() == "n");
  CHECK(key.size() == key.view().size());
  CHECK(key.str() == key.view());
  CHECK(static_cast<std::string>(key) == key.view());
}

TEST_CASE("K1: a namespace is 1 to 64 bytes of A-Z a-z 0-9 _ . -", "[K1]") {
  std::string every;
  for (int c = 0; c < 256; ++c) {
    std::string const text(1, static_cast<char>(c));
    bool const good = is_plain(text[0]);
    CHECK(refusal([&] { cache_key key(text); }).empty() == good);
    CHECK(refusal([&] { cache_key key("a" + text); }).empty() == good);
    if (good) {
      every += text;
      CHECK(cache_key(text).view() == text + ":v1");
    }
  }
  CHECK(every.size() == 65);
  std::string const longest = every.substr(0, 64);
  CHECK(cache_key(longest).view() == longest + ":v1");
  CHECK(cache_key(longest).name_space() == longest);
  std::string const too_long(65, 'n');
  CHECK(says(refusal([&] { cache_key key(too_long); }), too_long));
  CHECK(says(refusal([&] { cache_key key(too_long); }), "1 to 64 bytes"));
  CHECK(says(refusal([] { cache_key key(""); }), "namespace"));
  CHECK_FALSE(cache_key::try_make("a:b"));
  CHECK_FALSE(cache_key::try_make(""));
  CHECK(cache_key::try_make("a.b-c_D9")->view() == "a.b-c_D9:v1");
  CHECK_THROWS_AS(cache_key(std::string(100'000, ':')), tideover::error);
}

TEST_CASE("K1: names are sorted as unsigned bytes, as they were given and not as they are escaped", "[K1]") {
  // ':' is escaped as %3A, and '%' sorts before every letter and digit: the order of the texts in the key
  // differs from the order of the names.
  CHECK(cache_key("n").param(":", 1).param("0", 2).param("a", 3).str() == "n:0=2:%3A=1:a=3:v1");
  CHECK(cache_key("n").param("\xff", 1).param("z", 2).param("\x7f", 3).param("A", 4).param("", 5).str() ==
        "n:=5:A=4:z=2:%7F=3:%FF=1:v1");
  CHECK(cache_key("n").param("aa", 1).param("a", 2).param("a:", 3).param("a-", 4).param("a\0"sv, 5).str() ==
        "n:a=2:a%00=5:a-=4:a%3A=3:aa=1:v1");
  CHECK(cache_key("n").param("%", 1).param("%25", 2).param("%3A", 3).param("$", 4).param("&", 5).str() ==
        "n:%24=4:%25=1:%2525=2:%253A=3:%26=5:v1");
}

TEST_CASE("K1: any names in any order make one text", "[K1]") {
  std::vector<std::string> names;
  for (int c = 0; c < 256; ++c) names.push_back(std::string(1, static_cast<char>(c)));
  for (char const* const more : {"", "aa", "ab", "a:", "a%", "a\xff", "\xff\xff", "=", "==", "a=", "=a"}) {
    if (std::find(names.begin(), names.end(), more) == names.end()) names.push_back(more);
  }
  key_model model;
  for (std::string const& name : names) model.params[name] = tree::of("x");
  std::string const expected = model.full();
  using long_key = tideover::basic_cache_key<size_digest>;
  long_key ascending("n"), descending("n");
  for (auto const& [name, value] : model.params) ascending.param(name, value.text);
  for (auto p = model.params.rbegin(); p != model.params.rend(); ++p)
    descending.param(p->first, p->second.text);
  CHECK(ascending.digested());
  CHECK(ascending == descending);
  CHECK(ascending.view() == descending.view());
  for (std::size_t i = 0; i < names.size(); ++i) {
    for (std::size_t j = 0; j < names.size(); ++j) {
      if (i == j) continue;
      key_model pair;
      pair.params[names[i]] = tree::of("i");
      pair.params[names[j]] = tree::of("j");
      if (cache_key("n").param(names[i], "i").param(names[j], "j").view() != pair.full()) {
        FAIL_CHECK("wrong order: " << pair.full());
      }
    }
  }
}

TEST_CASE("K1: a name given twice is an error, and changes nothing", "[K1]") {
  // A name in a message stands as it would in a key: no byte of it can end or break the line.
  for (auto const& [name, shown] :
       {std::pair("a"sv, "a"sv), std::pair(""sv, ""sv), std::pair(":"sv, "%3A"sv),
        std::pair("%3A"sv, "%253A"sv), std::pair("a\0b"sv, "a%00b"sv), std::pair("\xff\n"sv, "%FF%0A"sv)}) {
    cache_key key("n");
    key.param("m", 0).param(name, 1).param("zz", 2);
    observed const before(key);
    auto const twice = name;
    std::string const said = refusal([&] { key.param(twice, 1); });
    CHECK(says(said, "given twice"));
    CHECK(says(said, std::string("(\"").append(shown).append("\")")));
    CHECK_THROWS_AS(key.param(name, 2), tideover::error);
    CHECK_THROWS_AS(key.secret(name, 2, size_digest()), tideover::error);
    CHECK_FALSE(key.try_param(name, 1));
    CHECK(observed(key) == before);
  }
  cache_key key("n");
  key.param("aa", 1).param("a", 1).param("aaa", 1);  // prefixes are other names
  CHECK(key.view() == "n:a=1:aa=1:aaa=1:v1");
  key.segment("a").segment("a");  // and segments may be the same
  CHECK(key.view() == "n:a:a:a=1:aa=1:aaa=1:v1");
}

TEST_CASE("K1: a name given twice is seen in a digested key too", "[K1]") {
  cache_key key("n");
  key.param("text", std::string(300, 'x'));
  REQUIRE(key.digested());
  observed const before(key);
  CHECK(says(refusal([&] { key.param("text", 1); }), "given twice"));
  CHECK(observed(key) == before);
}

TEST_CASE("K1: the version is 1 unless told, and the last call counts", "[K1]") {
  CHECK(cache_key("n").view() == "n:v1");
  CHECK(cache_key("n").version(0).view() == "n:v0");
  CHECK(cache_key("n").version(7).version(12345).version(6).view() == "n:v6");
  CHECK(cache_key("n").segment("v2").version(3).view() == "n:v2:v3");
  CHECK(cache_key("n").version(std::numeric_limits<std::uint64_t>::max()).view() ==
        "n:v18446744073709551615");
  CHECK(cache_key("n").version(std::numeric_limits<std::int64_t>::max()).view() == "n:v9223372036854775807");
  cache_key key("n");
  key.param("a", 1);
  observed const before(key);
  CHECK(says(refusal([&] { key.version(-1); }), "-1"));
  CHECK(
      says(refusal([&] { key.version(std::numeric_limits<std::int64_t>::min()); }), "-9223372036854775808"));
  CHECK_FALSE(key.try_version(-1));
  CHECK(observed(key) == before);
}

TEST_CASE("K1: a generation is given once and not negative", "[K1]") {
  CHECK(cache_key("n").generation(0).view() == "n@0:v1");
  CHECK(cache_key("n").generation(std::numeric_limits<std::uint64_t>::max()).view() ==
        "n@18446744073709551615:v1");
  cache_key key("n");
  CHECK(says(refusal([&] { key.generation(-5); }), "-5"));
  CHECK(key.view() == "n:v1");
  key.segment("a@b").generation(1);
  observed const before(key);
  CHECK(says(refusal([&] { key.generation(2); }), "given twice"));
  CHECK(says(refusal([&] { key.generation(1); }), "given twice"));
  CHECK_FALSE(key.try_generation(3));
  CHECK(observed(key) == before);
  CHECK(key.view() == "n@1:a%40b:v1");
  CHECK(cache_key("n").tag("a@b").generation(1).view() == "{a%40b}:n@1:v1");
}

TEST_CASE("K1: a schema makes the builder's keys", "[K1]") {
  constexpr tideover::key_schema<"none"> none{.version = 3};
  CHECK(none().view() == "none:v3");
  constexpr tideover::key_schema<"n", ":", "0", "a", "\xff", "A", ""> names{};
  CHECK(names(1, "x:y", 0.5, nullptr, true, std::vector{1, 2}).view() == cache_key("n")
                                                                             .param(":", 1)
                                                                             .param("0", "x:y")
                                                                             .param("a", 0.5)
                                                                             .param("\xff", nullptr)
                                                                             .param("A", true)
                                                                             .param("", std::vector{1, 2})
                                                                             .view());
  CHECK(names(1, "x:y", 0.5, nullptr, true, std::vector{1, 2}).view() ==
        "n:=(1,2,):0=x%3Ay:%3A=1:A=true:a=0.5:%FF=~:v1");
  constexpr tideover::key_schema<"n", "a\0b", "a"> zero{};
  CHECK(zero(1, 2).view() == "n:a=2:a%00b=1:v1");

  tideover::key_schema<"q", "b", "a"> const versioned{.version = 18446744073709551615u};
  cache_key const made = versioned(2, 1);
  cache_key const built = cache_key("q").version(18446744073709551615u).param("b", 2).param("a", 1);
  CHECK(made == built);
  CHECK(made.hash() == built.hash());
  CHECK(observed(made) == observed(built));
}

TEST_CASE("K1: a schema's key can be added to", "[K1]") {
  constexpr tideover::key_schema<"q", "b", "d"> q{.version = 4};
  cache_key key = q(2, 4);
  key.param("c", 3).param("e", 5).param("a", 1).segment("s").tag("t").generation(6).version(5);
  CHECK(key.view() == "{t}:q@6:s:a=1:b=2:c=3:d=4:e=5:v5");
  CHECK_THROWS_AS(key.param("b", 0), tideover::error);
  CHECK(q(2, 4).param("c", 3).view() == "q:b=2:c=3:d=4:v4");
}

TEST_CASE("K1: a schema's failures name the parameter", "[K1]") {
  constexpr tideover::key_schema<"q", "b", "a"> q{};
  CHECK(says(refusal([&] { q(std::numeric_limits<double>::infinity(), 1); }), "b"));
  CHECK(says(refusal([&] { q(std::numeric_limits<double>::infinity(), 1); }), "finite"));
  CHECK_FALSE(q.try_key(1, std::numeric_limits<double>::quiet_NaN()));
  CHECK(q.try_key(1, 2)->view() == "q:a=2:b=1:v1");
}

TEST_CASE("K1: a schema holds to the bounds of the length", "[K1]") {
  for (std::size_t const bad :
       {std::size_t(0), std::size_t(95), std::size_t(251), std::size_t(256 + 96), std::size_t(-1)}) {
    tideover::key_schema<"q", "a"> const q{.version = 1, .max_length = bad};
    CHECK(says(refusal([&] { q(1); }), "max_length"));
    CHECK_FALSE(q.try_key(1));
  }
  tideover::key_schema<"q", "a"> const q{.version = 1, .max_length = 96};
  std::string const fits(96 - std::string_view("q:a=:v1").size(), 'x');
  CHECK(q(fits).view() == "q:a=" + fits + ":v1");
  CHECK(q(fits + 'x').digested());
  CHECK(q(fits + 'x') == cache_key("q", {.max_length = 96}).param("a", fits + 'x'));
}

TEST_CASE("K1: verbs on a temporary return a key of its own", "[K1]") {
  static_assert(std::is_same_v<decltype(cache_key("a").segment(1)), cache_key>);
  static_assert(std::is_same_v<decltype(cache_key("a").param("b", 1)), cache_key>);
  static_assert(std::is_same_v<decltype(cache_key("a").tag("b")), cache_key>);
  static_assert(std::is_same_v<decltype(cache_key("a").version(1)), cache_key>);
  static_assert(std::is_same_v<decltype(std::declval<cache_key&>().segment(1)), cache_key&>);
  static_assert(std::is_nothrow_move_constructible_v<cache_key> &&
                std::is_nothrow_move_assignable_v<cache_key>);
  auto const& key = cache_key("a").segment(1).param("b", 2).tag("t").generation(1).version(3).segment({1, 2});
  CHECK(key.view() == "{t}:a@1:1:(1,2,):b=2:v3");
}

TEST_CASE("K1: the try verbs say no, and the others do the same work", "[K1]") {
  cache_key key("n");
  CHECK(key.try_segment(1));
  CHECK(key.try_param("a", "x"));
  CHECK(key.try_secret("s", "x", size_digest()));
  CHECK(key.try_tag("t"));
  CHECK(key.try_generation(1));
  CHECK(key.try_version(2));
  CHECK(key == cache_key("n")
                   .segment(1)
                   .param("a", "x")
                   .secret("s", "x", size_digest())
                   .tag("t")
                   .generation(1)
                   .version(2));
  tideover::result<void> const no = key.try_param("a", "y");
  REQUIRE_FALSE(no);
  CHECK(no.error().code == tideover::errc::invalid_argument);
}
