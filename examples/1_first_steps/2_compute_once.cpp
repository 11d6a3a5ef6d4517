// SPDX-License-Identifier: BSL-1.0
// A thousand callers, one computation: who asks for a key that is being computed waits for that result.
#include <tideover/ttl_cache.hpp>

#include <cstdio>
#include <string>
#include <thread>
#include <vector>

int main() {
  tideover::ttl_cache<std::string, std::string> profiles({});
  std::vector<std::thread> callers;
  for (int i = 0; i != 1000; ++i) {
    callers.emplace_back([&] {
      profiles.get_or_compute("user:1", [](std::string const& key) { return "profile of " + key; });
    });
  }
  for (auto& caller : callers) caller.join();

  auto const stats = profiles.stats();
  std::printf("%s, computed %d time for %d callers\n", profiles.get("user:1")->c_str(),
              static_cast<int>(stats.computations), static_cast<int>(stats.gets));
}
// expect: profile of user:1, computed 1 time for 1000 callers
