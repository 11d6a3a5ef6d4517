// SPDX-License-Identifier: BSL-1.0
// A bounded map whose entries expire.
#include <tideover/ttl_cache.hpp>

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>

using namespace std::chrono_literals;

int main() {
  tideover::ttl_cache<std::string, std::string> pages({.capacity = 10'000, .ttl = 60s});

  pages.put("/", "<h1>Welcome</h1>");
  pages.put("/news", "<h1>Calm seas</h1>", {.ttl = 5s});  // this entry's own life

  if (std::optional<std::string> hit = pages.get("/")) std::puts(hit->c_str());
  if (!pages.get("/weather")) std::puts("/weather is a miss");

  // No copy: the visitor sees the value where it is, and no lock is held.
  pages.visit("/news", [](std::string const& page) { std::printf("%zu bytes\n", page.size()); });

  pages.erase("/");
  std::printf("%zu page left\n", pages.size());
}
// expect: <h1>Welcome</h1>
// expect: /weather is a miss
// expect: 18 bytes
// expect: 1 page left
