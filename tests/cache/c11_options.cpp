// SPDX-License-Identifier: BSL-1.0
#include "cache/common.hpp"

#include <tideover/error.hpp>
#include <tideover/policy/expiry/after_write_or_access.hpp>
#include <tideover/policy/expiry/per_entry.hpp>
#include <tideover/policy/weigher.hpp>

#include <cmath>
#include <limits>
#include <string>

namespace {

struct one_each {
  std::size_t operator()(int, int) const { return 1; }
};

/// What the constructor says of these options; empty if it takes them.
template <class... Policies>
std::string refusal(tideover::ttl_cache_options options) {
  try {
    int_cache<Policies...> cache(options);
  } catch (tideover::error const& e) {
    CHECK(e.code() == tideover::errc::invalid_argument);
    return e.what();
  }
  return {};
}

bool names(std::string const& text, char const* field, char const* value) {
  return text.find(std::string("ttl_cache_options.") + field) != std::string::npos &&
         text.find(value) != std::string::npos && text.find("must be") != std::string::npos;
}

}  // namespace

TEST_CASE("C11: the constructor names the bad field, its value and its bounds", "[C11]") {
  tideover::ttl_cache_options o;
  CHECK(refusal(o).empty());

  o.capacity = 0;
  CHECK(names(refusal(o), "capacity", "is 0"));
  CHECK(refusal(o).find("between 1 and") != std::string::npos);
  o = {};
  o.ttl = 0s;
  CHECK(names(refusal(o), "ttl", "is 0"));
  o.ttl = -1ns;
  CHECK(names(refusal(o), "ttl", "-1"));
  o.ttl = std::chrono::nanoseconds::min();
  CHECK(names(refusal(o), "ttl", "-"));
  o = {};
  o.ttl_jitter = std::numeric_limits<double>::quiet_NaN();
  CHECK(names(refusal(o), "ttl_jitter", "nan"));
  o.ttl_jitter = 0.51;
  CHECK(names(refusal(o), "ttl_jitter", "0.51"));
  o.ttl_jitter = -0.01;
  CHECK(names(refusal(o), "ttl_jitter", "-0.01"));
  o.ttl_jitter = std::numeric_limits<double>::infinity();
  CHECK(names(refusal(o), "ttl_jitter", "inf"));
  o.ttl_jitter = std::nextafter(0.5, 1.0);
  CHECK_FALSE(refusal(o).empty());
}

TEST_CASE("C11: the bounds themselves are good", "[C11]") {
  tideover::ttl_cache_options o;
  o.capacity = 1;
  o.ttl = 1ns;
  o.ttl_jitter = 0.5;
  CHECK(refusal(o).empty());
  o.ttl = std::chrono::nanoseconds::max();
  o.ttl_jitter = 0.0;
  CHECK(refusal(o).empty());
}

TEST_CASE("C11: a weight bound and a weigher need one another", "[C11]") {
  using weighed = tideover::weigh_by<one_each>;
  tideover::ttl_cache_options o;
  CHECK(names(refusal<weighed>(o), "max_weight", "is 0"));
  o.max_weight = 1;
  CHECK(refusal<weighed>(o).empty());
  CHECK(names(refusal(o), "max_weight", "is 1"));
}

TEST_CASE("C11: an idle time and a policy that counts it need one another", "[C11]") {
  using both = tideover::after_write_or_access;
  tideover::ttl_cache_options o;
  CHECK(names(refusal<both>(o), "idle_ttl", "is 0"));
  o.idle_ttl = -1ns;
  CHECK(names(refusal<both>(o), "idle_ttl", "-1"));
  CHECK(names(refusal(o), "idle_ttl", "-1"));
  o.idle_ttl = 1ns;
  CHECK(refusal<both>(o).empty());
  CHECK(names(refusal(o), "idle_ttl", "is 1"));
  CHECK(names(refusal<tideover::never>(o), "idle_ttl", "is 1"));
  o.ttl = 0s;
  CHECK(names(refusal<both>(o), "ttl", "is 0"));
}

namespace {
struct an_hour {
  std::chrono::hours operator()(int, int) const { return 1h; }
};
}  // namespace

TEST_CASE("C11: a ttl that is not used may be anything", "[C11]") {
  tideover::ttl_cache_options o;
  o.ttl = 0s;
  CHECK(refusal<tideover::never>(o).empty());
  CHECK(refusal<tideover::per_entry<an_hour>>(o).empty());
}

TEST_CASE("C11: capacity 1 works", "[C11]") {
  manual_clock clock;
  int_cache<> cache(sized(1, 60s), clock);
  for (int key = 0; key < 100; ++key) {
    CHECK(cache.put(key, key));
    CHECK(cache.get(key) == key);
    CHECK(cache.size() == 1);
    CHECK(cache.get_or_compute(-key - 1, [&] { return key; }) == key);
    CHECK_FALSE(cache.contains(key));
  }
  clock.advance(60s);
  CHECK_FALSE(cache.get(-100));
  CHECK(cache.size() == 0);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C11: set_capacity holds to the same bounds and changes nothing when it refuses", "[C11]") {
  int_cache<> cache(sized(5));
  for (int key = 0; key < 5; ++key) cache.put(key, key);
  CHECK_THROWS_AS(cache.set_capacity(0), tideover::error);
  CHECK_THROWS_AS(cache.set_capacity(std::numeric_limits<std::size_t>::max()), tideover::error);
  CHECK(cache.capacity() == 5);
  CHECK(cache.size() == 5);
  cache.set_capacity(1);
  CHECK(cache.size() == 1);
}

TEST_CASE("C11: a cache tells its options, and the defaults are the documented ones", "[C11]") {
  tideover::ttl_cache<int, int> cache({});
  CHECK(cache.configured().capacity == 10'000);
  CHECK(cache.configured().ttl == 5min);
  CHECK(cache.configured().ttl_jitter == 0.0);
  CHECK(cache.configured().max_weight == 0);
  CHECK(cache.capacity() == 10'000);
}
