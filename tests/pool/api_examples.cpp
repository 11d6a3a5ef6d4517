// SPDX-License-Identifier: BSL-1.0
// The calls that the documentation shows, as users type them.
#include <tideover/connection_pool.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <stop_token>

using namespace std::chrono_literals;

namespace {
struct pg_connection {
  int queries = 0;
  int query(char const*) { return ++queries; }
};
struct pg_factory {  // models tideover::connection_factory
  using connection = pg_connection;
  connection connect(tideover::deadline) { return {}; }           // may throw
  bool healthy(connection&, tideover::deadline) { return true; }  // optional: a ping
  void reset(connection& c) { c.queries = 0; }                    // optional: before it is idle again
};
static_assert(tideover::connection_factory<pg_factory>);
}  // namespace

TEST_CASE("the calls of the documentation compile and do what they say") {
  tideover::connection_pool<pg_factory> pool(pg_factory{}, {.min_size = 2,
                                                            .max_size = 10,
                                                            .acquire_timeout = 5s,
                                                            .max_idle_time = 300s,
                                                            .max_lifetime = 30min,
                                                            .lifetime_jitter = 0.1,
                                                            .health_check_interval = 30s,
                                                            .validate_after_idle = 1s,
                                                            .max_connecting = 2});
  {
    auto held = pool.acquire();
    held->query("select 1");
  }  // it returns by itself
  tideover::result<tideover::lease<pg_connection>> r = pool.try_acquire_for(100ms);
  CHECK(r->get()->queries == 0);
  CHECK(pool.acquire_n(3).size() == 3);
  auto held = pool.acquire();
  held.discard();  // broken: destroyed, not returned
  CHECK(pool.with([](pg_connection& c) { return c.query("select 2"); }) == 1);
  std::stop_token const stop;  // of the request that wants it
  pool.acquire(tideover::deadline::after(pool.clock(), 10s, stop))->query("select 3");
  pool.resize(4, 20);
  pool.invalidate();
  CHECK(pool.warm(8, 10s) >= 8);
  CHECK(pool.try_acquire().has_value());
  pool.tick();
  r->release();
  CHECK(pool.close(10s) == 0);
  CHECK(pool.stats().leased == 0);
  tideover::connection_pool numbers(
      tideover::make_factory([](tideover::deadline const&) { return 3; }, [](int& n) { return n == 3; },
                             [](int& n) { n = 3; }),
      tideover::presets::pool::agents, tideover::hand_driven{});
  CHECK(*numbers.acquire() == 3);
  tideover::connection_pool<pg_factory> defaults(pg_factory{});
  CHECK(defaults.acquire()->query("select 3") == 1);
}
