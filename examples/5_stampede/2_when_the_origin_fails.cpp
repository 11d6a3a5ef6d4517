// SPDX-License-Identifier: BSL-1.0
// An origin that fails is left alone for a while, and its last answers bridge the gap.
#include <tideover/guarded_cache.hpp>

#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

int main() {
  tideover::manual_clock clock;
  using prices =
      tideover::guarded_cache<std::string, int, tideover::constant_backoff, tideover::manual_clock>;
  prices cache({.ttl = 1min, .stale_if_error = 1h}, clock, tideover::constant_backoff{10s});

  int asked = 0;
  bool down = false;
  auto const ask_the_shop = [&](std::string const&) {
    ++asked;
    if (down) throw std::runtime_error("the shop is closed");
    return 42;
  };
  cache.get_or_compute("tea", ask_the_shop);

  down = true;
  clock.advance(5min);
  for (int i = 0; i != 1000; ++i) {
    tideover::served<int> const price = cache.serve("tea", ask_the_shop);
    if (i == 0) std::printf("%d, %s\n", price.value, to_string(price.how));
  }
  std::printf("asked %d times\n", asked);  // once before, once in vain, and then it rests

  // Where there is nothing to bridge with, the failure is told, also while the key rests.
  for (int i = 0; i != 2; ++i) {
    tideover::result<int> const coffee = cache.try_get_or_compute("coffee", ask_the_shop);
    std::printf(
        "coffee: try again in %d s\n",
        static_cast<int>(std::chrono::duration_cast<std::chrono::seconds>(coffee.retry_after()).count()));
  }
  std::printf("asked %d times\n", asked);
}
// expect: 42, stale_if_error
// expect: asked 2 times
// expect: coffee: try again in 0 s
// expect: coffee: try again in 10 s
// expect: asked 3 times
