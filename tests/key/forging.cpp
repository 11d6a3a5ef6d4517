// SPDX-License-Identifier: BSL-1.0
#include <tideover/cache_key.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

// A page of a user, as examples/3_keys/2_forgery.cpp makes its key: the user comes from the session, tab and
// view come from the URL. An attacker, who is user 7 or user 8, tries everything to get a key of someone
// else.

namespace {

struct page {
  std::string user;
  std::string tab;
  std::string view;
};

std::string safe(page const& p) {
  return tideover::cache_key("page").segment(p.user).param("tab", p.tab).param("view", p.view).str();
}
std::string by_schema(page const& p) {
  constexpr tideover::key_schema<"page", "user", "tab", "view"> key{};
  return key(p.user, p.tab, p.view).str();
}
std::string by_hand(page const& p) { return "page:" + p.user + ":tab=" + p.tab + ":view=" + p.view; }

/// All texts of up to `longest` pieces.
std::vector<std::string> all_texts(std::vector<std::string> const& pieces, std::size_t longest) {
  std::vector<std::string> all{""};
  for (std::size_t first = 0, n = 0; n < longest; ++n) {
    std::size_t const end = all.size();
    for (; first < end; ++first) {
      for (std::string const& piece : pieces) all.push_back(all[first] + piece);
    }
  }
  return all;
}

template <class Make>
std::size_t forged(Make make) {
  // What the victims have: users whose names an attacker may have had a part in.
  std::vector<page> victims;
  for (char const* user : {"1", "77", "7:tab=", "7%3A", "8:7", ""}) {
    for (char const* tab : {"", "inbox", "a:view=", "a:view=b"}) {
      for (char const* view : {"", "b", "b:v1", "~"}) victims.push_back({user, tab, view});
    }
  }
  std::unordered_set<std::string> wanted;
  for (page const& p : victims) wanted.insert(make(p));

  auto const texts =
      all_texts({":", "=", "%", "%3A", "~", "(", ",", "7", "a", "b", "inbox", "tab=", ":view=", ":v1"}, 2);
  std::size_t hits = 0;
  for (char const* attacker : {"7", "8"}) {
    for (std::string const& tab : texts) {
      for (std::string const& view : texts) hits += wanted.count(make({attacker, tab, view}));
    }
  }
  return hits;
}

}  // namespace

TEST_CASE("K4: a request's parameters cannot be forged into the key of another user") {
  CHECK(forged(safe) == 0);
  CHECK(forged(by_schema) == 0);
  CHECK(forged(by_hand) > 0);  // the attacker knows how
}
