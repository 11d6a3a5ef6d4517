// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "gate/operations.hpp"
#include "support/streams.hpp"

#include <tideover/instant.hpp>
#include <tideover/policy/clock.hpp>
#include <tideover/policy/hashing.hpp>
#include <tideover/policy/rng.hpp>
#include <tideover/ttl_cache.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

/// What the operations are made of.
namespace bench::gate {

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

inline std::vector<key_type> some_keys(std::size_t count, std::uint64_t first = 0) {
  std::vector<key_type> keys;
  append(keys, scan_stream(first), count);
  for (auto& key : keys) key = scrambled(key);
  return keys;
}

/// The keys in an order that is not the one in which they came.
inline std::vector<key_type> shuffled(std::vector<key_type> keys) {
  std::mt19937_64 draw(1);
  for (std::size_t i = keys.size() - 1; i != 0; --i) std::swap(keys[i], keys[draw() % (i + 1)]);
  return keys;
}

inline value_type value_of(key_type key) { return {key, key + 1, key + 2, key + 3, key, key, key, key}; }

/// Does the operation for each key.
struct each_once {
  template <class Keys, class Operation>
  void operator()(Keys const& keys, Operation operation) const {
    for (auto const& key : keys) operation(key);
  }
};
inline constexpr each_once each;

inline void nothing() {}

/// `over` is what does the operation for each key.
template <class Cache, class Each>
operation get_hit(std::string name, std::size_t count, Each over) {
  auto const c = make<Cache>(count + count / 2);
  auto const keys = some_keys(count);
  for (auto const key : keys) c->put(key, value_of(key));
  return {std::move(name), count == entries ? "list_map get" : "", count, nothing,
          [c, over, asked = shuffled(keys)] { over(asked, [&](key_type key) { keep(c->get(key)); }); }};
}

}  // namespace bench::gate
