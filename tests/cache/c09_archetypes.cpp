// SPDX-License-Identifier: BSL-1.0
#include "cache/common.hpp"
#include "support/archetypes.hpp"

#include <tideover/policy/hashing.hpp>

namespace {

template <class... Policies>
using bare = tideover::ttl_cache<key_archetype, value_archetype, manual_clock,
                                 tideover::hash_by<key_archetype::hash, key_archetype::equal>, Policies...>;
using key = key_archetype;
using value = value_archetype;

struct bare_listener {
  using policy_axis = tideover::axis::listener;
  void on_removal(key const&, value const& gone, tideover::removal_cause) { last = gone.id(); }
  int last = 0;
};

template <class Cache>
void use(Cache& cache) {
  int seen = 0;
  auto const look = [&](value const& v) { seen = v.id(); };
  CHECK(cache.put(key(1), value(10)));
  CHECK(cache.put(key(1), value(11)));
  CHECK(cache.put(key(2), value(20), living(1h)));
  CHECK(cache.contains(key(1)));
  CHECK(cache.visit(key(1), look));
  CHECK(seen == 11);
  cache.visit_or_compute(
      key(3), [] { return value(30); }, look);
  CHECK(seen == 30);
  cache.visit_or_compute(
      key(3), [](key const&) { return value(31); }, look, tideover::deadline());
  CHECK(seen == 30);
  CHECK(cache
            .try_visit_or_compute(
                key(4), [] { return value(40); }, look)
            .has_value());
  int sum = 0;
  cache.for_each([&](key const&, value const& v) { sum += v.id(); });
  CHECK(sum == 101);
  CHECK(cache.erase(key(1)));
  CHECK(cache.erase_if([](key const&, value const& v) { return v.id() == 20; }) == 1);
  cache.set_capacity(2);
  cache.maintain();
  for (int i = 10; i < 20; ++i) cache.put(key(i), value(i));
  CHECK(cache.size() == 2);
  cache.clear();
  CHECK(cache.size() == 0);
  CHECK(adds_up(cache.stats()));
}

}  // namespace

TEST_CASE("C9: keys and values need a move constructor, the key a hash and an equality, and no more",
          "[C9]") {
  bare<> cache(sized(10));
  use(cache);
  bare<tideover::single_threaded, tideover::fifo, tideover::after_access> single(sized(10));
  use(single);
}

TEST_CASE("C9: a listener asks no more of them", "[C9]") {
  bare<bare_listener> cache(sized(10));
  use(cache);
  CHECK(cache.listener().last != 0);
}

namespace {

struct point_on_map {
  int x, y;
  friend bool operator==(point_on_map const&, point_on_map const&) = default;
};
struct point_hash {
  std::size_t operator()(point_on_map const& p) const noexcept { return std::size_t(p.x * 31 + p.y); }
};
enum class colour { red, green };

}  // namespace

TEST_CASE("C9: a key may be any hashable type", "[C9]") {
  tideover::ttl_cache<point_on_map, int, tideover::hash_by<point_hash>> points(sized(10));
  CHECK(points.put(point_on_map{1, 2}, 3));
  CHECK(points.get(point_on_map{1, 2}) == 3);
  CHECK_FALSE(points.get(point_on_map{2, 1}));

  tideover::ttl_cache<colour, int> colours(sized(10));
  colours.put(colour::green, 1);
  CHECK(colours.get(colour::green) == 1);
  CHECK_FALSE(colours.contains(colour::red));

  int a = 0, b = 0;
  tideover::ttl_cache<int*, int> pointers(sized(10));
  pointers.put(&a, 1);
  CHECK(pointers.contains(&a));
  CHECK_FALSE(pointers.contains(&b));
}
