// SPDX-License-Identifier: BSL-1.0
// A request's parameters come from whoever sends them. Joined by hand they can spell the key of another user;
// in a cache_key they stay what they are.
#include <tideover/cache_key.hpp>
#include <tideover/ttl_cache.hpp>

#include <cstdio>
#include <string>

struct request {
  std::string user;  // of the session: known to be true
  std::string tab;   // from the URL: anything
  std::string view;
};

std::string joined_by_hand(request const& r) {
  return "page:" + r.user + ":" + r.tab + (r.view.empty() ? "" : ":" + r.view);
}

tideover::cache_key page_key(request const& r) {
  return tideover::cache_key("page").segment(r.user).param("tab", r.tab).param("view", r.view);
}

int main() {
  request const victim{.user = "7:admin", .tab = "inbox", .view = ""};
  request const attacker{.user = "7", .tab = "admin", .view = "inbox"};

  tideover::ttl_cache<std::string, std::string> pages({});
  pages.put(joined_by_hand(victim), "the victim's mail");
  std::printf("by hand: %s\n", pages.get(joined_by_hand(attacker)).value_or("nothing").c_str());

  pages.clear();
  pages.put(page_key(victim),
            "the victim's mail");  // the cache takes the key as it is, no std::string is made
  std::printf("cache_key: %s\n", pages.get(page_key(attacker)).value_or("nothing").c_str());
  std::puts(page_key(victim).str().c_str());
  std::puts(page_key(attacker).str().c_str());
}
// expect: by hand: the victim's mail
// expect: cache_key: nothing
// expect: page:7%3Aadmin:tab=inbox:view=:v1
// expect: page:7:tab=admin:view=inbox:v1
