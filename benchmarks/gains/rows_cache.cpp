// SPDX-License-Identifier: BSL-1.0

// What the cache alone is responsible for. Hit ratios are measured from key streams, never set: a request
// counts as a hit when the value came back without its function having run.

#include "gains/table.hpp"
#include "peers/list_map_lru.hpp"
#include "support/streams.hpp"

#include <tideover/policy/clock.hpp>
#include <tideover/policy/eviction/lru.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/ttl_cache.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

namespace gains {

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

using key_type = std::uint64_t;
using value_type = std::uint64_t;

nanoseconds seconds(double s) { return nanoseconds(static_cast<std::int64_t>(s * 1e9)); }

/// Virtual time as the peers read it.
struct virtual_now {
  tideover::manual_clock clock;
  nanoseconds operator()() const { return clock.now().since_epoch(); }
};

using hand_written_lru = bench::list_map_lru<key_type, value_type, virtual_now>;

/// A map that never evicts: the most that one tier can answer with a given TTL.
class boundless_map {
 public:
  boundless_map(nanoseconds ttl, virtual_now now) : ttl_(ttl), now_(std::move(now)) {}

  template <class F>
  value_type get_or_compute(key_type key, F&& compute) {
    auto& e = entries_[key];
    if (auto const now = now_(); now >= e.deadline) e = {compute(key), now + ttl_};
    return e.value;
  }

 private:
  struct entry {
    value_type value = 0;
    nanoseconds deadline = nanoseconds::min();
  };
  nanoseconds ttl_;
  virtual_now now_;
  std::unordered_map<key_type, entry> entries_;
};

/// Requests at an even rate for keys of a Zipf stream. Returns the share, in percent, that `cache` answered
/// once it was warm.
template <class Cache>
double hit_percentage(Cache& cache, tideover::manual_clock const& clock, inputs const& in, run const& r) {
  // Two lives of an entry settle the cache; what follows is measured.
  double const measured = r.effort == effort::quick ? 500 : r.effort == effort::normal ? 2'000 : 10'000;
  auto const warm_up = static_cast<std::size_t>(2 * in["ttl"] * in["rate"]);
  auto const counted = static_cast<std::size_t>(measured * in["rate"]);
  auto const gap = seconds(1 / in["rate"]);
  bench::zipf_stream keys(in["alpha"], static_cast<std::size_t>(in["keys"]), r.seed);
  std::size_t misses = 0;
  auto const origin = [&](key_type key) {
    ++misses;
    return key;
  };
  auto const request = [&](std::size_t times) {
    for (std::size_t i = 0; i != times; ++i) {
      clock.advance(gap);
      cache.get_or_compute(keys(), origin);
    }
  };
  request(warm_up);
  misses = 0;
  request(counted);
  return 100 - 100 * static_cast<double>(misses) / static_cast<double>(counted);
}

sample hit_ratio(inputs const& in, run const& r) {
  auto const entries = static_cast<std::size_t>(in["entries"]);
  auto const ttl = seconds(in["ttl"]);
  auto const measure = [&](auto const& with_clock) {
    tideover::manual_clock const clock;
    return with_clock(clock);
  };
  sample s{};
  s.reproduced = measure([&](tideover::manual_clock const& clock) {
    tideover::ttl_cache<key_type, value_type, tideover::lru, tideover::single_threaded,
                        tideover::manual_clock>
        cache({.capacity = entries, .ttl = ttl}, clock);
    return hit_percentage(cache, clock, in, r);
  });
  s.ordinary = measure([&](tideover::manual_clock const& clock) {
    hand_written_lru cache(entries, ttl, {clock});
    return hit_percentage(cache, clock, in, r);
  });
  s.strong = measure([&](tideover::manual_clock const& clock) {
    boundless_map cache(ttl, {clock});
    return hit_percentage(cache, clock, in, r);
  });
  return s;
}

/// Row 7: the hit ratio of the first tier of the guides on one stream.
void add_hit_ratio(table& t, char const* id, char const* claim, double alpha, double keys,
                   char const* documented, double model, char const* note) {
  row r;
  r.id = id;
  r.claim = claim;
  r.documented = documented;
  r.mode = "V";
  r.unit = "%";
  r.expected = model;
  r.tolerance = 1;
  r.ordinary = "mutex + list + unordered_map LRU of the same size and TTL";
  r.strong = "a map without a bound, same TTL: the most that one tier can answer";
  r.note = note;
  r.inputs = {{"alpha", alpha, "", 0, 5},
              {"keys", keys, "", 1, 1e8},
              {"rate", 1'200, "requests/s", 1e-3, 1e6},
              {"entries", 1'000, "", 1, 1e8},
              {"ttl", 300, "s", 1e-3, 1e6}};
  r.measure = hit_ratio;
  t.add(std::move(r));
}

/// Stores every key with a value of its own, as a warmed cache must: a hit with another key's value, as it
/// comes from a loop variable that was captured too late, is no hit.
constexpr value_type own_value(key_type key) { return bench::scrambled(key) | 1; }

template <class Cache>
double first_pass(Cache& cache, std::size_t keys) {
  std::size_t found = 0;
  for (key_type k = 0; k != keys; ++k) {
    if (auto const v = cache.get(k); v && *v == own_value(k)) ++found;
  }
  return 100 * static_cast<double>(found) / static_cast<double>(keys);
}

template <class Cache>
void warm(Cache& cache, std::size_t keys) {
  for (key_type k = 0; k != keys; ++k) cache.put(k, own_value(k));
}

/// Row 26: as many keys as the cache holds are put in ahead, then each is asked for once.
sample warming(inputs const& in, run const&) {
  auto const keys = static_cast<std::size_t>(in["entries"]);
  auto const ttl = seconds(in["ttl"]);
  tideover::manual_clock const clock;
  tideover::ttl_cache<key_type, value_type, tideover::manual_clock> warmed({.capacity = keys, .ttl = ttl},
                                                                           clock);
  warm(warmed, keys);
  hand_written_lru cold(keys, ttl, {clock});
  hand_written_lru strong(keys, ttl, {clock});
  warm(strong, keys);
  clock.advance(ttl - 1ns);
  return {first_pass(warmed, keys), first_pass(cold, keys), first_pass(strong, keys)};
}

/// Row 26b: entries with the lives that the guides name, in one cache. Each must be there until its last
/// nanosecond and gone at its deadline; the share of those that are both.
sample lives(inputs const& in, run const&) {
  std::array const ttls = {seconds(in["first"]), seconds(in["second"]), seconds(in["third"])};
  constexpr std::size_t each = 300;
  tideover::manual_clock const clock;
  tideover::ttl_cache<key_type, value_type, tideover::manual_clock> cache({.capacity = 10'000}, clock);
  auto const key_of = [](std::size_t life, std::size_t i) { return key_type{life * each + i}; };
  auto const start = clock.now();
  std::array<std::size_t, ttls.size()> order = {0, 1, 2};
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return ttls[a] < ttls[b]; });
  for (std::size_t life = 0; life != ttls.size(); ++life) {
    for (std::size_t i = 0; i != each; ++i) cache.put(key_of(life, i), own_value(i), {.ttl = ttls[life]});
  }
  std::size_t right = 0;
  for (auto const life : order) {
    std::array<bool, each> there{};
    clock.set(start + (ttls[life] - 1ns));
    for (std::size_t i = 0; i != each; ++i) there[i] = cache.get(key_of(life, i)) == own_value(i);
    clock.set(start + ttls[life]);
    for (std::size_t i = 0; i != each; ++i) right += there[i] && !cache.get(key_of(life, i));
  }
  return {100 * static_cast<double>(right) / static_cast<double>(each * ttls.size()), {}, {}};
}

}  // namespace

void add_cache_rows(table& t) {
  char const* const workload =
      "a hit ratio belongs to the workload and the size: any LRU of this size and TTL gives the same";
  add_hit_ratio(t, "7", "hit ratio of the first tier", .845, 13'500, "45 %", 44.9, workload);
  add_hit_ratio(t, "7b", "first tier's share of '> 90 %'", .90, 15'000, "50.8 % (model)", 50.8,
                "the model's first tier; the whole claim needs the second");
  add_hit_ratio(t, "7c", "first tier's share of '> 90 %'", .84, 14'000, "43.8 % (model)", 43.8,
                "the model's first tier; the whole claim needs the second");
  add_hit_ratio(t, "7d", "first tier's share of '90 %'", .99, 20'000, "60.0 % (model)", 60.0,
                "the model's first tier; the whole claim needs the second");
  add_hit_ratio(t, "7e", "first tier's share of '80 %'", .80, 20'000, "34.5 % (model)", 34.5,
                "the model's first tier; the whole claim needs the second");

  row warmed;
  warmed.id = "26";
  warmed.claim = "warmed cache, first pass";
  warmed.documented = "100 %";
  warmed.mode = "V";
  warmed.unit = "%";
  warmed.expected = 100;
  warmed.ordinary = "the same cache, cold";
  warmed.strong = "mutex + list + unordered_map LRU, warmed";
  warmed.note =
      "as many keys as the cache holds, each with its own value, read one nanosecond before they expire";
  warmed.inputs = {{"entries", 1'000, "", 1, 1e7}, {"ttl", 300, "s", 1e-3, 1e8}};
  warmed.measure = warming;
  t.add(std::move(warmed));

  row exact;
  exact.id = "26b";
  exact.claim = "TTLs of the guides, in one cache";
  exact.documented = "100 %";
  exact.mode = "V";
  exact.unit = "%";
  exact.expected = 100;
  exact.note =
      "the share of entries that are there until the last nanosecond of their TTL and gone at its end";
  exact.inputs = {
      {"first", 60, "s", 1e-3, 1e8}, {"second", 300, "s", 1e-3, 1e8}, {"third", 3'600, "s", 1e-3, 1e8}};
  exact.measure = lives;
  t.add(std::move(exact));
}

}  // namespace gains
