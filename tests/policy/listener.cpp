// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/event_log.hpp"

#include <tideover/policy/listener.hpp>

#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace {

using tideover::cache_listener;
using tideover::listen_by;
using tideover::removal_cause;
using tideover::silent;

static_assert(cache_listener<silent, int, int> && std::is_empty_v<silent>);
static_assert(cache_listener<tideover_test::event_log<int, std::string>, int, std::string>);
static_assert(!cache_listener<tideover_test::event_log<int, std::string>, int, void*>);
struct deaf {
  using policy_axis = tideover::axis::listener;
};
struct homeless {
  void on_removal(int, int, removal_cause) {}
};
static_assert(!cache_listener<deaf, int, int> && !cache_listener<homeless, int, int>);

struct takes_three {
  void operator()(int, std::string const&, removal_cause) const {}
};
static_assert(cache_listener<listen_by<takes_three>, int, std::string> &&
              std::is_empty_v<listen_by<takes_three>>);
static_assert(!cache_listener<listen_by<takes_three>, std::string, int>);
static_assert(std::is_default_constructible_v<listen_by<takes_three>>);

static_assert(to_string(removal_cause::expired) == std::string_view("expired"), "it is constexpr");

}  // namespace

TEST_CASE("removal_cause: each has its own word", "[policy]") {
  CHECK(to_string(removal_cause::expired) == std::string_view("expired"));
  CHECK(to_string(removal_cause::evicted) == std::string_view("evicted"));
  CHECK(to_string(removal_cause::replaced) == std::string_view("replaced"));
  CHECK(to_string(removal_cause::erased) == std::string_view("erased"));
  CHECK(to_string(removal_cause::cleared) == std::string_view("cleared"));
  CHECK(to_string(static_cast<removal_cause>(99)) == std::string_view("unknown"));
}

TEST_CASE("listen_by: the function hears key, value and cause", "[policy]") {
  std::vector<std::string> heard;
  listen_by listener([&](int key, std::string const& value, removal_cause cause) {
    heard.push_back(std::to_string(key) + value + to_string(cause));
  });
  listener.on_removal(1, std::string("a"), removal_cause::evicted);
  auto copy = listener;
  copy.on_removal(2, std::string("b"), removal_cause::cleared);
  CHECK(heard == std::vector<std::string>{"1aevicted", "2bcleared"});
  static_assert(!std::is_default_constructible_v<decltype(listener)>);
}

TEST_CASE("listen_by: a function may change its state, and what it throws comes out", "[policy]") {
  listen_by counting([n = 0](int expected, int, removal_cause) mutable {
    if (++n != expected) throw n;
  });
  counting.on_removal(1, 0, removal_cause::erased);
  counting.on_removal(2, 0, removal_cause::erased);
  CHECK_THROWS_AS(counting.on_removal(2, 0, removal_cause::erased), int);
}

TEST_CASE("silent: nobody is told", "[policy]") {
  CHECK_NOTHROW(silent().on_removal(1, 2, removal_cause::erased));
  static_assert(noexcept(silent().on_removal(1, 2, removal_cause::erased)));
}
