// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <tideover/tideover.hpp>

#include <chrono>
#include <string>

namespace {

using namespace std::chrono_literals;

struct http_connection {
  std::string host;
  std::string get(std::string const& path) const { return host + path; }
};
struct http_factory {
  using connection = http_connection;
  connection connect(std::string const& host, tideover::deadline const&) { return {host}; }
};
struct target {
  std::string host() const { return "example.org"; }
  std::string path() const { return "/a"; }
};

}  // namespace

TEST_CASE("P29: what a user types") {
  tideover::keyed_pool<std::string, http_factory> hosts(http_factory{}, tideover::presets::keyed_pool::http);
  target const url;
  {
    auto held = hosts.acquire("example.org");
    CHECK(held->get("/") == "example.org/");
  }
  CHECK(hosts.with(url.host(), [&](http_connection& c) { return c.get(url.path()); }) == "example.org/a");
  tideover::result<tideover::lease<http_connection>> r = hosts.try_acquire_for("example.org", 100ms);
  REQUIRE(r);
  r->discard();
  CHECK(!hosts.try_acquire("example.org"));
  CHECK(hosts.invalidate(url.host()));
  hosts.tick();
  CHECK(hosts.stats("example.org").created == 1);
  CHECK(hosts.stats().all.started == 4);
  CHECK(hosts.close(10s) == 0);
}

TEST_CASE("P29: the preset of one pool fits the pool of each key") {
  tideover::keyed_pool<std::string, http_factory> hosts(
      http_factory{}, {.each = tideover::presets::pool::http, .max_total = 100});
  CHECK(hosts.current_options() == tideover::presets::keyed_pool::http);
}
