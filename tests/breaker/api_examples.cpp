// SPDX-License-Identifier: BSL-1.0
// The calls that the documentation shows, as users type them.
#include <tideover/breaker_registry.hpp>
#include <tideover/circuit_breaker.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <string>
#include <system_error>

using namespace std::chrono_literals;

namespace {
struct row {
  int id = 0;
};
row query() { return {1}; }
row cached_row() { return {2}; }
struct response {
  int status = 200;
};
}  // namespace

TEST_CASE("the calls of the documentation compile and do what they say") {
  tideover::circuit_breaker<> db(
      {.name = "db", .failure_threshold = 5, .recovery_timeout = 30s, .call_timeout = 30s});
  row r = db.call([&] { return query(); });
  row r2 = db.call([&] { return query(); }, [&](std::error_code) { return cached_row(); });
  tideover::result<row> r3 = db.try_call([&] { return query(); });
  CHECK(r.id + r2.id + r3->id == 3);
  if (auto permit = db.try_acquire()) {
    permit->succeed();
  } else {
    FAIL("it is closed");
  }
  CHECK(db.state() == tideover::breaker_state::closed);
  CHECK(db.stats().failures == 0);
  db.reset();
  db.force_open();
  CHECK(db.call([&] { return query(); }, [&](std::error_code) { return cached_row(); }).id == 2);
  db.disable();
  db.observe();
  db.automatic();
  tideover::circuit_breaker<tideover::failure_rate_in_last<100>> api(
      {.failure_rate = 0.5, .min_calls = 20, .slow_after = 2s, .slow_rate = 0.8});
  api.call([] {});
  tideover::circuit_breaker<> ai(tideover::presets::breaker::ai_service);
  CHECK(ai.name() == "ai_service");
  tideover::circuit_breaker<>::options o = tideover::presets::breaker::database;
  o.failure_threshold = 7;
  CHECK(o != tideover::presets::breaker::database);
  tideover::circuit_breaker<> plain({});
  CHECK(plain.state() == tideover::breaker_state::closed);
}

TEST_CASE("what is a failure, and one breaker for each host, as the documentation shows it") {
  tideover::classify_by by_status([](response const& r) {
    return r.status >= 500 ? tideover::call_outcome::failure : tideover::call_outcome::success;
  });
  tideover::circuit_breaker<decltype(by_status)> web(tideover::presets::breaker::external_api, by_status);
  CHECK(web.call([] { return response{503}; }).status == 503);
  CHECK(web.stats().failures == 1);

  tideover::breaker_registry<std::string> hosts(tideover::presets::breaker::external_api,
                                                {.capacity = 1'000});
  response const r = hosts.call("example.org", [] { return response{}; });
  bool const well = hosts.at("example.org")->state() == tideover::breaker_state::closed;
  CHECK(r.status == 200);
  CHECK(well);
}
