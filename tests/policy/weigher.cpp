// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <tideover/policy/weigher.hpp>

#include <cstddef>
#include <limits>
#include <string>
#include <type_traits>

namespace {

using tideover::count;
using tideover::weigh_by;
using tideover::weigher_policy;

struct lengths {
  std::size_t operator()(std::string const& key, std::string const& value) const {
    return key.size() + value.size();
  }
};
struct doubles {
  int operator()(int, int) const { return 2; }
};

static_assert(weigher_policy<count, int, int> && weigher_policy<count, std::string, void*>);
static_assert(weigher_policy<weigh_by<lengths>, std::string, std::string>);
static_assert(!weigher_policy<weigh_by<lengths>, int, int>, "it takes no int");
static_assert(weigher_policy<weigh_by<doubles>, int, int>, "any integer is a weight");
static_assert(!weigher_policy<lengths, std::string, std::string>, "a policy names its axis");
static_assert(!count::weighs && weigh_by<lengths>::weighs);
static_assert(count{}(1, 2) == 1 && count{}("a", "bcd") == 1);
static_assert(std::is_empty_v<count> && std::is_empty_v<weigh_by<lengths>>);
static_assert(std::is_default_constructible_v<weigh_by<lengths>>);

}  // namespace

TEST_CASE("weigh_by: it asks the function, with key and value in this order", "[policy]") {
  CHECK(weigh_by<lengths>()(std::string("ab"), std::string("cde")) == 5);
  weigh_by const by_value([](int key, std::size_t value) { return key < 0 ? std::size_t{0} : value; });
  CHECK(by_value(1, std::size_t{7}) == 7);
  CHECK(by_value(-1, std::size_t{7}) == 0);
  CHECK(by_value(1, std::numeric_limits<std::size_t>::max()) == std::numeric_limits<std::size_t>::max());
  static_assert(!std::is_default_constructible_v<weigh_by<std::size_t (*)(int, int)>> ||
                std::is_default_constructible_v<std::size_t (*)(int, int)>);
}

TEST_CASE("weigh_by: a function with state keeps it, and what it throws passes through", "[policy]") {
  std::size_t unit = 3;
  weigh_by const scaled([unit](int, int value) { return unit * std::size_t(value); });
  auto const copy = scaled;
  CHECK(copy(0, 5) == 15);
  static_assert(!std::is_default_constructible_v<decltype(scaled)>, "a capture has no default");
  weigh_by const grumpy([](int, int) -> std::size_t { throw 7; });
  CHECK_THROWS_AS(grumpy(1, 1), int);
}
