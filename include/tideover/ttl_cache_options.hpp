// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/tagging.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace tideover::inline v0 {

/// What an operator tunes of a `ttl_cache`. The constructor throws `error(errc::invalid_argument)`, naming
/// field, value and bounds, for anything outside of them.
struct ttl_cache_options {
  /// The most entries, 1 to 4,000,000,000. With `weigh_by` and with `unbounded` it is not a bound but the
  /// number expected. The policies that count frequencies allocate about 10 bytes for each at once. One shard
  /// is used for each 2048, up to what the locking policy allows: a cache of few heavy entries evicts in
  /// exact order only if it says here that they are few.
  std::size_t capacity = 10'000;
  /// How long an entry lives, above zero; a put may say otherwise for its own entry. Unused with `never` and
  /// `per_entry`.
  std::chrono::nanoseconds ttl = std::chrono::minutes(5);
  /// With `after_write_or_access` how long an entry lives without being used, above zero; must be left at 0
  /// without it.
  std::chrono::nanoseconds idle_ttl = std::chrono::nanoseconds(0);
  /// With `negative_results` how long a computation is believed that found nothing; 0: not at all. Must be
  /// left at 0 without it.
  std::chrono::nanoseconds negative_ttl = std::chrono::nanoseconds(0);
  /// Each life is shortened by a random share of up to this, 0.0 to 0.5, so that entries that were stored
  /// together do not expire together. A life without end stays one.
  double ttl_jitter = 0.0;
  /// With `weigh_by` the most weight of all entries together, 1 to 2^48 - 1; must be left at 0 without it.
  std::size_t max_weight = 0;
};

/// What one put says of its own entry.
struct put_options {
  /// This entry's life instead of `ttl_cache_options::ttl`. Zero or less: the entry is dead on arrival, so
  /// nothing is stored, and what the key held is erased.
  std::optional<std::chrono::nanoseconds> ttl = std::nullopt;
  /// Names by which `erase_tag` finds this entry; they take the place of those that the key's entry had.
  /// Must be left empty without `tagged` or `tagged_by`.
  tag_list tags{};
};

/// What goes with an entry besides key and value.
struct entry_details {
  /// What it has still to live, `nanoseconds::max()` if it does not expire.
  std::chrono::nanoseconds remaining_life{0};
  std::size_t weight = 1;
  tag_list tags{};
};

/// Whether a key has an entry, and if a call does not find it, why.
enum class entry_state : std::uint8_t {
  absent,            ///< there is none: never put, removed, or not admitted
  live,              ///< there is a value
  nothing,           ///< it is remembered that there is none (see `negative_results`)
  expired,           ///< its time is up; it is not freed yet
  older_generation,  ///< disowned by `new_generation`; it is not freed yet
};

constexpr char const* to_string(entry_state state) noexcept {
  switch (state) {
    case entry_state::absent:
      return "absent";
    case entry_state::live:
      return "live";
    case entry_state::nothing:
      return "nothing";
    case entry_state::expired:
      return "expired";
    case entry_state::older_generation:
      return "older generation";
  }
  return "unknown";
}

/// What a `ttl_cache` knows of a key. When its value was written is not known: that would cost every entry
/// eight bytes.
struct cache_explanation {
  entry_state state = entry_state::absent;
  /// A computation is under way, which a call that misses would join.
  bool computing = false;
  /// Somebody reads the value in its place at this moment.
  bool in_use = false;
  /// The number of the shard that the key belongs to.
  std::size_t shard = 0;
  /// The cache's generation and, with an entry, the one that it was written in.
  std::uint64_t generation = 0;
  std::uint64_t entry_generation = 0;
  /// Of the entry, if there is one. A life of zero or less: expired so long ago.
  entry_details details{.remaining_life = std::chrono::nanoseconds(0), .weight = 0};
  /// How long it has not been used, where the expiry policy keeps that: with `after_access`, and with
  /// `after_write_or_access` unless its last write ends it before.
  std::optional<std::chrono::nanoseconds> unused_for = std::nullopt;
  /// In which queue of the eviction policy it stands, "" if the policy does not say; and how many rounds of
  /// eviction it is good for there.
  char const* queue = "";
  unsigned turn = 0;
  /// How often it was used lately, where the eviction policy estimates that: 0 to 16 for those that have a
  /// sketch, 0 to 3 with `s3_fifo`.
  std::optional<unsigned> frequency = std::nullopt;
};

/// What a `ttl_cache` has counted since it was made; a consistent sum when no call is under way. Then
/// gets = hits + misses, puts = inserted + replaced + refused, and
/// inserted = resident + expired + evicted + erased + cleared.
struct cache_stats {
  std::uint64_t gets = 0;      ///< get, visit, get_or_compute, visit_or_compute and their try_ forms
  std::uint64_t hits = 0;      ///< of these, those that found a live entry
  std::uint64_t misses = 0;    ///< and those that did not, whether they computed, joined or gave up
  std::uint64_t puts = 0;      ///< put, and computations that came to storing their result
  std::uint64_t inserted = 0;  ///< puts of a key that was absent
  std::uint64_t replaced = 0;  ///< puts of a key that was there
  std::uint64_t refused = 0;   ///< puts that stored nothing: too heavy, no life, or no memory for a result
  std::uint64_t expired = 0;   ///< removed because their time was up
  std::uint64_t evicted = 0;   ///< removed to make room
  std::uint64_t erased = 0;    ///< removed by erase, erase_if, erase_tag, or a put without life
  std::uint64_t cleared = 0;   ///< removed by clear, or as entries of an older generation
  std::uint64_t resident = 0;  ///< entries at this moment, the expired and outdated not freed yet among them
  std::uint64_t weight = 0;    ///< their weight; equal to `resident` without `weigh_by`
  std::uint64_t computations = 0;         ///< user functions started
  std::uint64_t computations_failed = 0;  ///< of these, those that threw or returned a failure
  std::uint64_t coalesced = 0;            ///< callers that joined a computation instead of starting one
  std::uint64_t discarded = 0;            ///< results not stored, as the key was written or erased meanwhile
  std::uint64_t waits_ended = 0;          ///< callers whose deadline or stop_token ended their wait
  std::uint64_t recursions = 0;           ///< waits refused, as they would have closed a cycle
  std::uint64_t listener_failures = 0;    ///< exceptions of the listener, swallowed
  std::uint64_t generations = 0;          ///< calls of new_generation
  std::uint64_t negative_hits = 0;        ///< of the hits, those that found that there is nothing
  std::uint64_t tags = 0;                 ///< tags that resident entries have; in each shard anew
};

}  // namespace tideover::inline v0
