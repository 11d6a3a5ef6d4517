// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "peers/contestants.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

/// The peers that Debian packages bring. Where a package was not there when this was compiled, the peer is
/// absent and its name is among those that are missing.

#if TIDEOVER_PEERS_POCO
#include <Poco/ExpireLRUCache.h>
#include <Poco/Mutex.h>
#endif
#if TIDEOVER_PEERS_TBB
#define TBB_PREVIEW_CONCURRENT_LRU_CACHE 1
#include <tbb/concurrent_lru_cache.h>
#endif

namespace bench {

#if TIDEOVER_PEERS_POCO
template <class Kind>
class poco {
 public:
  static constexpr char const* name = "Poco";
  static constexpr char const* set_up =
      "Poco::ExpireLRUCache, FastMutex around it and none around its events (they run inside); values are "
      "shared, not copied; misses of a key are not coalesced";
  static constexpr bool may_be_shared = true;

  explicit poco(std::size_t capacity) : cache_(capacity, std::chrono::milliseconds(time_to_live).count()) {}

  bool read(typename Kind::key const& key, std::uint64_t& sum) {
    auto const value = cache_.get(key);
    if (value.isNull()) return false;
    sum += Kind::look(*value);
    return true;
  }
  void put(typename Kind::key const& key) { cache_.update(key, Kind::value_of(key)); }
  std::uint64_t read_through(typename Kind::key const& key) {
    if (auto const value = cache_.get(key); !value.isNull()) return Kind::look(*value);
    auto const value = counted_value<Kind>()(key);
    cache_.add(key, value);
    return Kind::look(value);
  }
  std::size_t size() { return cache_.size(); }

 private:
  Poco::ExpireLRUCache<typename Kind::key, typename Kind::value, Poco::FastMutex, Poco::NullMutex> cache_;
};
#endif

#if TIDEOVER_PEERS_TBB
/// It can do one thing, which is to read through; nothing in it expires.
template <class Kind>
class tbb_lru {
 public:
  static constexpr char const* name = "tbb";
  static constexpr char const* set_up =
      "tbb::concurrent_lru_cache; values are held, not copied; no time to live, no get, no put";
  static constexpr bool may_be_shared = true;

  explicit tbb_lru(std::size_t capacity) : cache_(counted_value<Kind>(), capacity) {}

  std::uint64_t read_through(typename Kind::key const& key) {
    auto held = cache_[key];
    return Kind::look(held.value());
  }

 private:
  tbb::concurrent_lru_cache<typename Kind::key, typename Kind::value, counted_value<Kind>> cache_;
};
#endif

/// The types of the peers of Debian that are there, as a std::tuple of pointers to them.
template <class Kind>
using debian_peers = decltype(std::tuple_cat(
#if TIDEOVER_PEERS_POCO
    std::tuple<poco<Kind>*>(),
#endif
#if TIDEOVER_PEERS_TBB
    std::tuple<tbb_lru<Kind>*>(),
#endif
    std::tuple<>()));

struct missing_peer {
  std::string name;
  std::string package;
};
inline std::vector<missing_peer> missing_peers() {
  std::vector<missing_peer> missing;
#if !TIDEOVER_PEERS_POCO
  missing.push_back({"Poco::ExpireLRUCache", "libpoco-dev"});
#endif
#if !TIDEOVER_PEERS_TBB
  missing.push_back({"tbb::concurrent_lru_cache", "libtbb-dev"});
#endif
  return missing;
}

}  // namespace bench
