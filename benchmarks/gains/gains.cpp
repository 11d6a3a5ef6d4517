// SPDX-License-Identifier: BSL-1.0

// Prints the table of documented gains and writes it as JSON. Exits non-zero when a claim in mode V does not
// reproduce within its tolerance on its documented inputs.

#include "gains/table.hpp"
#include "support/report.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <exception>
#include <string>
#include <vector>

namespace {

struct settings {
  std::vector<std::string> assignments;
  std::string out = "build/gains.json";
  std::size_t seeds = 5;
  bool quick = false;
  bool full = false;
};

int run(settings const& s) {
  gains::table t;
  gains::add_batch_rows(t);
  gains::add_real_rows(t);
  gains::add_parallel_rows(t);
  gains::add_cache_rows(t);
  gains::add_breaker_rows(t);
  gains::add_stampede_rows(t);
  gains::add_pool_rows(t);
  gains::add_rows_not_ours(t);
  t.add_awaited("tiered_cache", "6, and both tiers of 7");
  t.add_awaited("the service model over cache, pool and breaker", "8 to 11, 13, 14");
  t.add_awaited("compression", "16");
  t.add_awaited("stampede_guard over Redis", "22 between processes");
  for (auto const& assignment : s.assignments) t.set(assignment);
  t.measure(s.quick ? gains::effort::quick : s.full ? gains::effort::full : gains::effort::normal, s.seeds);
  t.print();
  bench::write_json(s.out, t.json());
  return t.reproduced() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  CLI::App options("The documented gains, reproduced.");
  options.add_option("--set", s.assignments, "ROW.INPUT=VALUE (may be repeated)");
  options.add_option("--seeds", s.seeds, "independent runs of each row")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  options.add_option("--out", s.out, "JSON file to write")->capture_default_str();
  auto* const quick = options.add_flag("--quick", s.quick, "fewer requests");
  options.add_flag("--full", s.full, "more requests")->excludes(quick);
  CLI11_PARSE(options, argc, argv);
  try {
    return run(s);
  } catch (std::exception const& e) {
    fmt::print(stderr, "gains: {}\n", e.what());
    return 2;
  }
}
