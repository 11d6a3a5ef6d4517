// SPDX-License-Identifier: BSL-1.0
// A bound in bytes instead of entries (`capacity` then says how many are expected), and a listener that hears
// what leaves and why.
#include <tideover/ttl_cache.hpp>

#include <cstdio>
#include <string>

struct log_removals {
  using policy_axis = tideover::axis::listener;
  void on_removal(std::string const& key, std::string const&, tideover::removal_cause cause) {
    std::printf("%s %s\n", key.c_str(), to_string(cause));
  }
};

int main() {
  tideover::weigh_by bytes(
      [](std::string const& key, std::string const& value) { return key.size() + value.size(); });
  using lines = tideover::ttl_cache<std::string, std::string, decltype(bytes), log_removals>;
  lines cache({.capacity = 100, .max_weight = 10}, bytes);

  cache.put("a", "1234");
  cache.put("b", "1234");
  cache.put("c", "1234");  // 15 bytes would be too many: the least recently used one goes
  cache.put("c", "12");
  if (!cache.put("d", "0123456789")) std::puts("d is heavier than the whole cache");
  cache.erase("b");
}
// expect: a evicted
// expect: c replaced
// expect: d is heavier than the whole cache
// expect: b erased
