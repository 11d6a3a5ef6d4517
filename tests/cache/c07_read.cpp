// SPDX-License-Identifier: BSL-1.0
#include "cache/failing.hpp"

namespace {

bool as_before(fragile_cache<>& t) { return t.held() == t.before; }

}  // namespace

TEST_CASE("C7: a read that throws at any point has changed nothing", "[C7]") {
  CHECK(hold_to_the_strong_guarantee(
            sized(4), 4, [](auto& c) { c.get(fragile(2)); }, as_before) > 0);
  CHECK(hold_to_the_strong_guarantee(
            sized(4), 4, [](auto& c) { c.get(fragile(77)); }, as_before) > 0);
  CHECK(hold_to_the_strong_guarantee(
            sized(4), 4, [](auto& c) { c.get(fragile(-1)); }, as_before) > 0);
  CHECK(hold_to_the_strong_guarantee(
            sized(4), 4, [](auto& c) { c.peek(fragile(2)); }, as_before) > 0);
  CHECK(hold_to_the_strong_guarantee(
            sized(4), 4, [](auto& c) { c.contains(fragile(2)); }, as_before) > 0);
}

TEST_CASE("C7: a visit that throws at any point, its visitor among them, has changed nothing", "[C7]") {
  CHECK(hold_to_the_strong_guarantee(
            sized(4), 4, [](auto& c) { c.visit(fragile(2), [](fragile const&) { fail_point(); }); },
            as_before) > 1);
  CHECK(hold_to_the_strong_guarantee(
            sized(4), 4, [](auto& c) { c.visit(fragile(9), [](fragile const&) { fail_point(); }); },
            as_before) > 0);
}

TEST_CASE("C7: a read that throws does not count as use", "[C7]") {
  std::size_t const points =
      fail_at_every_point([] { return std::make_unique<fragile_cache<>>(sized(4), 4); },
                          [](auto& f) { f->cache.get(fragile(1)); },
                          [](auto& f, attempt const& how) {
                            f->cache.put(fragile(99), fragile(99));
                            CHECK(f->at(1).has_value() == !how.threw);  // 1 was next to go
                            CHECK(adds_up(f->cache.stats()));
                          });
  CHECK(points > 0);
}

TEST_CASE("C7: an erase that throws at any point has erased nothing", "[C7]") {
  CHECK(hold_to_the_strong_guarantee(
            sized(4), 4, [](auto& c) { c.erase(fragile(2)); },
            [](auto& t) { return !t.at(2) && t.held().size() == 3; }) > 0);
  CHECK(hold_to_the_strong_guarantee(
            sized(4), 4, [](auto& c) { c.erase(fragile(77)); }, as_before) > 0);
}

TEST_CASE("C7: bulk operations that throw leave each entry whole, and the rest untouched", "[C7]") {
  std::size_t const points =
      fail_at_every_point([] { return std::make_unique<fragile_cache<>>(sized(10), 8); },
                          [](auto& t) {
                            t->cache.erase_if([](fragile const& key, fragile const&) {
                              fail_point();
                              return key.id() % 2 == 0;
                            });
                          },
                          [](auto& t, attempt const& how) {
                            CHECK(t->sound());
                            for (int key = 1; key <= 8; key += 2) CHECK(t->at(key) == key * 10);
                            if (!how.threw) CHECK(t->held().size() == 4);
                            CHECK(t->works());
                          });
  CHECK(points >= 8);
  CHECK(fail_at_every_point(
            [] { return std::make_unique<fragile_cache<>>(sized(10), 8); },
            [](auto& t) { t->cache.for_each([](fragile const&, fragile const&) { fail_point(); }); },
            [](auto& t, attempt const&) { CHECK(t->unchanged()); }) >= 8);
}

TEST_CASE("C7: clear, maintain and set_capacity end whole at every point", "[C7]") {
  auto const run = [](auto operation) {
    fail_at_every_point([] { return std::make_unique<fragile_cache<>>(sized(10), 8); },
                        [&](auto& t) { operation(t->cache); },
                        [](auto& t, attempt const&) {
                          CHECK(t->sound());
                          CHECK(t->works());
                        });
  };
  run([](auto& cache) { cache.clear(); });
  run([](auto& cache) { cache.maintain(); });
  run([](auto& cache) { cache.set_capacity(3); });
  run([](auto& cache) { cache.set_capacity(3000); });
}
