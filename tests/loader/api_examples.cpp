// SPDX-License-Identifier: BSL-1.0
// The calls that the documentation shows, as users type them.
#include <tideover/data_loader.hpp>

#include "support/catch.hpp"

#include <chrono>
#include <span>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {
using user_id = int;
struct user {
  std::string name;
};
int calls = 0;
std::vector<user> load_many(std::span<user_id const> ids) {
  ++calls;
  std::vector<user> all;
  for (user_id id : ids) all.push_back({std::to_string(id)});
  return all;
}
}  // namespace

TEST_CASE("B19: the calls of the documentation compile and do what they say") {
  tideover::data_loader<user_id, user> users([&](std::span<user_id const> ids) { return load_many(ids); },
                                             {.max_items = 100, .linger = 1ms});
  std::vector<user_id> const ids{1, 2, 3};
  user u = users.load(42);
  std::vector<user> us = users.load_many(ids);
  users.prime(42, u);
  users.clear(42);
  CHECK(calls == 2);
  CHECK(us[2].name == "3");

  users.clear();
  auto a = users.later(1), b = users.later(2);
  CHECK(a.get().name == "1");
  CHECK(b.get().name == "2");
  CHECK(calls == 3);

  tideover::ttl_cache<user_id, user> shared({.capacity = 1'000, .ttl = 30s});
  tideover::data_loader<user_id, user, tideover::cache_in<decltype(shared)>> others(
      load_many, {.linger = 0ns}, tideover::cache_in(shared));
  CHECK(others.load(7).name == "7");
  CHECK(shared.get(7)->name == "7");
  tideover::data_loader<user_id, user, tideover::uncached> fresh(load_many);
  CHECK(fresh.try_load(8)->name == "8");
}
