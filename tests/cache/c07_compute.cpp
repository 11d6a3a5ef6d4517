// SPDX-License-Identifier: BSL-1.0
#include "cache/failing.hpp"

#include <stdexcept>

namespace {

/// The value 990 for key 99, at a price: the function itself is a point.
fragile expensive(fragile const& key) {
  fail_point();
  return fragile(key.id() * 10);
}

}  // namespace

TEST_CASE("C7: a get_or_compute that throws at any point has changed nothing and blocks nobody", "[C7]") {
  fragile const key(99);
  for (int const filled : {0, 4, 7, 8, 14, 28}) {
    INFO("filled " << filled);
    // The result is delivered even when there is no memory left to store it.
    CHECK(hold_to_the_strong_guarantee(
              sized(1000), filled, [&](auto& cache) { cache.get_or_compute(key, expensive); },
              [](auto& t) { return t.at(99) == 990 || t.held() == t.before; }) > 3);
  }
}

TEST_CASE("C7: a get_or_compute in a full cache that throws at any point has evicted nobody", "[C7]") {
  CHECK(hold_to_the_strong_guarantee(
            sized(4), 4, [](auto& cache) { cache.get_or_compute(fragile(99), expensive); },
            [](auto& t) { return t.at(99) == 990 ? t.held().size() == 4 : t.held() == t.before; }) > 3);
}

TEST_CASE("C7: a get_or_compute that hits and throws has changed nothing", "[C7]") {
  CHECK(hold_to_the_strong_guarantee(
            sized(4), 4, [](auto& cache) { cache.get_or_compute(fragile(2), expensive); },
            [](auto& t) { return t.held() == t.before; }) > 0);
}

TEST_CASE("C7: a get_or_compute over an expired entry that throws has changed nothing that lives", "[C7]") {
  CHECK(hold_to_the_strong_guarantee(
            sized(10), 4, [](auto& cache) { cache.get_or_compute(fragile(-1), expensive); },
            [](auto& t) { return t.at(-1) == -10 || t.held() == t.before; }) > 3);
}

TEST_CASE("C7: after every failure the next call computes anew, and what was computed is what is returned",
          "[C7]") {
  std::size_t const points = fail_at_every_point(
      [] { return std::make_unique<fragile_cache<>>(sized(4), 4); },
      [](auto& t) {
        if (t->cache.get_or_compute(fragile(99), expensive).id() != 990)
          throw std::logic_error("a wrong value");
      },
      [](auto& t, attempt const&) {
        int calls = 0;
        auto const got = t->cache.get_or_compute(fragile(99), [&] { return ++calls, fragile(991); });
        CHECK(got.id() == (calls == 0 ? 990 : 991));
        CHECK(t->at(99) == got.id());
      });
  CHECK(points > 3);
}

TEST_CASE("C7: try_get_or_compute turns the function's failure into a value; all else as get_or_compute",
          "[C7]") {
  CHECK(hold_to_the_strong_guarantee(
            sized(4), 4,
            [](auto& cache) { static_cast<void>(cache.try_get_or_compute(fragile(99), expensive)); },
            [](auto& t) { return t.at(99) == 990 || t.held() == t.before; }) > 3);
}

TEST_CASE("C7: a visit_or_compute whose visitor throws has stored the value all the same, or nothing",
          "[C7]") {
  CHECK(fail_at_every_point([] { return std::make_unique<fragile_cache<>>(sized(10), 4); },
                            [](auto& t) {
                              t->cache.visit_or_compute(fragile(99), expensive,
                                                        [](fragile const&) { fail_point(); });
                            },
                            [](auto& t, attempt const&) {
                              CHECK(t->sound());
                              CHECK((t->at(99) == 990 || t->held() == t->before));
                              CHECK(t->works());
                            }) > 3);
}
