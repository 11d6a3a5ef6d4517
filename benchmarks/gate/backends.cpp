// SPDX-License-Identifier: BSL-1.0
#include "gate/fixture.hpp"
#include "gate/operations.hpp"

#include <tideover/batch_processor.hpp>
#include <tideover/circuit_breaker.hpp>
#include <tideover/connection_pool.hpp>
#include <tideover/data_loader.hpp>
#include <tideover/guarded_cache.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench::gate {

namespace {

using tideover::hand_driven;

operation guard_hit() {
  using guarded = tideover::guarded_cache<key_type, value_type, standing_clock>;
  auto const c = std::make_shared<guarded>(guarded::options{.capacity = entries + entries / 2, .ttl = 60s},
                                           tideover::seeded_hash(1), tideover::xoshiro(1));
  auto const keys = some_keys(entries);
  for (auto const key : keys) keep(c->get_or_compute(key, value_of));
  return {"guarded_cache hit", "", entries, nothing, [c, asked = shuffled(keys)] {
            each(asked, [&](key_type key) { keep(c->get_or_compute(key, value_of)); });
          }};
}

operation breaker_call() {
  auto const b = std::make_shared<tideover::circuit_breaker<standing_clock>>(tideover::breaker_options());
  return {"circuit_breaker call, closed", "", entries, nothing, [b, keys = some_keys(entries)] {
            each(keys, [&](key_type key) { keep(b->call([key] { return key; })); });
          }};
}

template <class... Policies>
operation batch_add(std::string name) {
  using rows = tideover::batch_processor<std::uint64_t, standing_clock, hand_driven, Policies...>;
  auto const b = std::make_shared<rows>([](std::span<std::uint64_t>) {}, tideover::batch_options{});
  auto const drain = [b] {
    while (b->tick() != 0) {
    }
  };
  return {std::move(name), "", entries, drain,
          [b, keys = some_keys(entries)] { each(keys, [&](key_type key) { keep(b->add(key)); }); }};
}

operation loader_hit() {
  using store = cache<key_type, value_type>;
  using loader = tideover::data_loader<key_type, value_type, standing_clock, tideover::cache_in<store>,
                                       tideover::seeded_hash>;
  auto const values = [](std::span<key_type const> keys) {
    std::vector<value_type> all;
    for (auto const key : keys) all.push_back(value_of(key));
    return all;
  };
  auto const s = make<store>(entries + entries / 2);  // the loader's own would be seeded anew in each run
  auto const l = std::make_shared<loader>(values, loader::options{.linger = 0ns}, tideover::cache_in(*s),
                                          tideover::seeded_hash(1));
  auto const keys = some_keys(entries);
  keep(l->load_many(keys));
  return {"data_loader hit", "", entries, nothing,
          [s, l, asked = shuffled(keys)] { each(asked, [&](key_type key) { keep(l->load(key)); }); }};
}

struct connection {
  std::uint64_t uses = 0;
};
struct connector {
  using connection = gate::connection;
  static connection connect(tideover::deadline const&) { return {}; }
};

template <class... Policies>
operation pool_cycle(std::string name) {
  using pool = tideover::connection_pool<connector, standing_clock, hand_driven, Policies...>;
  auto const p = std::make_shared<pool>(connector(), typename pool::options{.min_size = 16, .max_size = 16});
  if (p->warm(16, 10s) != 16) throw std::runtime_error("the pool did not get warm");
  return {std::move(name), "", entries, nothing,
          [p, keys = some_keys(entries)] { each(keys, [&](key_type key) { p->acquire()->uses += key; }); }};
}

}  // namespace

void add_backends(std::vector<operation>& all) {
  all.push_back(guard_hit());
  all.push_back(breaker_call());
  all.push_back(batch_add<>("batch_processor add, ticket"));
  all.push_back(batch_add<tideover::relaxed_bounds>("batch_processor add, relaxed_bounds"));
  all.push_back(loader_hit());
  all.push_back(pool_cycle<>("connection_pool acquire and return"));
  all.push_back(pool_cycle<tideover::thread_affinity>("connection_pool, thread_affinity"));
}

}  // namespace bench::gate
