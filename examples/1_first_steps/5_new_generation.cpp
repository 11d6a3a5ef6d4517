// SPDX-License-Identifier: BSL-1.0
// Everything that was computed from the old prices is out of date at one instant, however much it is.
#include <tideover/ttl_cache.hpp>

#include <cstdio>
#include <string>

int main() {
  int price = 10;
  tideover::ttl_cache<std::string, int> totals({.capacity = 100'000});
  auto const total = [&](int apples) {
    return totals.get_or_compute("apples:" + std::to_string(apples), [&] { return apples * price; });
  };
  for (int apples = 1; apples <= 1000; ++apples) total(apples);

  price = 12;
  totals.new_generation();  // O(1): no entry is touched
  std::printf("%d\n", total(5));

  // What is still in memory is freed by reads and writes, or at once.
  totals.maintain();
  std::printf("%zu entries in generation %d\n", totals.size(), static_cast<int>(totals.generation()));
}
// expect: 60
// expect: 1 entries in generation 1
