// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <tideover/policy/policy.hpp>

#include <memory>
#include <type_traits>

// What must not compile, and the text that it gives, is in tests/compile_fail/policy_*.cpp.

namespace {

namespace axis = tideover::axis;
using tideover::axes;
using tideover::bundle;
using tideover::policy_for;

struct quartz {
  using policy_axis = axis::clock;
};
struct sundial {
  using policy_axis = axis::clock;
};
struct oldest_first {
  using policy_axis = axis::eviction;
};
template <int N>
struct lanes {
  using policy_axis = axis::locking;
};

struct workshop : bundle<quartz, oldest_first> {};
struct garden : bundle<sundial, lanes<4>> {};
struct estate : bundle<workshop, lanes<8>> {};

using component = axes<axis::clock, axis::eviction>;

template <class Axis, class Default, class Expected, class... Given>
constexpr bool chooses = std::is_same_v<policy_for<Axis, Default, Given...>, Expected>;

/// Counts what happens to it on its way into a component.
struct travelled {
  using policy_axis = axis::listener;
  int number = 0;
  int copies = 0;

  travelled() = default;
  explicit travelled(int n) : number(n) {}
  travelled(travelled const& other) : number(other.number), copies(other.copies + 1) {}
  travelled(travelled&&) = default;
};

struct only_moves {
  using policy_axis = axis::executor;
  explicit only_moves(int n) : number(std::make_unique<int>(n)) {}
  std::unique_ptr<int> number;
};

}  // namespace

TEST_CASE("a policy is what names its axis") {
  STATIC_REQUIRE(tideover::policy<quartz>);
  STATIC_REQUIRE(tideover::policy<lanes<3>>);
  STATIC_REQUIRE_FALSE(tideover::policy<int>);
  STATIC_REQUIRE_FALSE(tideover::policy<workshop>);
  STATIC_REQUIRE(tideover::policy_bundle<workshop>);
  STATIC_REQUIRE(tideover::policy_bundle<bundle<>>);
  STATIC_REQUIRE_FALSE(tideover::policy_bundle<quartz>);
}

TEST_CASE("what is not named has the default") {
  STATIC_REQUIRE(chooses<axis::clock, quartz, quartz>);
  STATIC_REQUIRE(chooses<axis::clock, quartz, quartz, oldest_first>);
  STATIC_REQUIRE(chooses<axis::clock, quartz, quartz, oldest_first, bundle<lanes<2>>>);
}

TEST_CASE("a policy given directly is chosen wherever it stands") {
  STATIC_REQUIRE(chooses<axis::clock, quartz, sundial, sundial>);
  STATIC_REQUIRE(chooses<axis::clock, quartz, sundial, sundial, oldest_first>);
  STATIC_REQUIRE(chooses<axis::clock, quartz, sundial, oldest_first, sundial>);
  STATIC_REQUIRE(chooses<axis::locking, void, lanes<64>, quartz, lanes<64>, oldest_first>);
}

TEST_CASE("a bundle beats the default and a policy given directly beats a bundle") {
  STATIC_REQUIRE(chooses<axis::clock, sundial, quartz, workshop>);
  STATIC_REQUIRE(chooses<axis::clock, quartz, sundial, workshop, sundial>);
  STATIC_REQUIRE(chooses<axis::clock, quartz, sundial, sundial, workshop>);
  STATIC_REQUIRE(chooses<axis::eviction, void, oldest_first, sundial, workshop>);
}

TEST_CASE("a bundle in a bundle counts as written out") {
  STATIC_REQUIRE(chooses<axis::clock, void, quartz, estate>);
  STATIC_REQUIRE(chooses<axis::locking, void, lanes<8>, estate>);
  STATIC_REQUIRE(chooses<axis::clock, void, quartz, bundle<bundle<bundle<quartz>>>>);
}

TEST_CASE("bundles that agree on an axis may stand together") {
  STATIC_REQUIRE(chooses<axis::clock, void, quartz, workshop, bundle<quartz>, estate>);
  STATIC_REQUIRE(component::accept<workshop, bundle<quartz>, estate>);
}

TEST_CASE("a component accepts its own axes in any order") {
  STATIC_REQUIRE(component::accept<>);
  STATIC_REQUIRE(component::accept<quartz, oldest_first>);
  STATIC_REQUIRE(component::accept<oldest_first, quartz>);
}

TEST_CASE("a bundle may carry axes that a component does not have") {
  STATIC_REQUIRE(component::accept<garden>);
  STATIC_REQUIRE(axes<axis::backoff>::accept<garden, estate, bundle<>>);
}

TEST_CASE("bundles that disagree are accepted once a policy is given directly") {
  STATIC_REQUIRE(component::accept<workshop, garden, quartz>);
  STATIC_REQUIRE(chooses<axis::clock, void, quartz, workshop, garden, quartz>);
}

TEST_CASE("bundles that disagree on an axis that the component lacks are accepted") {
  STATIC_REQUIRE(component::accept<bundle<lanes<1>>, bundle<lanes<2>>>);
}

TEST_CASE("a component may add an axis of its own") {
  struct colour;
  struct red {
    using policy_axis = colour;
  };
  STATIC_REQUIRE(axes<axis::clock, colour>::accept<red, quartz>);
  STATIC_REQUIRE(chooses<colour, void, red, quartz, red>);
}

TEST_CASE("a policy object is taken from any place among the arguments, else made") {
  using tideover::detail::take_policy;
  CHECK(take_policy<travelled>().number == 0);
  CHECK(take_policy<travelled>(quartz{}, travelled(7), oldest_first{}).number == 7);
  CHECK(take_policy<travelled>(quartz{}, oldest_first{}).number == 0);
}

TEST_CASE("a policy object is moved from a temporary and copied from a variable") {
  using tideover::detail::take_policy;
  travelled const mine(7);
  CHECK(take_policy<travelled>(travelled(7)).copies == 0);
  CHECK(take_policy<travelled>(mine).copies == 1);
  CHECK(*take_policy<only_moves>(quartz{}, only_moves(7)).number == 7);
}

TEST_CASE("an argument is known by its type without reference and const") {
  using tideover::detail::is_one_of;
  STATIC_REQUIRE(is_one_of<quartz const&, sundial, quartz>);
  STATIC_REQUIRE(is_one_of<quartz&&, quartz>);
  STATIC_REQUIRE_FALSE(is_one_of<quartz, sundial>);
  STATIC_REQUIRE_FALSE(is_one_of<quartz>);
}
