// SPDX-License-Identifier: BSL-1.0
// The calls that the documentation shows, as users type them.
#include <tideover/batch_processor.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <span>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {
struct row {
  int id = 0;
};
struct {
  std::vector<row> rows;
  void insert(std::span<row> batch) { rows.insert(rows.end(), batch.begin(), batch.end()); }
} table;
}  // namespace

TEST_CASE("the calls of the documentation compile and do what they say") {
  row r{7};
  tideover::batch_processor<row> rows(
      [&](std::span<row> batch) { table.insert(batch); },
      {.max_items = 100, .max_bytes = 1 << 20, .linger = 5s, .max_pending = 10'000, .max_in_flight = 1});
  tideover::result<tideover::ticket> t = rows.add(r);
  rows.flush(60s);
  t->wait();
  CHECK(t->wait().delivered());
  bool told = false;
  if (!rows.add(r, [&](tideover::outcome const& o) { told = o.delivered(); })) FAIL("it was rejected");
  CHECK(rows.flush(60s));
  rows.shutdown(10s);
  CHECK(told);
  CHECK(rows.stats().delivered == 2);
  CHECK(rows.next_deadline() == tideover::instant::max());
  CHECK(rows.tick() == 0);
  CHECK(table.rows.size() == 2);

  tideover::batch_processor<row, tideover::relaxed_bounds> quick(
      [&](std::span<row> batch) { table.insert(batch); }, {.max_items = 100, .linger = 100ms});
  REQUIRE(quick.add(r));
  CHECK(quick.flush(60s));
  CHECK(table.rows.size() == 3);

  tideover::batch_processor<std::string> each(
      [](std::span<std::string> batch) {
        std::vector<tideover::outcome> outcomes;
        for (auto const& s : batch) {
          outcomes.push_back(s.empty() ? tideover::outcome(tideover::errc::invalid_argument)
                                       : tideover::outcome());
        }
        return outcomes;
      },
      tideover::presets::batch::web_socket);
  auto good = each.add("x"), bad = each.add("");
  each.flush(60s);
  CHECK(good->wait().delivered());
  CHECK(bad->wait().code() == tideover::errc::invalid_argument);
  tideover::batch_processor<row>::options o = tideover::presets::batch::bulk_insert;
  o.max_items = 10;
  CHECK(o != tideover::presets::batch::bulk_insert);
}
