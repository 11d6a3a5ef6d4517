// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/policy/eviction.hpp>
#include <tideover/policy/eviction/event_ring.hpp>
#include <tideover/policy/eviction/frequency_sketch.hpp>
#include <tideover/policy/eviction/ghost_table.hpp>
#include <tideover/policy/eviction/lazy_tinylfu.hpp>
#include <tideover/policy/eviction/shadow_cache.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace tideover::inline v0 {

/// W-TinyLFU steered by three miniature caches. The queues of W-TinyLFU can work at three points: frequency
/// (a window of 1 %), mixed (20 %, and what comes back after it was evicted is admitted) and recency (100 %,
/// which is CLOCK, close to LRU). For a sample of the keys, three shadow caches show what each point would
/// have answered, and the real one goes to the point whose shadow is significantly better. docs/eviction.md
/// has the measurements.
///
/// The best hit ratio of the stock policies, and no bad case known: the default. A hit sets one bit, if it is
/// not set; only a key of the sample costs more, now and then. 10 bytes an entry; 4 for the sketch, 4 for the
/// ghost and 1 to 5 for the shadows; for the smallest caches a few KB in all.
class steered : public eviction_parts::lazy_tinylfu {
 public:
  template <class Locking, class Allocator>
  class shared;

  template <class Hooks>
  void on_insert(Hooks hooks, entry_id id) noexcept {
    auto& s = hooks.shared();
    std::uint32_t const hash = hooks.hash(id);
    s.sketch().increment(hash);
    bool const came_back = s.ghost(hooks.shard()).take(hash);
    std::uint8_t const mark = first_mark(hooks, hash);
    segments_.set_window(s.now_at().window);
    segments_.insert(hooks, id, mark, came_back, note_in_sketch(hooks));
    if ((mark & sampled) != 0) s.record(hash, false);
  }
  template <class Hooks>
  entry_id victim(Hooks hooks) noexcept {
    auto& s = hooks.shared();
    entry_id const id =
        segments_.victim(hooks, note_in_sketch(hooks), admit_by(hooks, s.now_at().welcomes_back));
    if (id != no_entry) s.ghost(hooks.shard()).add(hooks.hash(id));
    return id;
  }
};

/// One sketch and three shadows for the cache, a ghost for each shard.
template <class Locking, class Allocator>
class steered::shared {
 public:
  using shadow = eviction_parts::shadow_cache<Allocator>;
  using point = typename shadow::point;

  shared(std::size_t capacity, std::size_t shards, std::uint64_t seed, Allocator const& allocator)
      : seed_(seed),
        random_(seed),
        sketch_(capacity, seed, allocator),
        ghosts_(ghosts_for(capacity, shards, allocator)),
        watch_(watched(capacity, seed, allocator)) {}
  shared(shared const&) = delete;
  shared& operator=(shared const&) = delete;

  auto& sketch() noexcept { return sketch_; }
  auto& ghost(std::size_t shard) noexcept { return ghosts_[shard].table; }
  std::uint64_t seed() const noexcept { return seed_; }
  bool samples(std::uint32_t hash) const noexcept { return watch_.sample.contains(hash); }
  std::uint8_t tick() const noexcept { return tick_.load(std::memory_order_relaxed); }
  point const& now_at() const noexcept { return points[now_at_.load(std::memory_order_relaxed)]; }

  /// A key of the sample was asked for.
  void record(std::uint32_t hash, bool was_there) noexcept {
    if constexpr (Locking::is_shared) {
      events_.push(hash | std::uint64_t{was_there} << 32);
      events_.take([this](std::uint64_t event) noexcept {
        witness(static_cast<std::uint32_t>(event), event >> 32 != 0);
      });
    } else {
      witness(hash, was_there);
    }
  }
  void record_hit(std::uint32_t hash) noexcept { record(hash, true); }

  void set_capacity(std::size_t capacity) {
    Allocator const allocator(ghosts_.get_allocator());
    ghosts other = ghosts_for(capacity, ghosts_.size(), allocator);
    watch fresh = watched(capacity, seed_, allocator);
    events_.alone([&] {
      sketch_.set_capacity(capacity);  // the last that can fail
      ghosts_.swap(other);
      watch_.swap(fresh);
    });
  }

 private:
  static constexpr std::size_t count = 3;
  static constexpr std::array<point, count> points = {{{0.01, false}, {0.20, true}, {1.0, false}}};
  static constexpr std::size_t most_one_in = 64;
  static constexpr double memory = 0.95;       // of a vote at the next one: about 20 capacities of requests
  static constexpr double significance = 1.5;  // in standard deviations of the difference

  struct alignas(cache_line) part {
    part(std::size_t capacity, Allocator const& allocator) : table(capacity, capacity, allocator) {}
    eviction_parts::ghost_table<Allocator> table;
  };
  using ghosts = std::vector<part, typename std::allocator_traits<Allocator>::template rebind_alloc<part>>;
  using shadows =
      std::vector<shadow, typename std::allocator_traits<Allocator>::template rebind_alloc<shadow>>;
  /// The sample and those who replay it.
  struct watch {
    eviction_parts::key_sample sample;
    shadows at;
    std::uint64_t events_per_vote;
    std::uint64_t events_per_tick;
    void swap(watch& o) noexcept {
      std::swap(sample, o.sample);
      at.swap(o.at);
      std::swap(events_per_vote, o.events_per_vote);
      std::swap(events_per_tick, o.events_per_tick);
    }
  };

  static ghosts ghosts_for(std::size_t capacity, std::size_t shards, Allocator const& allocator) {
    ghosts all{typename ghosts::allocator_type(allocator)};
    all.reserve(shards);
    for (std::size_t i = 0; i != shards; ++i) all.emplace_back((capacity + shards - 1) / shards, allocator);
    return all;
  }
  static watch watched(std::size_t capacity, std::uint64_t seed, Allocator const& allocator) {
    eviction_parts::key_sample const sample(capacity, most_one_in, seed ^ hash_detail::odd_1);
    watch w{sample, shadows(typename shadows::allocator_type(allocator)),
            std::max<std::size_t>(64, capacity) / sample.one_in(),
            std::max<std::size_t>(1, capacity / sample.one_in() / 50)};
    w.at.reserve(count);
    for (point const& p : points) w.at.emplace_back(capacity / sample.one_in(), p, allocator);
    return w;
  }

  /// One at a time.
  void witness(std::uint32_t hash, bool was_there) noexcept {
    std::array<bool, count> answered{};
    real_ += was_there;
    for (std::size_t p = 0; p != count; ++p) {
      answered[p] = watch_.at[p].access(hash, sketch_, random_);
      fresh_[p] += answered[p];
      for (std::size_t q = 0; q != p; ++q) {
        if (answered[p] != answered[q]) differ_[p][q] += 1, differ_[q][p] += 1;
      }
    }
    ++seen_;
    if (seen_ % watch_.events_per_tick == 0) {
      tick_.store(static_cast<std::uint8_t>(seen_ / watch_.events_per_tick), std::memory_order_relaxed);
    }
    if (seen_ % watch_.events_per_vote == 0) vote();
  }
  void vote() noexcept {
    std::size_t const now = now_at_.load(std::memory_order_relaxed);
    tally();
    std::size_t best = now;
    if (is_discredited(now)) {
      score_[now] = 0;
      best = leader();
    } else if (std::size_t const other = leader(); is_better(other, now)) {
      best = other;
    }
    if (best != now) {
      now_at_.store(static_cast<std::uint8_t>(best), std::memory_order_relaxed);
      discredits_ = 0;
    }
    fresh_ = {};
    real_ = 0;
  }
  /// Takes what is new into what is remembered.
  void tally() noexcept {
    for (std::size_t p = 0; p != count; ++p) score_[p] = memory * score_[p] + fresh_[p];
    for (std::size_t p = 0; p != count; ++p) {
      for (std::size_t q = 0; q != count; ++q) {
        double const lead = fresh_[p] - fresh_[q];
        double const change = seen_ > watch_.events_per_vote ? lead - lead_[p][q] : 0;
        lead_[p][q] = lead;
        waver_[p][q] = memory * memory * waver_[p][q] + change * change / 2;
        differ_[p][q] *= memory;
      }
    }
  }
  std::size_t leader() const noexcept {
    return static_cast<std::size_t>(std::max_element(score_.begin(), score_.end()) - score_.begin());
  }
  /// Two estimates of how far chance alone may lead: each event on which two shadows differ is a toss between
  /// them; and from one vote to the next the lead goes up and down by so much (von Neumann's successive
  /// differences, which see that requests come in waves, and do not take one lasting change for waves).
  bool is_better(std::size_t other, std::size_t now) const noexcept {
    double const variance = std::max(differ_[other][now], waver_[other][now]);
    return score_[other] - score_[now] > significance * std::sqrt(variance);
  }
  /// A shadow may fare well where the real cache is locked up: each of the two is a state that keeps itself.
  /// So when the real cache has answered less than half of what its shadow did, three times running, that
  /// shadow is not believed.
  bool is_discredited(std::size_t now) noexcept {
    discredits_ = 2 * real_ < fresh_[now] ? discredits_ + 1 : 0;
    return discredits_ == 3;
  }

  std::uint64_t seed_;
  std::uint64_t random_;
  frequency_sketch<Locking, Allocator> sketch_;
  ghosts ghosts_;
  watch watch_;
  std::array<double, count> score_{};  // what each point would have answered, the past counting less and less
  std::array<double, count> fresh_{};  // since the last vote
  double real_ = 0;                    // what the real cache has answered since then
  int discredits_ = 0;                 // votes at which it answered much less than its shadow
  std::array<std::array<double, count>, count> lead_{};
  std::array<std::array<double, count>, count> waver_{};
  std::array<std::array<double, count>, count> differ_{};
  std::uint64_t seen_ = 0;
  typename Locking::template cell<std::uint8_t> now_at_{0};
  typename Locking::template cell<std::uint8_t> tick_{0};
  eviction_parts::event_ring<Locking> events_;
};

}  // namespace tideover::inline v0
