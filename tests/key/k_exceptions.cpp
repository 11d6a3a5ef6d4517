// SPDX-License-Identifier: BSL-1.0
#include "key/common.hpp"
#include "support/fail_points.hpp"

#include <tideover/ttl_cache.hpp>

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The strong guarantee: a verb that throws, wherever it does, has changed nothing.

namespace failing_values {

/// A type whose `to_key` fails at a point of the test.
struct fragile {
  std::string text;
};
inline std::string to_key(fragile const& f) {
  fail_point();
  return f.text;
}

/// A range whose iterators fail: when made, moved on and read.
struct fragile_range {
  using value_type = int;
  struct iterator {
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    int at = 0;
    int operator*() const {
      fail_point();
      return at;
    }
    iterator& operator++() {
      fail_point();
      ++at;
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(iterator const&) const = default;
  };
  iterator begin() const {
    fail_point();
    return {};
  }
  iterator end() const { return {20}; }
};

/// A text whose conversion fails, and which has another length each time.
struct fragile_text {
  mutable std::size_t asked = 0;
  operator std::string_view() const {
    fail_point();
    static std::string const text(400, 'x');
    return std::string_view(text).substr(0, ++asked * 40);
  }
};

}  // namespace failing_values

namespace {

using failing_values::fragile;
using failing_values::fragile_range;
using failing_values::fragile_text;

struct fragile_digest {
  using policy_axis = tideover::axis::digest;
  tideover::digest128 operator()(std::string_view text) const {
    fail_point();
    return size_digest()(text);
  }
};
struct fragile_normalization {
  using policy_axis = tideover::axis::normalization;
  std::string operator()(std::string_view text) const {
    fail_point();
    return std::string(text);
  }
};
using fragile_key = tideover::basic_cache_key<fragile_digest, fragile_normalization>;

/// Keys at the ends of all buffers: what they hold already.
std::vector<std::size_t> const starts{0,   50,  100, 108, 109, 110, 111, 112, 113, 114, 115,
                                      116, 150, 180, 190, 194, 195, 196, 230, 260, 400};

/// Runs `verb` with every point failing in turn, from a key with `start` bytes.
template <class Key, class Verb>
std::size_t strong(std::size_t start, bool seed_compatible, Verb verb) {
  Key original("n", {.seed_compatible = seed_compatible});
  original.segment(std::string(start, 'x'));
  Key expected = original;
  verb(expected);
  observed const before(original), after(expected);
  return fail_at_every_point(
      [&] { return original; }, verb,
      [&](Key& key, attempt const& how) {
        if (how.threw != how.fired) FAIL_CHECK("a failure was swallowed");
        if (observed(key) != (how.threw ? before : after)) {
          FAIL_CHECK("start " << start << ", point " << how.point << ": " << key.view());
        }
        if (!how.threw) return;
        verb(key);  // and it can be tried again
        if (observed(key) != after) FAIL_CHECK("start " << start << ": " << key.view());
      });
}

template <class Key, class Verb>
std::size_t strong_from_all(Verb verb) {
  std::size_t points = 0;
  for (std::size_t const start : starts) {
    points += strong<Key>(start, false, verb);
    points += strong<Key>(start, true, verb);
  }
  return points;
}

}  // namespace

TEST_CASE("a verb that runs out of memory changes nothing", "[key][exceptions]") {
  std::string const some(20, ':');
  CHECK(strong_from_all<cache_key>([&](cache_key& key) { key.segment(some); }) > 10);
  CHECK(strong_from_all<cache_key>([&](cache_key& key) { key.param("a=b", some); }) > 10);
  CHECK(strong_from_all<cache_key>([&](cache_key& key) { key.tag(some); }) > 10);
  CHECK(strong_from_all<cache_key>([&](cache_key& key) { key.version(12345678); }) > 10);
  CHECK(strong_from_all<cache_key>([&](cache_key& key) { key.generation(12345678); }) > 10);
  CHECK(strong_from_all<cache_key>([&](cache_key& key) { key.secret("s", some, size_digest()); }) > 10);
  CHECK(strong_from_all<cache_key>([&](cache_key& key) { key.segment(std::vector{1.5, 2.5}); }) > 10);
  CHECK(strong_from_all<cache_key>(
            [&](cache_key& key) { key.secret("s", std::string(200, 'y'), size_digest()); }) > 10);
  CHECK(strong_from_all<cache_key>([&](cache_key& key) { key.segment(key.view()); }) > 10);
}

TEST_CASE("a verb whose to_key, range, digest or normalization throws changes nothing", "[key][exceptions]") {
  CHECK(strong_from_all<cache_key>([](cache_key& key) { key.segment(fragile{"x y"}); }) >= 2 * starts.size());
  CHECK(strong_from_all<cache_key>([](cache_key& key) { key.segment(fragile_range()); }) >=
        80 * starts.size());
  CHECK(strong_from_all<cache_key>([](cache_key& key) {
          key.param("p", std::vector{fragile{"x"}, fragile{"y"}});
        }) >= 4 * starts.size());
  CHECK(strong_from_all<cache_key>([](cache_key& key) { key.secret("p", fragile{"x"}, fragile_digest()); }) >=
        4 * starts.size());
  CHECK(strong_from_all<fragile_key>([](fragile_key& key) {
          key.segment(std::vector{fragile{"x"}, fragile{"y:"}});
        }) >= 8 * starts.size());
  CHECK(strong_from_all<fragile_key>(
            [](fragile_key& key) { key.param("p", std::optional<std::string>("x")); }) >= 2 * starts.size());
  CHECK(strong_from_all<fragile_key>([](fragile_key& key) { key.tag("t"); }) >= 2 * starts.size());
}

TEST_CASE("copies and assignments that run out of memory change nothing", "[key][exceptions]") {
  for (std::size_t const size : {std::size_t(10), std::size_t(150), std::size_t(400)}) {
    cache_key const source = cache_key("source").segment(std::string(size, 'x'));
    observed const copied(source);
    for (std::size_t const old_size : {std::size_t(10), std::size_t(150), std::size_t(400)}) {
      cache_key const target = cache_key("target").segment(std::string(old_size, 'y'));
      observed const before(target);
      fail_at_every_point([&] { return target; }, [&](cache_key& key) { key = source; },
                          [&](cache_key& key, attempt const& how) {
                            CHECK(how.threw == how.fired);
                            CHECK(observed(key) == (how.threw ? before : copied));
                            CHECK(observed(source) == copied);
                          });
    }
    fail_at_every_point([] { return 0; }, [&](int&) { cache_key const copy(source); },
                        [&](int&, attempt const& how) { CHECK(how.threw == how.fired); });
    fail_at_every_point([] { return 0; }, [&](int&) { source.stored(), source.str(), source.log_text(); },
                        [&](int&, attempt const&) { CHECK(observed(source) == copied); });
  }
}

TEST_CASE("making a key that runs out of memory makes none", "[key][exceptions]") {
  constexpr tideover::key_schema<"q", "b", "a"> q{};
  std::string const value(80, ':');
  std::size_t const points = fail_at_every_point([] { return std::optional<cache_key>(); },
                                                 [&](std::optional<cache_key>& key) { key = q(value, "x"); },
                                                 [&](std::optional<cache_key>& key, attempt const& how) {
                                                   CHECK(how.threw == how.fired);
                                                   CHECK(key.has_value() == !how.threw);
                                                 });
  CHECK(points > 0);
}

TEST_CASE("a put that fails under a key changes neither key nor cache", "[key][exceptions]") {
  tideover::ttl_cache_options options;
  options.capacity = 10;
  cache_key const key = cache_key("n").segment(std::string(400, 'x'));
  observed const before(key);
  using cache_type = tideover::ttl_cache<cache_key, int>;
  std::size_t const points = fail_at_every_point([&] { return std::make_unique<cache_type>(options); },
                                                 [&](auto& s) { s->put(key, 1); },
                                                 [&](auto& s, attempt const& how) {
                                                   CHECK(observed(key) == before);
                                                   CHECK(s->get(key).has_value() == !how.threw);
                                                 });
  CHECK(points > 0);
}

TEST_CASE("a text whose conversion throws changes nothing, and one that changes does no harm",
          "[key][exceptions]") {
  CHECK(strong_from_all<cache_key>([](cache_key& key) { key.segment(fragile_text()); }) >= starts.size());
  CHECK(strong_from_all<cache_key>([](cache_key& key) { key.param("p", fragile_text()); }) >= starts.size());
  CHECK(strong_from_all<cache_key>([](cache_key& key) { key.tag(fragile_text()); }) >= starts.size());
  constexpr tideover::key_schema<"q", "b", "a"> q{};
  std::size_t const points =
      fail_at_every_point([] { return std::optional<cache_key>(); },
                          [&](std::optional<cache_key>& key) { key = q(fragile_text(), fragile_text()); },
                          [&](std::optional<cache_key>& key, attempt const& how) {
                            CHECK(how.threw == how.fired);
                            CHECK(key.has_value() == !how.threw);
                            if (key) CHECK(key->size() <= 250);
                          });
  CHECK(points >= 2);
}
