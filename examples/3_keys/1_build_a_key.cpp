// SPDX-License-Identifier: BSL-1.0
// One input makes one key, whatever the order in which its parts are given; two inputs never make one key.
#include <tideover/cache_key.hpp>

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

using tideover::cache_key;

// The compiler sorts the names and checks that none is given twice.
constexpr tideover::key_schema<"search", "q", "page", "tags"> search_key{.version = 3};

// A type of yours says what it is to a key.
enum class plan { free, paid };
constexpr char const* to_key(plan p) { return p == plan::free ? "free" : "paid"; }

void show(cache_key const& key) { std::printf("%.*s\n", static_cast<int>(key.size()), key.view().data()); }

int main() {
  show(cache_key("user").segment(123).segment("profile").version(2));
  show(cache_key("q").param("b", 2).param("a", 1));
  show(search_key("C++ & caches", 2, std::vector<std::string>{"new", "long read"}));
  show(cache_key("user").param("plan", plan::paid).param("team", std::optional<int>()).param("rate", 0.25));
}
// expect: user:123:profile:v2
// expect: q:a=1:b=2:v1
// expect: search:page=2:q=C%2B%2B%20%26%20caches:tags=(new,long%20read,):v3
// expect: user:plan=paid:rate=0.25:team=~:v1
