// SPDX-License-Identifier: BSL-1.0
// A restart need not begin with an empty cache. The codec says how a value of one's own becomes bytes.
#include <tideover/cache_snapshot.hpp>
#include <tideover/ttl_cache.hpp>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

using namespace std::chrono_literals;

struct price {
  int cents;
};

template <>
struct tideover::snapshot_codec<price> {
  static void write(price const& p, std::string& to) { to += std::to_string(p.cents); }
  static std::optional<price> read(std::string_view from) {
    price p{};
    auto const end = std::from_chars(from.data(), from.data() + from.size(), p.cents);
    if (end.ec != std::errc() || end.ptr != from.data() + from.size()) return std::nullopt;
    return p;
  }
};

int main() {
  using prices = tideover::ttl_cache<std::string, price>;
  std::stringstream
      file;  // a std::ofstream, opened as binary, under a name that is renamed when all is written
  {
    prices before({.capacity = 1000, .ttl = 1h});
    before.put("tea", {250});
    before.put("coffee", {310});
    before.put("special", {99}, {.ttl = 10min});
    tideover::save_snapshot(before, file, {.schema = "prices 1"});
  }
  // Half an hour later:
  tideover::snapshot_options options{.schema = "prices 1"};
  options.now = std::chrono::system_clock::now() + 30min;
  prices after({.capacity = 1000, .ttl = 1h});
  tideover::snapshot_report const report = tideover::load_snapshot(after, file, options);
  std::printf("%d loaded, %d expired meanwhile\n", static_cast<int>(report.entries),
              static_cast<int>(report.expired));
  std::printf("tea is %d, with less than %d min to live\n", after.get("tea")->cents,
              *after.remaining_life("tea") < 31min ? 31 : 60);

  std::string damaged = file.str();
  damaged[40] ^= 1;
  std::istringstream bad(damaged);
  prices empty({});
  auto const refused = tideover::try_load_snapshot(empty, bad, options);
  std::printf("%s, %d entries\n", refused.code() == tideover::errc::bad_snapshot ? "refused" : "taken",
              static_cast<int>(empty.size()));
}
// expect: 2 loaded, 1 expired meanwhile
// expect: tea is 250, with less than 31 min to live
// expect: refused, 0 entries
