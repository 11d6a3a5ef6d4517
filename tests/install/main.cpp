// SPDX-License-Identifier: BSL-1.0
// What every consumer builds: a cache in a program that has nothing but tideover.
#include <tideover/ttl_cache.hpp>

#include <chrono>
#include <string>

int main() {
  tideover::ttl_cache<std::string, int> cache({.capacity = 10, .ttl = std::chrono::minutes(1)});
  return cache.get_or_compute("answer", [] { return 42; }) == 42 ? 0 : 1;
}
