// SPDX-License-Identifier: BSL-1.0
#include "breaker/common.hpp"

#include <tideover/breaker_registry.hpp>

namespace {
using hosts = tideover::breaker_registry<std::string, manual_clock>;
breaker_options const touchy{.failure_threshold = 1, .recovery_timeout = 30s};
}  // namespace

TEST_CASE("registry: one host's troubles are no other's, and each breaker has its key for a name") {
  manual_clock clock;
  hosts all(touchy, clock);
  CHECK_THROWS_AS(all.call("a", []() -> int { throw backend_down(); }), backend_down);
  CHECK(all.try_call("a", [] { return 1; }).code() == errc::circuit_open);
  CHECK(all.call("b", [] { return 1; }) == 1);
  CHECK(all.call(
            "a", [] { return 1; }, [](std::error_code) { return 2; }) == 2);
  CHECK(all.at("a")->name() == "a");
  CHECK(all.at("a") == all.at("a"));
  CHECK(all.size() == 2);
  std::size_t open = 0;
  all.for_each(
      [&](std::string const&, auto const& b) { open += b->state() == breaker_state::open ? 1u : 0u; });
  CHECK(open == 1);
  CHECK(all.erase("a"));
  CHECK(!all.erase("a"));
  CHECK(all.call("a", [] { return 3; }) == 3);
}

TEST_CASE("registry: bounded; idle breakers are forgotten; what was handed out goes on") {
  manual_clock clock;
  hosts all(touchy, {.capacity = 3, .idle_ttl = 10min}, clock);
  for (char const* host : {"a", "b", "c", "d", "e"}) all.at(host);
  CHECK(all.size() == 3);
  auto const old = all.at("e");
  CHECK(!all.try_call("e", []() -> int { throw backend_down(); }));
  CHECK(old->state() == breaker_state::open);
  clock.advance(10min);
  all.maintain();
  CHECK(all.size() == 0);
  CHECK(old->state() == breaker_state::open);
  CHECK(!(all.at("e") == old));
}

TEST_CASE("registry: options by key, a bad one where it is known, policies for all") {
  manual_clock clock;
  breaker_log log;
  tideover::breaker_registry<int, manual_clock, breaker_log> shards(
      [](int const& shard) {
        return breaker_options{.failure_threshold = static_cast<std::uint32_t>(shard)};
      },
      {}, clock, log);
  for (int i = 0; i < 2; ++i) CHECK(!shards.try_call(2, [] { throw 1; }));
  CHECK(shards.at(2)->state() == breaker_state::open);
  CHECK(shards.at(3)->state() == breaker_state::closed);
  CHECK(log.events().size() == 1);
  CHECK_THROWS_AS(shards.at(0), tideover::error);
  CHECK_THROWS_AS(hosts(breaker_options{.probes = 0}, clock), tideover::error);
}

TEST_CASE("bad options of a registry are refused under their own name") {
  using Catch::Matchers::Contains;
  using tideover::breaker_registry_options;
  CHECK_THROWS_WITH(hosts({}, breaker_registry_options{.capacity = 0}, manual_clock()),
                    Contains("breaker_registry_options.capacity is 0; it must be between 1 and 4000000000"));
  CHECK_THROWS_WITH(hosts({}, breaker_registry_options{.idle_ttl = 0s}, manual_clock()),
                    Contains("breaker_registry_options.idle_ttl is 0 ns; it must be above 0 ns"));
}
