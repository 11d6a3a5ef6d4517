// SPDX-License-Identifier: BSL-1.0
#include "key/common.hpp"
#include "key/random_model.hpp"
#include "support/environment.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace user {

struct point {
  int x, y;
};
std::pair<int, int> to_key(point const& p) { return {p.x, p.y}; }

enum class colour { red, green };
std::string_view to_key(colour c) { return c == colour::red ? "red" : "green"; }

/// `to_key` may return what has a `to_key` again.
struct line {
  point from, to;
};
std::vector<point> to_key(line const& l) { return {l.from, l.to}; }

/// Text by itself, but `to_key` is asked first.
struct name {
  std::string text;
  operator std::string_view() const { return text; }
};
std::string to_key(name const& n) { return "the " + n.text; }

/// Converts to text, and has no `to_key`.
struct label {
  operator std::string_view() const { return "la:bel"; }
};

struct unknown {};
struct returns_unknown {};
unknown to_key(returns_unknown const&) { return {}; }
struct returns_itself {};
returns_itself to_key(returns_itself const&) { return {}; }
enum plain_enum { plain_zero };

}  // namespace user

namespace {

using tideover::key_value;

static_assert(key_value<int> && key_value<int const&> && key_value<unsigned long long> && key_value<short>);
static_assert(key_value<signed char> && key_value<unsigned char> && key_value<bool> && key_value<char>);
static_assert(key_value<float> && key_value<double>);
static_assert(key_value<std::nullptr_t> && key_value<std::nullopt_t> && key_value<std::optional<int>>);
static_assert(key_value<char const*> && key_value<char[5]> && key_value<std::string_view> &&
              key_value<std::string>);
static_assert(key_value<std::u8string> && key_value<char8_t const*> && key_value<std::u8string_view>);
static_assert(key_value<std::vector<int>> && key_value<std::array<std::string, 3>> &&
              key_value<std::set<std::string>> && key_value<std::map<int, std::string>> &&
              key_value<int[3]> && key_value<std::span<int const>> &&
              key_value<std::vector<std::optional<double>>>);
static_assert(key_value<std::pair<int, std::string>> && key_value<std::tuple<>> &&
              key_value<std::tuple<int, std::tuple<bool>>>);
static_assert(key_value<user::point> && key_value<user::colour> && key_value<user::line> &&
              key_value<user::label> && key_value<std::vector<user::point>> &&
              key_value<std::optional<user::colour>>);

static_assert(!key_value<long double> && !key_value<std::optional<long double>>);
static_assert(!key_value<wchar_t> && !key_value<char8_t> && !key_value<char16_t> && !key_value<char32_t>);
static_assert(!key_value<std::wstring> && !key_value<std::u16string> && !key_value<wchar_t const*> &&
              !key_value<std::u32string_view>);
static_assert(!key_value<int*> && !key_value<void*> && !key_value<int (*)()> && !key_value<unsigned char*> &&
              !key_value<std::unique_ptr<int>> && !key_value<std::shared_ptr<std::string>>);
static_assert(!key_value<std::unordered_set<int>> && !key_value<std::unordered_map<int, int>> &&
              !key_value<std::unordered_multiset<std::string>> &&
              !key_value<std::vector<std::unordered_set<int>>> &&
              !key_value<std::pair<int, std::unordered_set<int>>>);
static_assert(!key_value<user::unknown> && !key_value<user::returns_unknown> &&
              !key_value<user::returns_itself> && !key_value<user::plain_enum> &&
              !key_value<std::vector<user::unknown>> && !key_value<std::tuple<int, user::unknown>>);
static_assert(!key_value<std::filesystem::path>);  // a range of itself
static_assert(!key_value<cache_key>);

/// The value as it stands in a key, and in the other places where values stand.
template <class T>
std::string written(T const& value) {
  cache_key const key = cache_key("n").segment(value);
  std::string const text(key.view().substr(2, key.size() - 5));
  CHECK(cache_key("n").param("a", value).view() == "n:a=" + text + ":v1");
  CHECK(tideover::key_schema<"n", "a">{}(value).view() == "n:a=" + text + ":v1");
  CHECK(cache_key("n").segment(std::optional<T>(value)).view() == "n:" + text + ":v1");
  CHECK(cache_key("n").segment(std::tuple<T const&>(value)).view() == "n:(" + text + ",):v1");
  return text;
}

template <class Float>
void compare_float(Float x) {
  std::string const expected = float_text(x);
  cache_key const key = cache_key("n").segment(x);
  std::string const text(key.view().substr(2, key.size() - 5));
  if (text != expected) FAIL_CHECK("is " << text << ", should be " << expected);
}

}  // namespace

TEST_CASE("K3: integers are decimal", "[K3]") {
  CHECK(written(0) == "0");
  CHECK(written(-0) == "0");
  CHECK(written(-7) == "-7");
  CHECK(written(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
  CHECK(written(std::numeric_limits<std::int64_t>::max()) == "9223372036854775807");
  CHECK(written(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
  CHECK(written(static_cast<signed char>(-128)) == "-128");
  CHECK(written(static_cast<unsigned char>(65)) == "65");  // a number; only char is a letter
  CHECK(written(std::uint8_t{0}) == "0");
  CHECK(written(std::numeric_limits<short>::min()) == "-32768");
  CHECK(written('A') == "A");
  CHECK(written('\0') == "%00");
  std::uint64_t power = 1;
  for (int digits = 1; digits < 20; ++digits, power *= 10) {
    CHECK(written(power) == '1' + std::string(static_cast<std::size_t>(digits) - 1, '0'));
    CHECK(written(power - 1) == (digits == 1 ? "0" : std::string(static_cast<std::size_t>(digits) - 1, '9')));
    CHECK(written(-static_cast<std::int64_t>(power >> 1)) ==
          std::to_string(-static_cast<std::int64_t>(power >> 1)));
  }
}

TEST_CASE("K3: true, false and null", "[K3]") {
  CHECK(written(true) == "true");
  CHECK(written(false) == "false");
  CHECK(written(nullptr) == "~");
  CHECK(cache_key("n").segment(std::nullopt).view() == "n:~:v1");
  CHECK(written(std::optional<int>()) == "~");
  CHECK(written(std::optional<int>(3)) == "3");
  CHECK(written(std::optional<bool>(false)) == "false");
  CHECK(written(std::optional<std::string>("")) == "");
  CHECK(written(std::optional<std::string>("~")) == "%7E");
  CHECK(written(std::optional<std::vector<int>>()) == "~");
  char const* const nothing = nullptr;  // no text at all: a mistake, not a null
  CHECK(says(refusal([&] { cache_key("n").segment(nothing); }), "null"));
}

TEST_CASE("K3: texts of all kinds", "[K3]") {
  CHECK(written(std::string("a b")) == "a%20b");
  CHECK(written("literal"sv) == "literal");
  char const* const c = "C text";
  CHECK(written(c) == "C%20text");
  char writable[] = "an array";
  CHECK(cache_key("n").segment(writable).view() == "n:an%20array:v1");
  char* const pointer = writable;
  CHECK(cache_key("n").segment(pointer).view() == "n:an%20array:v1");
  char const unended[] = {'a', ':', 'c'};  // no NUL: it ends where it ends
  CHECK(cache_key("n").segment(unended).param("p", unended).view() == "n:a%3Ac:p=a%3Ac:v1");
  char const ended[] = {'a', '\0', 'c'};
  CHECK(cache_key("n").segment(ended).view() == "n:a:v1");
  CHECK(cache_key("n").segment("a\0c"sv).view() == "n:a%00c:v1");
  CHECK(cache_key("n").segment("").view() == "n::v1");
  CHECK(written(""sv) == "");
  CHECK(written(std::string_view()) == "");
  CHECK(written(u8"\u20ac"s) == "%E2%82%AC");
  CHECK(cache_key("n").segment(u8"\u20ac").view() == "n:%E2%82%AC:v1");
  CHECK(written(std::u8string_view(u8"x")) == "x");
  CHECK(written(user::label()) == "la%3Abel");
}

TEST_CASE("K3: lists", "[K3]") {
  CHECK(written(std::vector<int>{}) == "()");
  CHECK(written(std::vector<int>{1}) == "(1,)");
  CHECK(written(std::vector<std::string>{""}) == "(,)");
  CHECK(written(std::vector<std::string>{"", ""}) == "(,,)");
  CHECK(written(std::vector<std::string>{"x", "y,z"}) == "(x,y%2Cz,)");
  CHECK(written(std::vector<std::optional<int>>{1, std::nullopt}) == "(1,~,)");
  CHECK(written(std::vector<std::vector<int>>{}) == "()");
  CHECK(written(std::vector<std::vector<int>>{{}}) == "((),)");
  CHECK(written(std::vector<std::vector<int>>{{1, 2}, {}, {3}}) == "((1,2,),(),(3,),)");
  CHECK(written(std::vector<bool>{true, false}) == "(true,false,)");
  CHECK(written(std::array<double, 2>{0.5, 1e21}) == "(0.5,1e21,)");
  CHECK(written(std::set<std::string>{"b", "a"}) == "(a,b,)");
  CHECK(written(std::map<std::string, int>{{"b", 2}, {"a", 1}}) == "((a,1,),(b,2,),)");
  CHECK(written(std::deque<char>{'a', ':'}) == "(a,%3A,)");
  CHECK(written(std::list<int>{3, 1, 2}) == "(3,1,2,)");
  CHECK(written(std::forward_list<int>{3}) == "(3,)");
  int const numbers[] = {1, 2, 3};
  CHECK(cache_key("n").segment(numbers).view() == "n:(1,2,3,):v1");
  CHECK(written(std::span<int const>(numbers, 2)) == "(1,2,)");
  CHECK(cache_key("n").segment({1, 2}).view() == "n:(1,2,):v1");
  CHECK(cache_key("n").segment({"a", "b"}).param("p", {true}).view() == "n:(a,b,):p=(true,):v1");
  cache_key key("n");
  key.segment({1}).param("p", {'c'});
  CHECK(key.view() == "n:(1,):p=(c,):v1");
  // A list of one is not its item, and no list is a text.
  CHECK(written(std::string("(1,)")) == "%281%2C%29");
}

TEST_CASE("K3: pairs and tuples", "[K3]") {
  CHECK(written(std::pair(1, "a b"s)) == "(1,a%20b,)");
  CHECK(written(std::tuple<>()) == "()");
  CHECK(written(std::tuple(1)) == "(1,)");
  CHECK(written(std::tuple(1, std::tuple(true, std::nullopt), "x"s)) == "(1,(true,~,),x,)");
}

TEST_CASE("K3: any type with a to_key", "[K3]") {
  CHECK(written(user::point{1, -2}) == "(1,-2,)");
  CHECK(written(user::colour::red) == "red");
  CHECK(written(user::line{{1, 2}, {3, 4}}) == "((1,2,),(3,4,),)");
  CHECK(written(user::name{"cat"}) == "the%20cat");
  CHECK(written(std::vector<user::colour>{user::colour::green}) == "(green,)");
  CHECK(written(std::optional<user::point>()) == "~");
  CHECK(written(std::map<int, user::colour>{{1, user::colour::red}}) == "((1,red,),)");
}

TEST_CASE("K3: floats: the layouts", "[K3]") {
  CHECK(written(0.0) == "0");
  CHECK(written(-0.0) == "0");
  CHECK(written(-0.0f) == "0");
  CHECK(written(1.0) == "1");
  CHECK(written(-23.55) == "-23.55");
  CHECK(written(0.1) == "0.1");
  CHECK(written(0.1f) == "0.1");
  CHECK(written(1e16) == "10000000000000000");
  CHECK(written(1e20) == "100000000000000000000");
  CHECK(written(123456789012345680000.0) == "123456789012345680000");
  CHECK(written(999999999999999900000.0) == "999999999999999900000");
  CHECK(written(1e21) == "1e21");
  CHECK(written(1.5e21) == "1.5e21");
  CHECK(written(-1.25e300) == "-1.25e300");
  CHECK(written(1e-6) == "0.000001");
  CHECK(written(1.5e-6) == "0.0000015");
  CHECK(written(1e-7) == "1e-7");
  CHECK(written(9.999e-7) == "9.999e-7");
  CHECK(written(-1.5e-7) == "-1.5e-7");
  CHECK(written(5e-324) == "5e-324");
  CHECK(written(123456789.125) == "123456789.125");
  CHECK(written(9007199254740992.0) == "9007199254740992");
  CHECK(written(std::numeric_limits<double>::max()) == "1.7976931348623157e308");
  CHECK(written(std::numeric_limits<double>::min()) == "2.2250738585072014e-308");
  CHECK(written(std::numeric_limits<float>::max()) == "3.4028235e38");
  CHECK(written(std::numeric_limits<float>::denorm_min()) == "1e-45");
  CHECK(written(16777216.0f) == "16777216");
  CHECK(written(1e10f) == "10000000000");
  CHECK(written(5.684341886080802e-14) ==
        "5.684341886080802e-14");  // 2^-44: the nearest 16 digits would not do
}

TEST_CASE("K3: NaN and infinities are refused, wherever they stand", "[K3]") {
  for (double const bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                           -std::numeric_limits<double>::infinity()}) {
    cache_key key("n");
    key.segment(1);
    observed const before(key);
    CHECK(says(refusal([&] { key.segment(bad); }), "cache_key.segment"));
    CHECK(says(refusal([&] { key.segment(bad); }), "finite"));
    CHECK(says(refusal([&] { key.param("width", bad); }), "width"));
    CHECK(says(refusal([&] { key.tag(bad); }), "tag"));
    CHECK(says(refusal([&] { key.secret("s", bad, size_digest()); }), "finite"));
    CHECK(says(refusal([&] { key.segment(static_cast<float>(bad)); }), "finite"));
    CHECK(says(refusal([&] { key.segment(std::vector{1.0, bad, 2.0}); }), "finite"));
    CHECK(says(refusal([&] { key.segment(std::tuple("x", std::optional(bad))); }), "finite"));
    CHECK_FALSE(key.try_segment(bad));
    CHECK_FALSE(key.try_param("width", bad));
    CHECK(observed(key) == before);
  }
}

TEST_CASE("K3: the fewest digits that read back, against a search", "[K3]") {
  for (int e = -1074; e <= 1023; ++e) {
    double const x = std::ldexp(1.0, e);
    compare_float(x);
    compare_float(std::nextafter(x, 0.0));
    compare_float(-std::nextafter(x, std::numeric_limits<double>::infinity()));
    if (e >= -149 && e <= 127) {
      float const f = std::ldexp(1.0f, e);
      compare_float(f);
      compare_float(std::nextafter(f, 0.0f));
    }
  }
  for (int e = -30; e <= 30; ++e) {
    double const x = std::strtod(("1e" + std::to_string(e)).c_str(), nullptr);
    for (double const y : {x, std::nextafter(x, 0.0), std::nextafter(x, 1e300), x * 3, x / 3, x * 1.5})
      compare_float(y);
    compare_float(static_cast<float>(x));
  }
  random_numbers random(run_seed());
  for (int i = 0; i < 20'000; ++i) {
    auto const x = std::bit_cast<double>(random.next());
    if (std::isfinite(x)) compare_float(x);
    auto const f = std::bit_cast<float>(static_cast<std::uint32_t>(random.next()));
    if (std::isfinite(f)) compare_float(f);
    // And numbers as people use them: few digits.
    double const decimal =
        static_cast<double>(random.below(10'000'000)) / std::pow(10.0, static_cast<double>(random.below(12)));
    compare_float(decimal);
    compare_float(static_cast<float>(decimal));
  }
}
