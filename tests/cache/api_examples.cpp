// SPDX-License-Identifier: BSL-1.0
// The calls that the documentation shows, as users type them.
#include <tideover/ttl_cache.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

using namespace std::chrono_literals;

namespace {
struct profile {
  std::string name;
  friend bool operator==(profile const&, profile const&) = default;
};
/// Looks like text, but is more: its own hash and equality decide.
struct user {
  std::string name;
  int tenant = 0;
  operator std::string_view() const { return name; }
  friend bool operator==(user const&, user const&) = default;
};
profile load(std::string_view key) { return {"profile of " + std::string(key)}; }
}  // namespace

template <>
struct std::hash<user> {
  std::size_t operator()(user const& u) const { return std::hash<std::string>{}(u.name); }
};

TEST_CASE("the calls of the documentation compile and do what they say") {
  tideover::ttl_cache<std::string, profile> profiles({.capacity = 10'000, .ttl = 60s});
  profile p{"ada"};
  CHECK(profiles.put("user:1", p));
  CHECK(profiles.put("user:2", profile{"bob"}, tideover::put_options{.ttl = 5s}));
  CHECK(profiles.put("user:3", {"eve"}, {.ttl = 5s}));
  std::optional<profile> hit = profiles.get("user:1");
  CHECK(hit == p);
  CHECK(profiles.get(std::string_view("user:1")) == p);
  std::string seen;
  CHECK(profiles.visit("user:1", [&](profile const& v) { seen = v.name; }));
  CHECK(seen == "ada");
  profile v = profiles.get_or_compute("user:4", [](auto const& key) { return load(key); });
  CHECK(v.name == "profile of user:4");
  CHECK(profiles.peek("user:4") == v);
  CHECK(profiles.contains("user:4"));
  CHECK(profiles.erase("user:4"));
  CHECK(profiles.erase_if(
            [](auto const& k, auto const& value) { return k == "user:1" && value.name == "ada"; }) == 1);
  std::size_t met = 0;
  profiles.for_each([&](auto const&, auto const&) { ++met; });
  CHECK(met == 2);
  CHECK(profiles.size() == 2);
  CHECK(profiles.capacity() == 10'000);
  profiles.set_capacity(5'000);
  CHECK(profiles.capacity() == 5'000);
  CHECK(profiles.stats().erased == 2);
  CHECK(profiles.maintain() == 0);
  profiles.clear();
  CHECK(profiles.size() == 0);
}

TEST_CASE("options in braces are never ambiguous, and one presents itself by name") {
  tideover::ttl_cache<int, int> defaults({});
  CHECK(defaults.capacity() == 10'000);
  CHECK(defaults.configured().ttl == 5min);
  tideover::ttl_cache<int, int>::options preset{.capacity = 7};
  preset.ttl = 1s;
  tideover::ttl_cache<int, int> tuned(preset);
  CHECK(tuned.capacity() == 7);
}

TEST_CASE("policies with state are passed after the options in any order") {
  tideover::manual_clock clock;
  int told = 0;
  tideover::listen_by listen([&](int, int, tideover::removal_cause) { ++told; });
  using cache = tideover::ttl_cache<int, int, decltype(listen), tideover::manual_clock>;
  cache one({.ttl = 1s}, clock, listen);
  cache other({.ttl = 1s}, listen, clock);
  one.put(1, 1);
  other.put(1, 1);
  clock.advance(1s);
  CHECK(!one.get(1));
  CHECK(!other.get(1));
  CHECK(told == 2);
}

TEST_CASE("remaining_life says how long an entry has still to live, and does not use it") {
  tideover::manual_clock clock;
  tideover::ttl_cache<int, int, tideover::after_access, tideover::manual_clock> sessions({.ttl = 10s}, clock);
  sessions.put(1, 1);
  clock.advance(4s);
  CHECK(sessions.remaining_life(1) == std::optional<std::chrono::nanoseconds>(6s));
  CHECK(sessions.remaining_life(2) == std::nullopt);
  clock.advance(6s);
  CHECK(sessions.remaining_life(1) == std::nullopt);
  tideover::ttl_cache<int, int, tideover::never> kept({});
  kept.put(1, 1);
  CHECK(kept.remaining_life(1) == std::chrono::nanoseconds::max());
}

TEST_CASE("a key that the hashing policy does not take as it is becomes a Key") {
  tideover::ttl_cache<std::uint64_t, std::unique_ptr<int>> cache({});
  CHECK(cache.put(1, std::make_unique<int>(7)));  // an int
  CHECK(cache.contains(1));
  CHECK(cache.visit_or_compute(
            2, [] { return std::make_unique<int>(8); }, [](auto const& value) { return *value; }) == 8);
  CHECK(cache.erase(1u));
}

TEST_CASE("compute may return a result, and its failure is the caller's") {
  tideover::ttl_cache<int, int> cache({});
  auto const refuse = [](int) -> tideover::result<int> {
    return tideover::failure{.code = std::make_error_code(std::errc::connection_refused), .retry_after = 3s};
  };
  auto const failed = cache.try_get_or_compute(1, refuse);
  REQUIRE(!failed);
  CHECK(failed.code() == std::errc::connection_refused);
  CHECK(failed.retry_after() == 3s);
  CHECK_THROWS_AS(cache.get_or_compute(1, refuse), tideover::error);
  CHECK(!cache.contains(1));
  CHECK(cache.try_get_or_compute(1, [] { return tideover::result<int>(5); }).value() == 5);
}

TEST_CASE("a key of your own that converts to text is compared by its own equality") {
  tideover::ttl_cache<user, int> cache({});
  cache.put(user{"bob", 1}, 1);
  CHECK(!cache.get(user{"bob", 2}));
  CHECK(cache.get(user{"bob", 1}) == 1);
}

TEST_CASE("a value that is a reference is replaced, not assigned through") {
  int one = 1;
  int two = 2;
  tideover::ttl_cache<int, std::tuple<int&>> cache({});
  cache.put(0, std::tuple<int&>(one));
  cache.put(0, std::tuple<int&>(two));
  CHECK(one == 1);
  CHECK(two == 2);
  CHECK(&std::get<0>(*cache.get(0)) == &two);
}

TEST_CASE("members may be named where functions are expected") {
  tideover::ttl_cache<user, std::string> cache({});
  CHECK(cache.get_or_compute(user{"eve", 3}, &user::name) == "eve");
}

template class tideover::ttl_cache<int, std::unique_ptr<int>>;
template class tideover::ttl_cache<std::string, std::string>;
template class tideover::ttl_cache<std::string, std::string, tideover::tagged, tideover::negative_results>;
