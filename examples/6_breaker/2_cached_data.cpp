// SPDX-License-Identifier: BSL-1.0
// A database that is down: five failures open the breaker for 30 s; what was read before is served meanwhile.
#include <tideover/circuit_breaker.hpp>
#include <tideover/ttl_cache.hpp>

#include <chrono>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>

using namespace std::chrono_literals;

int main() {
  tideover::circuit_breaker<> db(tideover::presets::breaker::database);
  tideover::ttl_cache<int, std::string> last_known({.capacity = 10'000, .ttl = 24h});

  bool down = false;
  auto const query = [&](int id) -> std::string {
    if (down) throw std::runtime_error("connection refused");
    return "row " + std::to_string(id);
  };
  auto const read = [&](int id) {
    return db.call(
        [&] {
          std::string row = query(id);
          last_known.put(id, row);
          return row;
        },
        [&](std::error_code why) {
          if (auto stale = last_known.get(id)) return *stale + " (as last seen)";
          throw std::system_error(why, "nothing known");
        });
  };
  std::puts(read(7).c_str());
  down = true;
  for (int i = 0; i < 10; ++i) static_cast<void>(read(7));
  std::puts(read(7).c_str());
  try {
    static_cast<void>(read(8));
  } catch (std::system_error const& e) {
    std::puts(e.code() == tideover::errc::circuit_open ? "row 8: circuit open" : "row 8: failed");
  }
}
// expect: row 7
// expect: row 7 (as last seen)
// expect: row 8: circuit open
