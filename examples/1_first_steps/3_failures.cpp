// SPDX-License-Identifier: BSL-1.0
// What a computation throws reaches its callers and is not stored. The try_ verbs return failures instead.
#include <tideover/ttl_cache.hpp>

#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

int main() {
  tideover::ttl_cache<int, std::string> rows({});
  auto const load = [](int) -> std::string { throw std::runtime_error("no connection"); };

  try {
    rows.get_or_compute(7, load);
  } catch (std::runtime_error const& e) {
    std::puts(e.what());
  }

  tideover::result<std::string> row =
      rows.try_get_or_compute(7, load, tideover::deadline::after(rows.clock(), 50ms));
  if (!row && row.code() == tideover::errc::computation_failed) std::puts("failed as a value");

  try {
    tideover::ttl_cache<int, int> none({.capacity = 0});
  } catch (tideover::error const& e) {
    std::puts(std::string(e.what()).substr(0, 76).c_str());
  }
}
// expect: no connection
// expect: failed as a value
// expect: ttl_cache_options.capacity is 0; it must be between 1 and 4000000000: invali
