// SPDX-License-Identifier: BSL-1.0
#include "key/common.hpp"

#include <tideover/openssl.hpp>

#include <algorithm>
#include <array>
#include <clocale>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <locale>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

// golden.txt is the grammar in examples: what a key is made of, a tab, and the key. A line that is there must
// never change: keys of this version are in the stores of others. New lines may come.

namespace {

cache_key n() { return cache_key("n"); }

std::string all_bytes(int from, int to) {
  std::string out;
  for (int c = from; c < to; ++c) out += static_cast<char>(c);
  return out;
}

using maker = std::function<std::string()>;

/// How the key of each line is made.
std::vector<std::pair<std::string, maker>> makers() {
  using limits64 = std::numeric_limits<std::int64_t>;
  using limits = std::numeric_limits<double>;
  using limits32 = std::numeric_limits<float>;
  tideover::cache_key_options const old_form{.seed_compatible = true};
  auto const x = [](auto value) { return [value] { return n().segment(value).str(); }; };
  std::vector<std::pair<std::string, maker>> all{
      // The contract's.
      {"user/123,profile/v2", [] { return cache_key("user").segment(123).segment("profile").version(2).str(); }},
      {"user/{id:123}/v2", [] { return cache_key("user").param("id", 123).version(2).str(); }},
      {"q/{b:2,a:1}", [] { return cache_key("q").param("b", 2).param("a", 1).str(); }},
      {"n/{a:'1:b:2'}", [] { return n().param("a", "1:b:2").str(); }},
      {"n/{a:'1',b:'2'}", [] { return n().param("a", "1").param("b", "2").str(); }},
      {"n/'a','1'", [] { return n().segment("a").segment("1").str(); }},
      {"n/'a=1'", [] { return n().segment("a=1").str(); }},
      {"config", [] { return cache_key("config").str(); }},
      {"n/{a:''}", [] { return n().param("a", "").str(); }},
      {"n/{a:null}", [] { return n().param("a", nullptr).str(); }},
      {"n/{a:'~'}", [] { return n().param("a", "~").str(); }},
      {"n/{a:'50%25'}", [] { return n().param("a", "50%25").str(); }},
      {"n/{a:'a b\\n\\0'}", [] { return n().param("a", "a b\n\0"sv).str(); }},
      {"n/{a:cafe, e-acute composed}", [] { return n().param("a", "caf\xc3\xa9").str(); }},
      {"n/{a:cafe, e-acute decomposed}", [] { return n().param("a", "cafe\xcc\x81").str(); }},
      {"g/{x:0.1,y:1e21,z:-0.0,w:-23.55}",
       [] { return cache_key("g").param("x", 0.1).param("y", 1e21).param("z", -0.0).param("w", -23.55).str(); }},
      {"g/{a:1e16,b:1e-6,c:1e-7,d:123456789.125,e:5e-324}",
       [] {
         return cache_key("g").param("a", 1e16).param("b", 1e-6).param("c", 1e-7).param("d", 123456789.125).param("e", 5e-324).str();
       }},
      {"n/{a:[],b:[''],c:['x','y,z']}",
       [] {
         using texts = std::vector<std::string>;
         return n().param("a", texts{}).param("b", texts{""}).param("c", texts{"x", "y,z"}).str();
       }},
      {"n/{f:true,i:-7}", [] { return n().param("f", true).param("i", -7).str(); }},
      {"{acme}/shop.user@17/123/v3",
       [] { return cache_key("shop.user").tag("acme").generation(17).segment(123).version(3).str(); }},
      {"n/'{x}'", x("{x}")},
      {"http/url", [] { return cache_key("http").segment("https://a.b/c?d=1&e=2").str(); }},
      {"n/2^64-1", x(std::numeric_limits<std::uint64_t>::max())},
      // Integers, bool, null, letters.
      {"n/0", x(0)},
      {"n/-1", x(-1)},
      {"n/-2^63", x(limits64::min())},
      {"n/2^63-1", x(limits64::max())},
      {"n/uint8 65", x(std::uint8_t{65})},
      {"n/int8 -128", x(std::int8_t{-128})},
      {"n/char 'A'", x('A')},
      {"n/char ':'", x(':')},
      {"n/true", x(true)},
      {"n/false", x(false)},
      {"n/null", x(nullptr)},
      {"n/no int", x(std::optional<int>())},
      {"n/an int", x(std::optional<int>(7))},
      // Texts.
      {"n/''", x(""s)},
      {"n/'',''", [] { return n().segment("").segment("").str(); }},
      {"n/{'':''}", [] { return n().param("", "").str(); }},
      {"n/bytes 0 to 47", x(all_bytes(0, 48))},
      {"n/bytes 48 to 127", x(all_bytes(48, 128))},
      {"n/bytes 128 to 175", x(all_bytes(128, 176))},
      {"n/bytes 176 to 223", x(all_bytes(176, 224))},
      {"n/bytes 224 to 255", x(all_bytes(224, 256))},
      {"n/u8 euro sign", x(u8"\u20ac"s)},
      {"n/u8 outside of the first plane", x(u8"\U0001F511"s)},
      {"n/'%3A'", x("%3A")},
      {"n/'v1'", x("v1")},
      {"namespace of 64 bytes", [] { return cache_key("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.").str(); }},
      {"namespace -", [] { return cache_key("-").str(); }},
      // Names.
      {"n/{':':1,'0':2,'a':3}", [] { return n().param(":", 1).param("0", 2).param("a", 3).str(); }},
      {"n/{'':1,'a':2,'A':3,'_':4,'z':5,'\\x7f':6,'\\xff':7}",
       [] {
         return n().param("\xff", 7).param("\x7f", 6).param("z", 5).param("_", 4).param("A", 3).param("a", 2).param("", 1).str();
       }},
      {"n/{a:1,aa:2,'a\\0':3,'a=b':4}",
       [] { return n().param("a=b", 4).param("a\0"sv, 3).param("aa", 2).param("a", 1).str(); }},
      {"n/s,t,{b:1,a:2}", [] { return n().param("b", 1).segment("s").param("a", 2).segment("t").str(); }},
      // Lists.
      {"n/[1,2,3]", x(std::vector{1, 2, 3})},
      {"n/[[1,2],[],[3]]", x(std::vector<std::vector<int>>{{1, 2}, {}, {3}})},
      {"n/[[],[[]]]", x(std::tuple<std::tuple<>, std::tuple<std::tuple<>>>())},
      {"n/['(a,)','a),']", x(std::vector<std::string>{"(a,)", "a),"})},
      {"n/(1,'a b',true)", x(std::tuple(1, "a b"s, true))},
      {"n/(null,'~')", x(std::pair(std::nullopt, "~"s))},
      {"n/[no int,7]", x(std::vector<std::optional<int>>{std::nullopt, 7})},
      {"n/[true,false]", x(std::vector<bool>{true, false})},
      {"n/{b:2,a:1} as a map", x(std::map<std::string, int>{{"b", 2}, {"a", 1}})},
      {"n/[0.5,1e21,-0.0]", x(std::vector{0.5, 1e21, -0.0})},
      // Floats.
      {"n/0.0", x(0.0)},
      {"n/-0.0", x(-0.0)},
      {"n/1.0", x(1.0)},
      {"n/-1.5", x(-1.5)},
      {"n/0.1+0.2", x(0.1 + 0.2)},
      {"n/1/3", x(1.0 / 3)},
      {"n/100.0", x(100.0)},
      {"n/1e20", x(1e20)},
      {"n/below 1e21", x(999999999999999868928.0)},
      {"n/1e21", x(1e21)},
      {"n/1.5e21", x(1.5e21)},
      {"n/-1e300", x(-1e300)},
      {"n/1e-6", x(1e-6)},
      {"n/1.5e-6", x(1.5e-6)},
      {"n/1e-7", x(1e-7)},
      {"n/9.5e-7", x(9.5e-7)},
      {"n/1.25e-10", x(1.25e-10)},
      {"n/2^53", x(9007199254740992.0)},
      {"n/2^53+2", x(9007199254740994.0)},
      {"n/2^64", x(18446744073709551616.0)},
      {"n/2^-44", x(5.684341886080802e-14)},
      {"n/largest double", x(limits::max())},
      {"n/smallest normal double", x(limits::min())},
      {"n/largest subnormal double", x(2.225073858507201e-308)},
      {"n/smallest double", x(limits::denorm_min())},
      {"n/9.5367431640625e-7", x(9.5367431640625e-7)},
      {"n/123456789012345678", x(123456789012345678.0)},
      {"n/float 0.1", x(0.1f)},
      {"n/float 1/3", x(1.0f / 3)},
      {"n/float 2^24", x(16777216.0f)},
      {"n/float 1e10", x(1e10f)},
      {"n/float 1e21", x(1e21f)},
      {"n/float 1e-7", x(1e-7f)},
      {"n/largest float", x(limits32::max())},
      {"n/smallest normal float", x(limits32::min())},
      {"n/smallest float", x(limits32::denorm_min())},
      // Tags, generations, versions.
      {"{tag of 100 bytes}/n", [] { return n().tag(std::string(100, 't')).str(); }},
      {"{'a}:{b'}/n", [] { return n().tag("a}:{b").str(); }},
      {"{null}/n", [] { return n().tag(nullptr).str(); }},
      {"{[1,2]}/n", [] { return n().tag(std::vector{1, 2}).str(); }},
      {"n@0/v0", [] { return n().generation(0).version(0).str(); }},
      {"n@(2^64-1)/v(2^64-1)",
       [] {
         auto const most = std::numeric_limits<std::uint64_t>::max();
         return n().generation(most).version(most).str();
       }},
      // Long keys and secrets.
      {"n/193 times x", x(std::string(193, 'x'))},
      {"n/194 times x, 199 bytes", x(std::string(194, 'x'))},
      {"n/195 times x, 200 bytes", x(std::string(195, 'x'))},
      {"n/196 times x, 201 bytes", x(std::string(196, 'x'))},
      {"{t}/n@5/1000 times x/v2",
       [] { return n().tag("t").generation(5).segment(std::string(1000, 'x')).version(2).str(); }},
      {"search/{q:100 times ': ',page:2}/v2",
       [] {
         std::string query;
         for (int i = 0; i < 100; ++i) query += ": ";
         return cache_key("search").param("q", query).param("page", 2).version(2).str();
       }},
      {"n/120 times x, max_length 96",
       [] { return cache_key("n", {.max_length = 96}).segment(std::string(120, 'x')).str(); }},
      {"user/{email:secret 'a@b.com' under 'k'}",
       [] { return cache_key("user").secret("email", "a@b.com", tideover::openssl::hmac_sha256("k")).str(); }},
      {"user/{email:secret '' under 'pepper'}",
       [] { return cache_key("user").secret("email", "", tideover::openssl::hmac_sha256("pepper")).str(); }},
      {"user/{id:secret 123 under 32 times 0xff}",
       [] { return cache_key("user").secret("id", 123, tideover::openssl::hmac_sha256(std::string(32, '\xff'))).str(); }},
      // As the original guide wrote them.
      {"user/{id:123}/v2, old form", [=] { return cache_key("user", old_form).param("id", 123).version(2).str(); }},
      {"n/a b,{'c d':'e=f%'}, old form",
       [=] { return cache_key("n", old_form).segment("a b").param("c d", "e=f%").str(); }},
  };
  return all;
}

std::map<std::string, std::string> golden_lines() {
  INFO("to be run in the folder of the tests or of the project: " << std::filesystem::current_path());
  std::ifstream file("key/golden.txt");
  if (!file.good()) file.open("tests/key/golden.txt");  // from the folder of the project
  REQUIRE(file.good());
  std::map<std::string, std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    std::size_t const tab = line.find('\t');
    REQUIRE(tab != line.npos);
    CHECK(lines.emplace(line.substr(0, tab), line.substr(tab + 1)).second);
  }
  return lines;
}

/// All keys of the file, made now.
std::map<std::string, std::string> made_now() {
  std::map<std::string, std::string> made;
  for (auto const& [what, make] : makers()) CHECK(made.emplace(what, make()).second);
  return made;
}

/// Numbers as nobody should write them into a key.
struct strange_numbers : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\1"; }
  std::string do_truename() const override { return "wahr"; }
  std::string do_falsename() const override { return "falsch"; }
};

std::string printed(double x) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", x);
  return text.data();
}

}  // namespace

TEST_CASE("K7: the golden file", "[K7]") {
  std::map<std::string, std::string> const golden = golden_lines();
  std::map<std::string, std::string> const made = made_now();
  CHECK(golden.size() >= 100);
  for (auto const& [what, text] : made) {
    INFO(what);
    REQUIRE(golden.count(what) == 1);
    CHECK(text == golden.at(what));
  }
  for (auto const& [what, text] : golden) {
    INFO(what << ": " << text);
    CHECK(made.count(what) == 1);
  }
}

TEST_CASE("K7: what the file holds is the grammar", "[K7]") {
  for (auto const& [what, text] : golden_lines()) {
    if (what.find("old form") != what.npos) continue;
    INFO(what << ": " << text);
    CHECK_NOTHROW(decode(text));
  }
}

TEST_CASE("K7: the check of a long key is the same everywhere", "[K7]") {
  // Stores keep it beside the value.
  CHECK(n().segment(std::string(300, 'x')).check() == 9680266059617655083u);
  CHECK(cache_key("user").tag("t").generation(2).param("a", std::string(101, ':')).version(3).check() ==
        9388158489164219635u);
}

TEST_CASE("K7: the same bytes under a locale of C++ with other numbers", "[K7]") {
  std::locale const before = std::locale::global(std::locale(std::locale::classic(), new strange_numbers));
  std::ostringstream stream;
  stream << 1234.5 << std::boolalpha << true;
  std::string const strange = stream.str();
  auto const made = made_now();
  std::locale::global(before);
  CHECK(strange == "1.2.3.4,5wahr");  // the locale is in force
  CHECK(made == golden_lines());
}

TEST_CASE("K7: the same bytes under a German locale of C", "[K7]") {
  char const* const found = std::setlocale(LC_ALL, "de_DE.UTF-8");
  if (found == nullptr) {
    WARN("no locale de_DE.UTF-8 on this machine: not tested");
    CHECK(std::getenv("TIDEOVER_NEED_GERMAN") == nullptr);  // whoever says that there is one must be right
    return;
  }
  std::string const german = printed(1.5);
  auto const made = made_now();
  std::setlocale(LC_ALL, "C");
  CHECK(german == "1,5");  // the locale is in force
  CHECK(printed(1.5) == "1.5");
  CHECK(made == golden_lines());
}
