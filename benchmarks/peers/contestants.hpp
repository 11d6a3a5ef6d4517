// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "peers/list_map_lru.hpp"

#include <tideover/policy/clock.hpp>
#include <tideover/policy/hashing.hpp>
#include <tideover/policy/rng.hpp>
#include <tideover/ttl_cache.hpp>

#include <boost/unordered/unordered_flat_map.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>

/// ttl_cache and the others behind one face, which is what of it they have:
///
///     C(capacity)             a time to live of a minute, where there is one
///     bool read(key, sum)     the value, if it is there, in the way that costs the least; adds what it saw
///     void put(key)           stores the key's value
///     u64 read_through(key)   the value, made and stored if it was not there
///     size()                  the entries that are there
///
/// and says its name, how it was set up, and whether threads may share it.
namespace bench {

/// How many values the calling thread had to make in read_through.
inline thread_local std::uint64_t values_made = 0;

template <class Kind>
struct counted_value {
  typename Kind::value operator()(typename Kind::key const& key) const {
    ++values_made;
    return Kind::value_of(key);
  }
};

constexpr auto time_to_live = std::chrono::minutes(1);

template <class Eviction>
inline constexpr char const* eviction_name = "";
template <>
inline constexpr char const* eviction_name<tideover::steered> = "steered";
template <>
inline constexpr char const* eviction_name<tideover::w_tinylfu> = "w_tinylfu";
template <>
inline constexpr char const* eviction_name<tideover::s3_fifo> = "s3_fifo";
template <>
inline constexpr char const* eviction_name<tideover::sieve> = "sieve";
template <>
inline constexpr char const* eviction_name<tideover::lru> = "lru";

/// The subject. Its seeds are fixed, so that a run repeats the one before it.
template <class Kind, class Eviction>
class ours {
 public:
  static constexpr char const* name = eviction_name<Eviction>;
  static constexpr char const* set_up =
      "tideover::ttl_cache with this eviction, else its defaults: after_write, sharded<16>, coarse clock";
  static constexpr bool may_be_shared = true;

  explicit ours(std::size_t capacity)
      : cache_({.capacity = capacity, .ttl = time_to_live}, tideover::seeded_hash(1), tideover::xoshiro(1)) {}

  bool read(typename Kind::key const& key, std::uint64_t& sum) {
    auto const value = cache_.get(key);
    if (!value) return false;
    sum += Kind::look(*value);
    return true;
  }
  void put(typename Kind::key const& key) { cache_.put(key, Kind::value_of(key)); }
  std::uint64_t read_through(typename Kind::key const& key) {
    return Kind::look(cache_.get_or_compute(key, counted_value<Kind>()));
  }
  std::size_t size() const { return cache_.size(); }

 private:
  tideover::ttl_cache<typename Kind::key, typename Kind::value, Eviction> cache_;
};

/// What everybody writes, with the cheapest clock there is.
template <class Kind>
class list_map {
 public:
  static constexpr char const* name = "list_map";
  static constexpr char const* set_up =
      "std::mutex, std::list in order of use, std::unordered_map reserved for the capacity, nodes reused, "
      "coarse clock";
  static constexpr bool may_be_shared = true;

  explicit list_map(std::size_t capacity) : cache_(capacity, time_to_live) {}

  bool read(typename Kind::key const& key, std::uint64_t& sum) {
    auto const value = cache_.get(key);
    if (!value) return false;
    sum += Kind::look(*value);
    return true;
  }
  void put(typename Kind::key const& key) { cache_.put(key, Kind::value_of(key)); }
  std::uint64_t read_through(typename Kind::key const& key) {
    return Kind::look(cache_.get_or_compute(key, counted_value<Kind>()));
  }
  std::size_t size() const { return cache_.size(); }

 private:
  struct coarse_now {
    std::chrono::nanoseconds operator()() const { return tideover::coarse::now().since_epoch(); }
  };
  list_map_lru<typename Kind::key, typename Kind::value, coarse_now> cache_;
};

/// The price of a lookup alone: a bare hash table, which neither bounds nor expires nor locks, and whose
/// value is looked at in place.
template <class Kind>
class flat_map {
 public:
  static constexpr char const* name = "flat_map";
  static constexpr char const* set_up =
      "boost::unordered_flat_map, boost::hash; no lock, no clock, no bound, no copy of the value";
  static constexpr bool may_be_shared = false;

  explicit flat_map(std::size_t) {}

  bool read(typename Kind::key const& key, std::uint64_t& sum) {
    auto const at = map_.find(key);
    if (at == map_.end()) return false;
    sum += Kind::look(at->second);
    return true;
  }
  void put(typename Kind::key const& key) { map_.insert_or_assign(key, Kind::value_of(key)); }
  std::size_t size() const { return map_.size(); }

 private:
  boost::unordered_flat_map<typename Kind::key, typename Kind::value> map_;
};

template <class C, class Kind>
concept reads = requires(C& c, typename Kind::key const& key, std::uint64_t& sum) {
  { c.read(key, sum) } -> std::same_as<bool>;
};
template <class C, class Kind>
concept writes = requires(C& c, typename Kind::key const& key) {
  c.put(key);
};
template <class C, class Kind>
concept reads_through = requires(C& c, typename Kind::key const& key) {
  { c.read_through(key) } -> std::same_as<std::uint64_t>;
};

}  // namespace bench
