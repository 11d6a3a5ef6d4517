// SPDX-License-Identifier: BSL-1.0
#include "gate/operations.hpp"

#include "gate/fixture.hpp"
#include "peers/list_map_lru.hpp"

#include <tideover/cache_key.hpp>
#include <tideover/policy/locking.hpp>

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bench::gate {

namespace {

std::vector<std::string> texts_of(std::vector<key_type> const& keys) {
  std::vector<std::string> texts;
  for (auto const key : keys) texts.push_back(fmt::format("user:{:014}", key % 100'000'000'000'000));
  return texts;
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
  all.push_back(planted_operation());
  all.push_back(get_hit<by_default>("get hit of 100000, default", 100'000, each));
  all.push_back(get_miss<by_default>("get miss, default"));
  all.push_back(put_new<by_default>("put new, evicting, default"));
  all.push_back(put_replace<by_default>("put replacing, default"));
  all.push_back(get_or_compute_hit<by_default>("get_or_compute hit, default"));
  all.push_back(erase<by_default>("erase, default"));
  all.push_back(text_get<texts>("get hit of text, default"));
  all.push_back(text_replace<texts>("put replacing text, default"));
  all.push_back(get_hit<by_one>("get hit, single_threaded", entries, each));
  all.push_back(get_miss<by_one>("get miss, single_threaded"));
  all.push_back(put_new<by_one>("put new, evicting, single_threaded"));
  all.push_back(put_replace<by_one>("put replacing, single_threaded"));
  all.push_back(get_or_compute_hit<by_one>("get_or_compute hit, single_threaded"));
  all.push_back(erase<by_one>("erase, single_threaded"));
  all.push_back(key_build());
  all.push_back(key_by_schema());
  add_backends(all);
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
