// SPDX-License-Identifier: BSL-1.0
#include "cache/failing.hpp"

#include <tideover/policy/weigher.hpp>

TEST_CASE("C7: a put of a new key that throws at any point has changed nothing", "[C7]") {
  REQUIRE(allocation_counter::works());
  for (int const filled : {0, 1, 3, 4, 7, 8, 14, 15, 28, 29, 64}) {  // empty, growing, about to grow
    INFO("filled " << filled);
    CHECK(hold_to_the_strong_guarantee(
              sized(1000), filled, [](auto& cache) { cache.put(fragile(99), fragile(990)); },
              [](auto& t) { return t.at(99) == 990 && t.held().size() == t.before.size() + 1; }) > 0);
  }
}

TEST_CASE("C7: a put into a full cache that throws at any point has evicted nobody", "[C7]") {
  CHECK(hold_to_the_strong_guarantee(
            sized(4), 4, [](auto& cache) { cache.put(fragile(99), fragile(990)); },
            [](auto& t) { return t.at(99) == 990 && t.held().size() == 4 && !t.at(1); }) > 0);
}

TEST_CASE("C7: a put of copies that throws at any point has changed nothing", "[C7]") {
  fragile const key(99), value(990);
  CHECK(hold_to_the_strong_guarantee(
            sized(4), 4, [&](auto& cache) { cache.put(key, value); },
            [](auto& t) { return t.at(99) == 990 && t.held().size() == 4; }) > 0);
  CHECK(key.id() == 99);
  CHECK(value.id() == 990);
}

TEST_CASE("C7: a replacing put that throws at any point leaves the old value", "[C7]") {
  fragile const key(2), value(21);
  CHECK(hold_to_the_strong_guarantee(
            sized(4), 4, [&](auto& cache) { cache.put(key, value); },
            [](auto& t) { return t.at(2) == 21 && t.held().size() == 4; }) > 0);
  CHECK(hold_to_the_strong_guarantee(
            sized(4), 4, [](auto& cache) { cache.put(fragile(2), fragile(21)); },
            [](auto& t) { return t.at(2) == 21 && t.held().size() == 4; }) > 0);
}

TEST_CASE("C7: a put over an expired entry that throws at any point has changed nothing that lives", "[C7]") {
  CHECK(hold_to_the_strong_guarantee(
            sized(10), 4, [](auto& cache) { cache.put(fragile(-1), fragile(5)); },
            [](auto& t) { return t.at(-1) == 5 && t.held().size() == 5; }) > 0);
}

TEST_CASE("C7: a put without life that throws at any point has erased nothing", "[C7]") {
  CHECK(hold_to_the_strong_guarantee(
            sized(10), 4, [](auto& cache) { cache.put(fragile(2), fragile(5), living(0s)); },
            [](auto& t) { return !t.at(2) && t.held().size() == 3; }) > 0);
}

namespace {

struct fragile_weight {
  std::size_t operator()(fragile const&, fragile const&) const {
    fail_point();
    return 1;
  }
};

}  // namespace

TEST_CASE("C7: a weigher that throws keeps the entry out and changes nothing", "[C7]") {
  tideover::ttl_cache_options options = sized(10);
  options.max_weight = 4;
  CHECK(hold_to_the_strong_guarantee<fragile_cache<tideover::weigh_by<fragile_weight>>>(
            options, 4, [](auto& cache) { cache.put(fragile(99), fragile(990)); },
            [](auto& t) { return t.at(99) == 990 && t.held().size() == 4; }) > 0);
}
