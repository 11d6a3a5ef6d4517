// SPDX-License-Identifier: BSL-1.0
// Most questions about users who do not exist are asked more than once. A computation that may find nothing
// returns an optional; `negative_results` believes it for `negative_ttl`.
#include <tideover/ttl_cache.hpp>

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>

using namespace std::chrono_literals;

int main() {
  tideover::manual_clock clock;
  tideover::ttl_cache<std::string, std::string, tideover::negative_results, tideover::manual_clock> names(
      {.ttl = 1h, .negative_ttl = 10s}, clock);

  int queries = 0;
  auto const find = [&](std::string const& login) -> std::optional<std::string> {
    ++queries;
    if (login == "ada") return "Ada Lovelace";
    return std::nullopt;
  };

  for (int i = 0; i < 1000; ++i) {
    std::optional<std::string> const name = names.get_or_compute("nobody", find);
    if (name) std::puts(name->c_str());
  }
  std::printf("1000 questions, %d query\n", queries);

  names.put("nobody", "Nemo");  // what is put goes over it at once
  std::printf("%s\n", names.get_or_compute("nobody", find).value_or("?").c_str());

  names.get_or_compute("nemo", find);
  clock.advance(10s);
  names.get_or_compute("nemo", find);
  std::printf("%d queries, %d hits that found nothing\n", queries,
              static_cast<int>(names.stats().negative_hits));
}
// expect: 1000 questions, 1 query
// expect: Nemo
// expect: 3 queries, 999 hits that found nothing
