// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"
#include "support/environment.hpp"

#include <tideover/policy/eviction.hpp>

#include <algorithm>
#include <cstddef>
#include <list>
#include <random>
#include <vector>

namespace {

using tideover::entry_id;
using tideover::entry_links;
using tideover::entry_list;
using tideover::no_entry;

/// Reads the list in both directions; they must agree.
std::vector<entry_id> read(entry_list const& list, std::vector<entry_links> const& links) {
  std::vector<entry_id> forwards, backwards;
  for (entry_id id = list.front(); id != no_entry; id = links[id].next) forwards.push_back(id);
  for (entry_id id = list.back(); id != no_entry; id = links[id].previous) backwards.push_back(id);
  std::reverse(backwards.begin(), backwards.end());
  return forwards == backwards ? forwards : std::vector<entry_id>{no_entry};
}

}  // namespace

TEST_CASE("entry_list: one, two and three entries, at every place", "[policy]") {
  std::vector<entry_links> all(4);
  auto const links = [&](entry_id id) -> entry_links& { return all[id]; };
  using ids = std::vector<entry_id>;
  for (entry_id const leaving : {0u, 1u, 2u}) {
    entry_list list;
    CHECK(list.empty());
    CHECK(list.front() == no_entry);
    CHECK(list.back() == no_entry);
    for (entry_id const id : {2u, 1u, 0u}) list.push_front(links, id);
    CHECK_FALSE(list.empty());
    CHECK(read(list, all) == ids{0, 1, 2});

    entry_list replaced = list;
    ids expected{0, 1, 2};
    expected[leaving] = 3;
    std::vector<entry_links> const before = all;
    replaced.replace(links, leaving, 3);
    CHECK(read(replaced, all) == expected);
    all = before;

    entry_list moved = list;
    expected = {0, 1, 2};
    std::rotate(expected.begin(), expected.begin() + leaving, expected.begin() + leaving + 1);
    moved.move_to_front(links, leaving);
    CHECK(read(moved, all) == expected);
    all = before;

    list.remove(links, leaving);
    expected = {0, 1, 2};
    expected.erase(expected.begin() + leaving);
    CHECK(read(list, all) == expected);
    while (!list.empty()) list.remove(links, list.back());
    CHECK(list.front() == no_entry);
    CHECK(list.back() == no_entry);
  }
}

TEST_CASE("entry_list: a list of one is replaced and moved as well", "[policy]") {
  std::vector<entry_links> all(2);
  auto const links = [&](entry_id id) -> entry_links& { return all[id]; };
  entry_list list;
  list.push_front(links, 0);
  list.move_to_front(links, 0);
  CHECK(read(list, all) == std::vector<entry_id>{0});
  list.replace(links, 0, 1);
  CHECK(read(list, all) == std::vector<entry_id>{1});
}

TEST_CASE("entry_list: a random walk beside std::list", "[policy]") {
  constexpr entry_id entries = 40;
  std::mt19937_64 random(tideover_test::run_seed());
  std::vector<entry_links> all(entries);
  auto const links = [&](entry_id id) -> entry_links& { return all[id]; };
  entry_list list;
  std::list<entry_id> expected;
  for (int step = 0; step < 30'000; ++step) {
    auto const id = static_cast<entry_id>(random() % entries);
    auto const at = std::find(expected.begin(), expected.end(), id);
    if (at == expected.end()) {
      if (!expected.empty() && random() % 4 == 0) {
        auto const old = std::next(expected.begin(), static_cast<std::ptrdiff_t>(random() % expected.size()));
        list.replace(links, *old, id);
        *old = id;
      } else {
        list.push_front(links, id);
        expected.push_front(id);
      }
    } else if (random() % 2 == 0) {
      list.remove(links, id);
      expected.erase(at);
    } else {
      list.move_to_front(links, id);
      expected.erase(at);
      expected.push_front(id);
    }
    if (read(list, all) != std::vector<entry_id>(expected.begin(), expected.end())) FAIL("step " << step);
  }
  SUCCEED();
}
