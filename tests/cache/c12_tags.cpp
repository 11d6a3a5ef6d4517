// SPDX-License-Identifier: BSL-1.0
#include "cache/common.hpp"
#include "cache/failing.hpp"
#include "support/bombing_allocator.hpp"
#include "support/environment.hpp"
#include "support/event_log.hpp"

#include <tideover/policy/allocator.hpp>
#include <tideover/policy/negative.hpp>
#include <tideover/policy/tagging.hpp>

#include <array>
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using tideover::put_options;
using tideover::removal_cause;
using tideover::tag_list;
using tideover::tagged;

static_assert(std::is_nothrow_move_constructible_v<tag_list> &&
              std::is_nothrow_default_constructible_v<tag_list>);

std::vector<std::string> names_of(tag_list const& tags) { return {tags.begin(), tags.end()}; }

put_options under(tag_list tags) {
  put_options options;
  options.tags = std::move(tags);
  return options;
}

}  // namespace

TEST_CASE("C12: tags are given as one would type them, and owned by the options", "[C12]") {
  using names = std::vector<std::string>;
  std::string const tenant(40, 't');
  names const range{"x", "y"};
  CHECK(names_of(put_options{}.tags).empty());
  CHECK(names_of(put_options{.tags = "acme"}.tags) == names{"acme"});
  CHECK(names_of(put_options{.tags = {"acme", tenant, std::string_view("eu")}}.tags) ==
        names{"acme", tenant, "eu"});
  CHECK(names_of(put_options{.tags = {{"acme", "eu"}}}.tags) == names{"acme", "eu"});  // no iterators
  CHECK(names_of(put_options{.tags = tenant}.tags) == names{tenant});
  CHECK(names_of(put_options{.tags = range}.tags) == range);
  CHECK(names_of(put_options{.tags = std::set<std::string>{"b", "a"}}.tags) == names{"a", "b"});
  put_options kept;
  {
    std::string const passing(60, 'p');
    kept.tags = {passing + "1", passing + "2"};
  }
  CHECK(names_of(kept.tags) == names{std::string(60, 'p') + "1", std::string(60, 'p') + "2"});
  allocation_counter const counter;
  put_options const empty;
  CHECK(counter.allocations() == 0);
  CHECK(empty.tags.empty());
}

TEMPLATE_TEST_CASE("C12: erase_tag erases the entries that have the tag, in every shard, and no others",
                   "[C12]", tideover::single_threaded, tideover::one_mutex, tideover::sharded<>) {
  manual_clock clock;
  int_cache<tagged, TestType> cache(sized(40'000), clock);
  std::array<tag_list, 3> const tags{tag_list{"odd", "third"}, tag_list{"even"}, tag_list{}};
  for (int key = 0; key < 9000; ++key) cache.put(key, key, under(tags[std::size_t(key % 3)]));
  CHECK(cache.erase_tag("nobody") == 0);
  CHECK(cache.size() == 9000);
  CHECK(cache.erase_tag("odd") == 3000);
  CHECK(cache.size() == 6000);
  cache.for_each([](int const& key, int const&) { CHECK(key % 3 != 0); });
  CHECK(cache.erase_tag("third") == 0);
  CHECK(cache.erase_tag(std::string("even")) == 3000);
  CHECK(cache.erase_tag("even") == 0);
  CHECK(cache.size() == 3000);
  CHECK(cache.stats().erased == 6000);
  CHECK(cache.stats().tags == 0);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C12: a put says all tags of its entry: what the key had before is forgotten", "[C12]") {
  manual_clock clock;
  int_cache<tagged> in_place(sized(10), clock);
  tideover::ttl_cache<int, std::string, tagged, manual_clock> anew(sized(10), clock);
  auto const check = [&](auto& cache, auto value) {
    cache.put(1, value, under({"a", "b", "a"}));
    CHECK(cache.stats().tags == 2);
    cache.put(1, value, under({"b", "c"}));
    CHECK(cache.stats().tags == 2);
    CHECK(cache.erase_tag("a") == 0);
    CHECK(cache.contains(1));
    cache.put(1, value);
    CHECK(cache.stats().tags == 0);
    CHECK(cache.erase_tag("b") + cache.erase_tag("c") == 0);
    CHECK(cache.contains(1));
    cache.put(1, value, under(""));  // a name like any other
    CHECK(cache.erase_tag("a") == 0);
    CHECK(cache.erase_tag("") == 1);
    CHECK(cache.size() == 0);
  };
  check(in_place, 5);
  check(anew, std::string("five"));
}

TEST_CASE("C12: without a policy for them tags are refused by name", "[C12]") {
  manual_clock clock;
  int_cache<> cache(sized(10), clock);
  cache.put(1, 1);
  try {
    cache.put(1, 2, under({"a", "b"}));
    FAIL("taken");
  } catch (tideover::error const& e) {
    CHECK(e.code() == tideover::errc::invalid_argument);
    CHECK(std::string(e.what()).find("put_options.tags is 2 names; it must be empty") == 0);
  }
  CHECK(cache.peek(1) == 1);
}

TEST_CASE("C12: expired entries, those of older generations and nothing do not count as erased", "[C12]") {
  manual_clock clock;
  event_log<int, int> log;
  int_cache<tagged, event_log<int, int>> cache(sized(10), clock, log);
  cache.put(1, 1, under("t"));
  clock.advance(30s);
  cache.put(2, 2, under("t"));
  clock.advance(30s);
  CHECK(cache.erase_tag("t") == 1);
  CHECK(log.count(removal_cause::expired) == 1);
  CHECK(log.count(removal_cause::erased) == 1);
  cache.put(3, 3, under("t"));
  cache.new_generation();
  CHECK(cache.erase_tag("t") == 0);
  CHECK(log.count(removal_cause::cleared) == 1);
  CHECK(cache.stats().resident == 0);
  CHECK(adds_up(cache.stats()));
}

TEST_CASE("C5: erase_tag tells of each entry once, as erased, without a lock", "[C5]") {
  manual_clock clock;
  std::vector<int> told;
  std::function<void(int)> then;
  auto const listen = [&](int const& key, int const&, removal_cause cause) {
    CHECK(cause == removal_cause::erased);
    told.push_back(key);
    then(key);
  };
  tideover::listen_by listener(listen);
  int_cache<tagged, decltype(listener)> cache(sized(1000), clock, listener);
  then = [&](int key) {
    CHECK_FALSE(cache.contains(key));  // visible before it is told
    cache.put(key + 1000, key, under("later"));
  };
  for (int key = 0; key < 600; ++key) cache.put(key, key, under("t"));
  CHECK(cache.erase_tag("t") == 600);
  CHECK(told.size() == 600);
  CHECK(std::set<int>(told.begin(), told.end()).size() == 600);
  then = [](int) {};
  CHECK(cache.erase_tag("later") == 600);
}

TEST_CASE("C12: what a listener puts under the tag while it is erased neither keeps erase_tag nor is lost",
          "[C12]") {
  manual_clock clock;
  std::function<void(int)> again;
  auto const listen = [&](int const& key, int const&, removal_cause) { again(key); };
  tideover::listen_by listener(listen);
  int_cache<tagged, decltype(listener)> cache(sized(2000), clock, listener);
  again = [&](int key) { cache.put(key, key + 1, under("t")); };
  for (int key = 0; key < 1000; ++key) cache.put(key, key, under("t"));
  CHECK(cache.erase_tag("t") == 1000);
  CHECK(cache.size() == 1000);
  CHECK(cache.peek(999) == 1000);
  again = [](int) {};
}

TEST_CASE("C12: tags come and go with their entries: a million of them take no more memory than those in use",
          "[C12]") {
  bomb shared;
  using allocator = tideover::allocate_with<bombing_allocator<std::byte>>;
  allocator const allocate{bombing_allocator<std::byte>(shared)};
  manual_clock clock;
  {
    tideover::ttl_cache<int, int, tagged, tideover::lru, tideover::one_mutex, manual_clock, allocator> cache(
        sized(1000), clock, allocate);
    int const entries = int(number_from("TIDEOVER_MODEL_STEPS", 200'000));
    auto const put = [&](int key) {
      cache.put(key, key, under({"tag " + std::to_string(1'000'000 + key), "common"}));
    };
    for (int key = 0; key < 3000; ++key) put(key);
    long const before = shared.bytes_out;
    for (int key = 3000; key < entries; ++key) {
      put(key);
      if (key % 7 == 0) cache.erase(key);
      if (key % 97 == 0) cache.erase_tag("tag " + std::to_string(1'000'000 + key - 1));
    }
    CHECK(shared.bytes_out <= before);
    CHECK(cache.stats().tags <= cache.size() + 1);
    CHECK(cache.stats().tags > 900);
    cache.clear();
    CHECK(cache.stats().tags == 0);
    for (int key = 0; key < 100; ++key) put(key);  // names that the destructor has to free
  }
  CHECK(shared.bytes_out == 0);
}

TEST_CASE("C7: a put with tags that throws at any point has changed nothing, tags included", "[C7]") {
  using fixture = fragile_cache<tagged>;
  tag_list const tags{"a name too long for a small string of the library", "b", "c"};
  auto const put = [&](int key) {
    return [&tags, key](auto& cache) { cache.put(fragile(key), fragile(key * 10 + 1), under(tags)); };
  };
  auto const tagged_as_put = [](int key) {
    return [key](auto& t) {
      return t.at(key) == key * 10 + 1 && t.cache.stats().tags == 3 && t.cache.erase_tag("b") == 1 &&
             t.cache.stats().tags == 0 && !t.at(key);
    };
  };
  CHECK(hold_to_the_strong_guarantee<fixture>(sized(100), 4, put(99), tagged_as_put(99)) > 10);
  CHECK(hold_to_the_strong_guarantee<fixture>(sized(100), 4, put(2), tagged_as_put(2)) > 10);
  CHECK(hold_to_the_strong_guarantee<fixture>(sized(4), 4, put(99), tagged_as_put(99)) > 10);
  // What had tags before keeps them when the put fails.
  std::size_t const points = fail_at_every_point(
      [&] {
        auto t = std::make_unique<fixture>(sized(100), 4);
        t->cache.put(fragile(2), fragile(20), under({"old", "b"}));
        return t;
      },
      [&](auto& t) { put(2)(t->cache); },
      [&](auto& t, attempt const& how) {
        CHECK(t->cache.stats().tags == (how.threw ? 2u : 3u));
        CHECK(t->cache.erase_tag("old") == (how.threw ? 1u : 0u));
        CHECK(t->cache.erase_tag("c") == (how.threw ? 0u : 1u));
        CHECK(t->works());
      });
  CHECK(points > 10);
}

namespace {

struct fragile_tags {
  tag_list operator()(fragile const&, fragile const& value) const {
    fail_point();
    return {"value " + std::to_string(value.id()), "all"};
  }
};

}  // namespace

TEST_CASE("C7: a computation whose tags throw at any point has stored nothing", "[C7]") {
  CHECK(hold_to_the_strong_guarantee<fragile_cache<tideover::tagged_by<fragile_tags>>>(
            sized(100), 4, [](auto& cache) { cache.get_or_compute(fragile(9), [] { return fragile(91); }); },
            // No memory for its tags: delivered and not stored.
            [](auto& t) {
              return t.at(9) == 91 ? t.cache.erase_tag("value 91") == 1 : !t.at(9).has_value();
            }) > 10);
}

namespace {

struct letters {
  tag_list operator()(int const& key, std::string const& value) const {
    if (value == "bad") throw std::runtime_error("no tags");
    tag_list tags(key % 2 == 0 ? "even" : "odd");
    for (char const& c : value) tags.add(std::string_view(&c, 1));
    return tags;
  }
  std::string operator()(int const& key) const { return "nothing " + std::to_string(key); }
};
template <class... P>
using lettered = tideover::ttl_cache<int, std::string, tideover::tagged_by<letters>, manual_clock, P...>;

}  // namespace

TEST_CASE("C12: tagged_by gives tags to what is put and to what is computed, besides those of the put",
          "[C12]") {
  manual_clock clock;
  lettered<> cache(sized(100), clock);
  cache.put(1, "ab", under({"own", "a"}));
  cache.get_or_compute(2, [] { return "bc"; });
  cache.visit_or_compute(
      3, [] { return "cd"; }, [](std::string const&) {});
  cache.put(5, "de");
  CHECK(cache.erase_tag("own") == 1);
  CHECK(cache.erase_tag("a") == 0);
  CHECK(cache.erase_tag("c") == 2);
  CHECK(cache.erase_tag("odd") == 1);
  CHECK(cache.size() == 0);
  CHECK(cache.stats().tags == 0);
  cache.put(1, "x");
  CHECK_THROWS_AS(cache.put(1, "bad"), std::runtime_error);
  CHECK_THROWS_AS(cache.get_or_compute(2, [] { return "bad"; }), std::runtime_error);
  CHECK(cache.peek(1) == "x");
  CHECK_FALSE(cache.contains(2));
}

TEST_CASE("C12: that there is nothing has the tags that the key alone gives", "[C12]") {
  manual_clock clock;
  tideover::ttl_cache_options options = sized(100);
  options.negative_ttl = 10s;
  lettered<tideover::negative_results> cache(options, clock);
  int asked = 0;
  auto const find = [&]() -> std::optional<std::string> { return ++asked, std::nullopt; };
  cache.get_or_compute(7, find), cache.get_or_compute(7, find), cache.get_or_compute(8, find);
  CHECK(asked == 2);
  CHECK(cache.erase_tag("nothing 7") == 0);  // no value was erased
  cache.get_or_compute(7, find), cache.get_or_compute(8, find);
  CHECK(asked == 3);
  cache.get_or_compute(7, [&]() -> std::optional<std::string> {
    return cache.put(7, "s"), cache.erase_tag("nothing 7"), std::nullopt;
  });
  CHECK(cache.stats().tags == 2);
}

TEST_CASE("C12: a walk of puts, erasures, tags and time beside a map", "[C12]") {
  struct held {
    std::string value;
    std::set<std::string> tags;
    tideover::instant deadline;
  };
  manual_clock clock;
  tideover::ttl_cache<int, std::string, tagged, tideover::one_mutex, manual_clock, tideover::unbounded> cache(
      sized(1000), clock);
  std::map<int, held> oracle;
  std::mt19937_64 random(run_seed());
  auto const tag = [&] { return "tag " + std::to_string(random() % 12); };
  auto const steps = number_from("TIDEOVER_MODEL_STEPS", 100'000);
  for (std::uint64_t step = 0; step < steps; ++step) {
    std::erase_if(oracle, [&](auto const& e) { return e.second.deadline <= clock.now(); });
    int const key = int(random() % 60);
    std::uint64_t const dice = random() % 100;
    if (dice < 60) {
      std::set<std::string> tags;
      for (std::uint64_t n = random() % 4; n != 0; --n) tags.insert(tag());
      auto const life = std::chrono::milliseconds(1 + random() % 400);
      std::string const value = std::to_string(step);
      put_options options = under(tags);
      options.ttl = life;
      cache.put(key, value, options);
      oracle[key] = {value, tags, clock.now() + life};
    } else if (dice < 75) {
      std::string const name = tag();
      std::size_t const expected =
          std::erase_if(oracle, [&](auto const& e) { return e.second.tags.contains(name); });
      if (cache.erase_tag(name) != expected) FAIL("erase_tag at step " << step);
    } else if (dice < 85) {
      if (cache.erase(key) != (oracle.erase(key) != 0)) FAIL("erase at step " << step);
    } else if (dice < 97) {
      clock.advance(std::chrono::milliseconds(random() % 50));
    } else if (dice < 98) {
      cache.clear(), oracle.clear();
    } else {
      cache.maintain();
      std::set<std::string> tags;
      for (auto const& [k, h] : oracle) {
        if (h.deadline > clock.now()) tags.insert(h.tags.begin(), h.tags.end());
      }
      // Found at most 1.05 ms after the deadline, and lives are whole milliseconds.
      if (cache.stats().tags < tags.size()) FAIL("tags at step " << step);
      clock.advance(2ms), cache.maintain();
      std::erase_if(oracle, [&](auto const& e) { return e.second.deadline <= clock.now(); });
      tags.clear();
      for (auto const& [k, h] : oracle) tags.insert(h.tags.begin(), h.tags.end());
      if (cache.stats().resident == oracle.size() && cache.stats().tags != tags.size())
        FAIL("tags at step " << step);
    }
    auto const at = oracle.find(key);
    bool const lives = at != oracle.end() && at->second.deadline > clock.now();
    if (cache.peek(key) != (lives ? std::optional(at->second.value) : std::nullopt)) FAIL("step " << step);
  }
  CHECK(cache.stats().expired > 0);
  CHECK(adds_up(cache.stats()));
}
