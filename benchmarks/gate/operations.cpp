// SPDX-License-Identifier: BSL-1.0
#include "gate/operations.hpp"

#include "peers/list_map_lru.hpp"
#include "support/streams.hpp"

#include <tideover/cache_key.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/hashing.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/policy/rng.hpp>
#include <tideover/ttl_cache.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// How often the planted operation is done twice; 0: never, which is this program as it is meant.
#ifndef TIDEOVER_BENCHMARK_PLANT_EVERY
#define TIDEOVER_BENCHMARK_PLANT_EVERY 0
#endif

namespace bench::gate {

namespace {

using namespace std::chrono_literals;

using key_type = std::uint64_t;
using value_type = std::array<std::uint64_t, 8>;

constexpr std::size_t entries = 1000;

template <class T>
void keep(T const& made) {
  asm volatile("" : : "g"(&made) : "memory");
}

/// The default clock's work, and an answer that is always the same: no run is a tick longer than another.
struct standing_clock {
  using policy_axis = tideover::axis::clock;
  static tideover::instant now() noexcept {
    keep(tideover::coarse::now());
    return tideover::instant::at(1h);
  }
  static tideover::instant precise_now() noexcept { return now(); }
  template <class ConditionVariable, class Lock>
  static void wait_until(ConditionVariable& cv, Lock& lock, tideover::instant t) {
    tideover::coarse::wait_until(cv, lock, t);
  }
};

template <class Key, class Value, class... Policies>
using cache = tideover::ttl_cache<Key, Value, standing_clock, Policies...>;

template <class Cache>
std::shared_ptr<Cache> make(std::size_t capacity) {
  return std::make_shared<Cache>(typename Cache::options{.capacity = capacity, .ttl = 60s},
                                 tideover::seeded_hash(1), tideover::xoshiro(1));
}

std::vector<key_type> some_keys(std::size_t count, std::uint64_t first = 0) {
  std::vector<key_type> keys;
  append(keys, scan_stream(first), count);
  for (auto& key : keys) key = scrambled(key);
  return keys;
}

/// The keys in an order that is not the one in which they came.
std::vector<key_type> shuffled(std::vector<key_type> keys) {
  std::mt19937_64 draw(1);
  for (std::size_t i = keys.size() - 1; i != 0; --i) std::swap(keys[i], keys[draw() % (i + 1)]);
  return keys;
}

value_type value_of(key_type key) { return {key, key + 1, key + 2, key + 3, key, key, key, key}; }

std::vector<std::string> texts_of(std::vector<key_type> const& keys) {
  std::vector<std::string> texts;
  for (auto const key : keys) texts.push_back(fmt::format("user:{:014}", key % 100'000'000'000'000));
  return texts;
}

/// Does the operation for each key.
template <class Keys, class Operation>
void each(Keys const& keys, Operation operation) {
  for (auto const& key : keys) operation(key);
}

/// The same, but every so-manyth twice where this program is the planted variant.
template <class Keys, class Operation>
void each_planted(Keys const& keys, Operation operation) {
#if TIDEOVER_BENCHMARK_PLANT_EVERY
  std::size_t left = TIDEOVER_BENCHMARK_PLANT_EVERY;
  for (auto const& key : keys) {
    operation(key);
    if (--left != 0) continue;
    left = TIDEOVER_BENCHMARK_PLANT_EVERY;
    operation(key);
  }
#else
  each(keys, operation);
#endif
}

void nothing() {}

template <class Cache, bool Planted = false>
operation get_hit(std::string name, std::size_t count = entries) {
  auto const c = make<Cache>(count + count / 2);
  auto const keys = some_keys(count);
  for (auto const key : keys) c->put(key, value_of(key));
  return {std::move(name), count == entries ? "list_map get" : "", count, nothing,
          [c, asked = shuffled(keys)] {
            auto const get = [&](key_type key) { keep(c->get(key)); };
            if constexpr (Planted) {
              each_planted(asked, get);
            } else {
              each(asked, get);
            }
          }};
}

template <class Cache>
operation get_miss(std::string name) {
  auto const c = make<Cache>(entries + entries / 2);
  for (auto const key : some_keys(entries)) c->put(key, value_of(key));
  return {std::move(name), "list_map get absent", entries, nothing, [c, asked = some_keys(entries, entries)] {
            each(asked, [&](key_type key) { keep(c->get(key)); });
          }};
}

template <class Cache>
operation put_new(std::string name) {
  auto const c = make<Cache>(entries);
  for (auto const key : some_keys(4 * entries)) c->put(key, value_of(key));
  auto const keys = std::make_shared<std::vector<key_type>>();
  auto const fresh = [keys, next = std::uint64_t{4 * entries}]() mutable {
    *keys = some_keys(entries, std::exchange(next, next + entries));
  };
  return {std::move(name), "list_map put new", entries, fresh,
          [c, keys] { each(*keys, [&](key_type key) { keep(c->put(key, value_of(key))); }); }};
}

template <class Cache>
operation put_replace(std::string name) {
  auto const c = make<Cache>(entries + entries / 2);
  auto const keys = some_keys(entries);
  for (auto const key : keys) c->put(key, value_of(key));
  return {std::move(name), "list_map put", entries, nothing, [c, asked = shuffled(keys)] {
            each(asked, [&](key_type key) { keep(c->put(key, value_of(key))); });
          }};
}

template <class Cache>
operation get_or_compute_hit(std::string name) {
  auto const c = make<Cache>(entries + entries / 2);
  auto const keys = some_keys(entries);
  for (auto const key : keys) c->put(key, value_of(key));
  return {std::move(name), "list_map get", entries, nothing, [c, asked = shuffled(keys)] {
            each(asked, [&](key_type key) { keep(c->get_or_compute(key, value_of)); });
          }};
}

template <class Cache>
operation erase(std::string name) {
  auto const c = make<Cache>(entries + entries / 2);
  auto const keys = some_keys(entries);
  auto const refill = [c, keys] {
    for (auto const key : keys) c->put(key, value_of(key));
  };
  return {std::move(name), "list_map erase", entries, refill,
          [c, asked = shuffled(keys)] { each(asked, [&](key_type key) { keep(c->erase(key)); }); }};
}

template <class Cache>
operation text_get(std::string name) {
  auto const c = make<Cache>(entries + entries / 2);
  auto const keys = texts_of(shuffled(some_keys(entries)));
  for (auto const& key : keys) c->put(key, std::string(100, 'v'));
  return {std::move(name), "list_map get of text", entries, nothing,
          [c, keys] { each(keys, [&](std::string const& key) { keep(c->get(key)); }); }};
}

template <class Cache>
operation text_replace(std::string name) {
  auto const c = make<Cache>(entries + entries / 2);
  auto const keys = texts_of(shuffled(some_keys(entries)));
  for (auto const& key : keys) c->put(key, std::string(100, 'v'));
  return {std::move(name), "list_map put of text", entries, nothing, [c, keys] {
            each(keys, [&](std::string const& key) { keep(c->put(key, std::string(100, 'w'))); });
          }};
}

struct parts {
  std::uint64_t id;
  std::string locale;
  std::string_view page;
};

std::vector<parts> some_parts() {
  constexpr std::array<char const*, 4> locales = {"de-DE", "en-GB", "pt-BR", "fi-FI"};
  constexpr std::array<std::string_view, 3> pages = {"profile", "orders", "settings"};
  std::vector<parts> made;
  for (auto const key : some_keys(entries)) {
    made.push_back({key % 10'000'000, locales[key / 16 % 4], pages[key / 256 % 3]});
  }
  return made;
}

operation key_build() {
  return {"cache_key build", "fmt::format_to", entries, nothing, [all = some_parts()] {
            each(all, [](parts const& p) {
              tideover::cache_key key("user");
              key.param("id", p.id).param("locale", p.locale).param("page", p.page).version(2);
              keep(key);
            });
          }};
}

operation key_by_schema() {
  static constexpr tideover::key_schema<"user", "id", "locale", "page"> user_key{.version = 2};
  return {"key_schema", "fmt::format_to", entries, nothing, [all = some_parts()] {
            each(all, [](parts const& p) { keep(user_key(p.id, p.locale, p.page)); });
          }};
}

}  // namespace

std::vector<operation> operations() {
  using by_default = cache<key_type, value_type>;
  using by_one = cache<key_type, value_type, tideover::single_threaded>;
  using texts = cache<std::string, std::string>;
  std::vector<operation> all;
  all.push_back(get_hit<by_default, true>(planted));
  all.push_back(get_hit<by_default>("get hit of 100000, default", 100'000));
  all.push_back(get_miss<by_default>("get miss, default"));
  all.push_back(put_new<by_default>("put new, evicting, default"));
  all.push_back(put_replace<by_default>("put replacing, default"));
  all.push_back(get_or_compute_hit<by_default>("get_or_compute hit, default"));
  all.push_back(erase<by_default>("erase, default"));
  all.push_back(text_get<texts>("get hit of text, default"));
  all.push_back(text_replace<texts>("put replacing text, default"));
  all.push_back(get_hit<by_one>("get hit, single_threaded"));
  all.push_back(get_miss<by_one>("get miss, single_threaded"));
  all.push_back(put_new<by_one>("put new, evicting, single_threaded"));
  all.push_back(put_replace<by_one>("put replacing, single_threaded"));
  all.push_back(get_or_compute_hit<by_one>("get_or_compute hit, single_threaded"));
  all.push_back(erase<by_one>("erase, single_threaded"));
  all.push_back(key_build());
  all.push_back(key_by_schema());
  return all;
}

// A table alone, without lock or clock, would be a purer measure and a worse one: it suffers from a busy
// neighbour of its processor more than a cache does, so that the ratio is another one under load.
std::vector<operation> baselines() {
  struct now {
    std::chrono::nanoseconds operator()() const { return standing_clock::now().since_epoch(); }
  };
  using list_map = list_map_lru<key_type, value_type, now>;
  using text_map = list_map_lru<std::string, std::string, now>;
  auto const keys = some_keys(entries);
  auto const asked = shuffled(keys);
  auto const list = std::make_shared<list_map>(entries, 60s);
  auto const refill = [list, keys] {
    for (auto const key : keys) list->put(key, value_of(key));
  };
  auto const full = std::make_shared<list_map>(entries, 60s);
  auto const new_keys = std::make_shared<std::vector<key_type>>();
  auto const fresh = [new_keys, next = std::uint64_t{0}]() mutable {
    *new_keys = some_keys(entries, std::exchange(next, next + entries));
  };
  auto const texts = texts_of(asked);
  auto const of_text = std::make_shared<text_map>(entries, 60s);
  for (auto const& key : texts) of_text->put(key, std::string(100, 'v'));

  std::vector<operation> all;
  auto const add = [&all](char const* name, auto prepare, auto run) {
    all.push_back({name, "", entries, std::move(prepare), std::move(run)});
  };
  add("list_map get", refill, [list, asked] { each(asked, [&](key_type key) { keep(list->get(key)); }); });
  add("list_map get absent", refill, [list, absent = some_keys(entries, entries)] {
    each(absent, [&](key_type key) { keep(list->get(key)); });
  });
  add("list_map put new", fresh,
      [full, new_keys] { each(*new_keys, [&](key_type key) { full->put(key, value_of(key)); }); });
  add("list_map put", refill,
      [list, asked] { each(asked, [&](key_type key) { list->put(key, value_of(key)); }); });
  add("list_map erase", refill,
      [list, asked] { each(asked, [&](key_type key) { keep(list->erase(key)); }); });
  add("list_map get of text", nothing,
      [of_text, texts] { each(texts, [&](std::string const& key) { keep(of_text->get(key)); }); });
  add("list_map put of text", nothing, [of_text, texts] {
    each(texts, [&](std::string const& key) { of_text->put(key, std::string(100, 'w')); });
  });
  add("fmt::format_to", nothing, [every = some_parts()] {
    each(every, [](parts const& p) {
      fmt::memory_buffer text;
      fmt::format_to(fmt::appender(text), "user:id={}:locale={}:page={}:v{}", p.id, p.locale, p.page, 2);
      keep(text);
    });
  });
  return all;
}

}  // namespace bench::gate
