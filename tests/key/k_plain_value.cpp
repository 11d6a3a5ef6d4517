// SPDX-License-Identifier: BSL-1.0
#include "key/common.hpp"
#include "key/random_model.hpp"
#include "support/environment.hpp"

#include <algorithm>
#include <compare>
#include <concepts>
#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

static_assert(std::regular<std::remove_cvref_t<decltype(std::declval<cache_key>().str())>>);
static_assert(std::copyable<cache_key> && std::totally_ordered<cache_key> &&
              std::three_way_comparable<cache_key>);
static_assert(std::is_nothrow_move_constructible_v<cache_key> &&
              std::is_nothrow_move_assignable_v<cache_key>);
static_assert(std::is_nothrow_destructible_v<cache_key> && !std::is_default_constructible_v<cache_key>);
static_assert(!std::is_convertible_v<std::string, cache_key> &&
              !std::is_convertible_v<char const*, cache_key>);
static_assert(!std::is_convertible_v<cache_key, std::string>);  // only if asked for
static_assert(
    noexcept(std::declval<cache_key const&>().view()) && noexcept(std::declval<cache_key const&>().hash()));
static_assert(sizeof(cache_key) <= 160);

/// Sizes of the first segment, so that the texts end at the ends of all buffers; the last ones are digested.
constexpr std::size_t sizes[] = {0,   1,   50,  100, 113, 114, 115, 116, 117,
                                 150, 194, 195, 196, 197, 250, 400, 5000};

cache_key sized(std::size_t size, tideover::cache_key_options options = {}) {
  return cache_key("n", options).segment(std::string(size, 'x'));
}

}  // namespace

TEST_CASE("copies are equal and lead their own lives", "[key]") {
  for (std::size_t const size : sizes) {
    cache_key const original = sized(size);
    observed const before(original);
    cache_key copy = original;
    CHECK(copy == original);
    CHECK(observed(copy) == before);
    copy.param("a", 1).version(9).tag("t");
    CHECK(observed(original) == before);
    CHECK(copy == sized(size).param("a", 1).version(9).tag("t"));
    for (std::size_t const other : sizes) {
      cache_key assigned = sized(other).tag("old");
      assigned.hash();
      assigned = original;
      CHECK(observed(assigned) == before);
      CHECK(assigned.param("a", 1).version(9).tag("t") == copy);
    }
  }
}

TEST_CASE("moves take all of the key", "[key]") {
  for (std::size_t const size : sizes) {
    observed const expected(sized(size));
    cache_key source = sized(size);
    if (size % 2 == 0) source.hash();
    cache_key moved = std::move(source);
    CHECK(observed(moved) == expected);
    for (std::size_t const other : sizes) {
      cache_key assigned = sized(other).tag("old");
      cache_key again = sized(size);
      assigned = std::move(again);
      CHECK(observed(assigned) == expected);
      CHECK(assigned.segment(2) == sized(size).segment(2));
    }
    CHECK(moved.segment(2) == sized(size).segment(2));
  }
}

TEST_CASE("a key that was moved from can be read, assigned to and destroyed", "[key]") {
  for (bool const old_form : {false, true}) {
    for (std::size_t const size : sizes) {
      cache_key source = sized(size, {.seed_compatible = old_form});
      source.hash();
      cache_key const moved = std::move(source);
      // What it says is open; that it can be asked is not.
      CHECK(source.view().size() <= 250);
      CHECK(source.str() == source.view());
      CHECK(source.name_space().size() <= 64);
      CHECK(source.log_text().size() <= 64 + 17);
      cache_key const copy = source;
      CHECK(copy == source);
      CHECK(copy.hash() == source.hash());
      CHECK(copy.stored() == source);
      static_cast<void>(source.try_segment("more"));
      static_cast<void>(source.try_param("more", 1));
      CHECK(source.view().size() <= 250);
      source = sized(3);
      CHECK(source == sized(3));
      CHECK(source.hash() == sized(3).hash());
      CHECK(source.segment(1) == sized(3).segment(1));
    }
  }
}

TEST_CASE("a key assigned to itself stays", "[key]") {
  for (std::size_t const size : sizes) {
    cache_key key = sized(size);
    observed const before(key);
    cache_key& same = key;
    key = same;
    CHECK(observed(key) == before);
    key = std::move(same);
    CHECK(observed(key) == before);
    std::swap(key, same);
    CHECK(observed(key) == before);
    CHECK(key.segment(1) == sized(size).segment(1));
  }
}

TEST_CASE("a key may be given views into itself", "[key]") {
  for (std::size_t size = 0; size < 260; ++size) {
    cache_key const original = sized(size).param("name", "value");
    std::string const text = original.str();
    auto const same = [&](auto verb) {
      cache_key inside = original, outside = original;
      verb(inside, inside.view());
      verb(outside, std::string_view(text));
      if (inside != outside || inside.view() != outside.view()) FAIL_CHECK(size << ": " << inside.view());
    };
    same([](cache_key& key, std::string_view view) { key.segment(view); });
    same([](cache_key& key, std::string_view view) { key.param(view, 1); });
    same([](cache_key& key, std::string_view view) { key.param(view, view); });
    same([](cache_key& key, std::string_view view) { key.param(view.substr(0, 1), view.substr(1)); });
    same([](cache_key& key, std::string_view view) { key.secret(view, view, size_digest()); });
    same([](cache_key& key, std::string_view view) { key.tag(view.substr(0, 30)); });
    same([](cache_key& key, std::string_view view) { key.segment(std::vector{view, view, view}); });
    same([](cache_key& key, std::string_view view) { key.segment(std::pair(view, std::tuple(view))); });
    cache_key key = original;
    CHECK(key.segment(key.name_space()) == cache_key(original).segment("n"));
    CHECK_THROWS_AS(key.param(std::string_view("name"), key.view()), tideover::error);
  }
}

TEST_CASE("a key may be given any part of itself", "[key]") {
  cache_key const original = cache_key("n").segment("abc").version(12345);
  std::string const text = original.str();
  for (std::size_t from = 0; from <= text.size(); ++from) {
    for (std::size_t size = 0; from + size <= text.size(); ++size) {
      auto const same = [&](auto verb) {
        cache_key inside = original, outside = original;
        verb(inside, inside.view().substr(from, size));
        verb(outside, std::string_view(text).substr(from, size));
        if (inside != outside) FAIL_CHECK(inside.view() << ", should be " << outside.view());
      };
      same([](cache_key& key, std::string_view part) { key.segment(part); });
      same([](cache_key& key, std::string_view part) { key.param("name", part); });
      same([](cache_key& key, std::string_view part) { key.param(part, "value"); });
      same([](cache_key& key, std::string_view part) { key.param(part, part); });
      same([](cache_key& key, std::string_view part) {
        key.param("a", 1).param(key.view().substr(2, 3), part.size());
      });
      same([](cache_key& key, std::string_view part) {
        if (!part.empty()) key.tag(part);
      });
    }
  }
}

TEST_CASE("equality, order and hash agree with the texts", "[key]") {
  model_maker make(run_seed() + 3, 60);
  std::vector<cache_key> keys;
  for (int i = 0; i < 300; ++i) keys.push_back(key_of(make.model()));
  for (std::size_t const size : sizes) keys.push_back(sized(size)), keys.push_back(sized(size).stored());
  for (cache_key const& a : keys) {
    CHECK(a == a);
    for (cache_key const& b : keys) {
      bool const equal = a.view() == b.view() && a.check() == b.check();
      bool const good = (a == b) == equal && (a != b) == !equal && std::is_eq(a <=> b) == equal &&
                        (a < b) == (b > a) && (a <= b) == !(b < a) && (!equal || a.hash() == b.hash()) &&
                        (equal || a.hash() != b.hash()) &&
                        (a.view() == b.view() || (a < b) == (a.view() < b.view()));
      if (!good) FAIL_CHECK(a.view() << " and " << b.view());
    }
  }
  std::sort(keys.begin(), keys.end());
  CHECK(std::is_sorted(keys.begin(), keys.end()));
}

TEST_CASE("the hash is that of the text, whenever it is asked for and whatever was before", "[key]") {
  cache_key key("n");
  std::set<std::uint64_t> seen;
  auto const check = [&] {
    std::uint64_t const hash = key.hash();
    CHECK(hash == key.hash());
    CHECK(hash == std::hash<cache_key>()(key));
    CHECK(cache_key(key).hash() == hash);
    CHECK(seen.insert(hash).second);  // another text, another hash
  };
  check();
  key.segment("s"), check();
  key.segment("s"), check();
  key.param("b", 1), check();
  key.param("a", 1), check();
  key.version(2), check();
  key.tag("t"), check();
  key.generation(3), check();
  key.segment(std::string(300, 'x')), check();
  key.version(1), check();
  CHECK_THROWS_AS(key.generation(4), tideover::error);
  CHECK(seen.count(key.hash()) == 1);
  cache_key asked("n"), silent("n");
  asked.hash();
  asked.segment(1), silent.segment(1);
  asked.hash();
  asked.version(2), silent.version(2);
  CHECK(asked.hash() == silent.hash());
  key = asked;
  CHECK(key.hash() == silent.hash());
}
