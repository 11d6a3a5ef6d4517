// SPDX-License-Identifier: BSL-1.0
#include "key/common.hpp"

#include <tideover/fmt.hpp>

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace with_fmt {

struct version {
  int major, minor;
};
struct both {};
std::string to_key(both const&) { return "to_key"; }
struct neither {};
struct thrower {};

}  // namespace with_fmt

template <>
struct fmt::formatter<with_fmt::version> : fmt::formatter<std::string> {
  template <class Context>
  auto format(with_fmt::version const& v, Context& context) const {
    return fmt::formatter<std::string>::format(fmt::format("{}.{}:x", v.major, v.minor), context);
  }
};
template <>
struct fmt::formatter<with_fmt::both> : fmt::formatter<std::string> {
  template <class Context>
  auto format(with_fmt::both const&, Context& context) const {
    return fmt::formatter<std::string>::format("fmt", context);
  }
};
template <>
struct fmt::formatter<with_fmt::thrower> : fmt::formatter<std::string> {
  template <class Context>
  auto format(with_fmt::thrower const&, Context& context) const -> decltype(context.out()) {
    throw fmt::format_error("no text");
  }
};

using tideover::key_value;

static_assert(key_value<with_fmt::version> && key_value<std::vector<with_fmt::version>>);
static_assert(!key_value<with_fmt::neither>);
// What is no value without fmt because its text would differ from run to run is none with it.
static_assert(!key_value<void*> && !key_value<void const*> && !key_value<long double> &&
              !key_value<std::optional<long double>>);
static_assert(!key_value<std::unordered_set<int>> && !key_value<std::unordered_map<int, int>> &&
              !key_value<std::vector<std::unordered_set<int>>>);
static_assert(!key_value<cache_key> && !key_value<std::vector<cache_key>>);

TEST_CASE("K3: what fmt can format stands in a key, escaped", "[K3]") {
  CHECK(cache_key("n").segment(with_fmt::version{1, 20}).view() == "n:1.20%3Ax:v1");
  CHECK(cache_key("n").param("v", std::vector{with_fmt::version{1, 2}}).view() == "n:v=(1.2%3Ax,):v1");
  CHECK(cache_key("n").segment(std::optional<with_fmt::version>()).view() == "n:~:v1");
}

TEST_CASE("K3: fmt is asked last", "[K3]") {
  CHECK(cache_key("n").segment(with_fmt::both()).view() == "n:to_key:v1");
  CHECK(cache_key("n").segment(1e16).view() == "n:10000000000000000:v1");
  CHECK(cache_key("n").segment(std::vector{1, 2}).view() == "n:(1,2,):v1");
  CHECK(cache_key("n").segment(std::pair(true, 'c')).view() == "n:(true,c,):v1");
}

TEST_CASE("K3: what a formatter throws passes through, and the key is as it was", "[K3]") {
  cache_key key("n");
  key.segment("a");
  observed const before(key);
  CHECK_THROWS_AS(key.segment(with_fmt::thrower()), fmt::format_error);
  CHECK_THROWS_AS(key.param("p", with_fmt::thrower()), fmt::format_error);
  CHECK(observed(key) == before);
}

TEST_CASE("K6: a key that is logged through fmt shows its namespace and a hash", "[K6]") {
  cache_key const key = cache_key("user").segment("a@b.com");
  CHECK(fmt::format("{}", key) == key.log_text());
  CHECK(fmt::format("{:>40}", key).size() == 40);
  CHECK(fmt::format("{}", key).find("b.com") == std::string::npos);
}
