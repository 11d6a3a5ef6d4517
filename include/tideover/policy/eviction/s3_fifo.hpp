// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/policy/eviction.hpp>
#include <tideover/policy/eviction/ghost_queue.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace tideover::inline v0 {

/// S3-FIFO (Yang, Zhang, Qiu, Yue and Rashmi, "FIFO queues are all you need for cache eviction", SOSP 2023):
/// new entries come into a small queue, a tenth of the cache; those used twice there go on to the main queue,
/// the others leave, and a ghost remembers them: if they come back they go straight to the main queue, where
/// a use, up to three, is another round.
///
/// Good on the web's request streams; weak on loops and on caches of few entries. 10 bytes an entry and 4.5
/// of ghost; a hit writes one byte, at most three times between two looks at the entry.
class s3_fifo {
 public:
  using policy_axis = axis::eviction;
  static constexpr bool hits_need_no_lock = true;
  struct hook {
    entry_links links;
    std::uint8_t uses = 0;
    std::uint8_t queue = 0;
  };
  template <class Locking, class Allocator>
  class shared;

  void set_capacity(std::size_t n) noexcept { bound_ = n; }

  template <class Hooks>
  void on_insert(Hooks hooks, entry_id id) noexcept {
    hooks.relaxed(hooks[id].uses).store(0);
    bool const came_back = hooks.shared().ghost(hooks.shard()).take(hooks.hash(id));
    put(hooks, id, came_back ? main : small);
    newest_ = id;
  }
  template <class Hooks>
  void on_hit(Hooks hooks, entry_id id) const noexcept {
    auto const uses = hooks.relaxed(hooks[id].uses);
    std::uint8_t const n = uses.load();
    if (n < most_uses) uses.store(static_cast<std::uint8_t>(n + 1));
  }
  template <class Hooks>
  void on_remove(Hooks hooks, entry_id id) noexcept {
    take_out(hooks, id);
    if (newest_ == id) newest_ = no_entry;
  }
  template <class Hooks>
  void on_replace(Hooks hooks, entry_id old, entry_id id) noexcept {
    hooks.relaxed(hooks[id].uses).store(hooks.relaxed(hooks[old].uses).load());
    hooks[id].queue = hooks[old].queue;
    queues_[hooks[id].queue].replace(links_of(hooks), old, id);
    if (newest_ == old) newest_ = id;
    on_hit(hooks, id);
  }

  template <class Hooks>
  entry_id victim(Hooks hooks) noexcept {
    std::size_t const all = sizes_[small] + sizes_[main];
    if (all < 2) return queues_[queues_[small].empty() ? main : small].back();
    bound_ = all - 1;  // as many as stay: with weights nobody can know it before
    // The newest came in just now: the paper makes room before that, so it does not count yet.
    std::array<std::size_t, 2> const late{newest_ != no_entry && hooks[newest_].queue == small,
                                          newest_ != no_entry && hooks[newest_].queue == main};
    for (;;) {
      entry_id const id = sizes_[main] - late[main] > main_target() || sizes_[small] - late[small] == 0
                              ? last_of_main(hooks)
                              : last_of_small(hooks, late[small]);
      if (id == no_entry) continue;
      if (late[main] != 0) queues_[main].move_to_front(links_of(hooks), newest_);  // it comes in last
      return id;
    }
  }

  // Small before main, where all are looked at once for each use that they have had.
  static constexpr std::size_t queues = 2;
  static constexpr unsigned turns = 5;
  eviction_queue queue(std::size_t i) const noexcept {
    return {i == small ? "small" : "main", queues_[i].front(), queues_[i].back()};
  }
  template <class Hooks>
  static std::size_t queue_of(Hooks hooks, entry_id id) noexcept {
    return hooks[id].queue;
  }
  template <class Hooks>
  static unsigned turn(Hooks hooks, entry_id id) noexcept {
    unsigned const uses = hooks.relaxed(hooks[id].uses).load();
    if (hooks[id].queue == main) return 1 + uses;
    return uses < uses_to_stay ? 0 : 2;
  }
  /// Uses since it was looked at last, up to three.
  template <class Hooks>
  static unsigned frequency(Hooks hooks, entry_id id) noexcept {
    return hooks.relaxed(hooks[id].uses).load();
  }

 private:
  enum : std::uint8_t { small, main };
  static constexpr std::uint8_t most_uses = 3;
  static constexpr std::uint8_t uses_to_stay = 2;
  static constexpr int most_looks = 4096;  // for one victim: some 50 us

  std::size_t small_target() const noexcept { return std::max<std::size_t>(1, bound_ / 10); }
  std::size_t main_target() const noexcept { return bound_ - std::min(bound_, small_target()); }

  template <class Hooks>
  void put(Hooks hooks, entry_id id, std::uint8_t to) noexcept {
    hooks[id].queue = to;
    queues_[to].push_front(links_of(hooks), id);
    ++sizes_[to];
  }
  template <class Hooks>
  void take_out(Hooks hooks, entry_id id) noexcept {
    queues_[hooks[id].queue].remove(links_of(hooks), id);
    --sizes_[hooks[id].queue];
  }

  template <class Hooks>
  entry_id last_of_small(Hooks hooks, std::size_t late) noexcept {
    while (sizes_[small] != late) {
      entry_id const id = queues_[small].back();
      auto const uses = hooks.relaxed(hooks[id].uses);
      if (uses.load() < uses_to_stay) {
        hooks.shared().ghost(hooks.shard()).add(hooks.hash(id));
        return id;
      }
      uses.store(0);
      take_out(hooks, id);
      put(hooks, id, main);
    }
    return no_entry;
  }
  template <class Hooks>
  entry_id last_of_main(Hooks hooks) noexcept {
    // Were all of them used, the paper would go round three times: who comes then leaves all the same.
    for (int looks = most_looks;; --looks) {
      entry_id const id = queues_[main].back();
      auto const uses = hooks.relaxed(hooks[id].uses);
      std::uint8_t const n = uses.load();
      if ((n == 0 || looks <= 0) && id != newest_) return id;
      if (id != newest_) uses.store(static_cast<std::uint8_t>(n - 1));
      queues_[main].move_to_front(links_of(hooks), id);
    }
  }

  std::array<entry_list, 2> queues_{};
  std::array<std::size_t, 2> sizes_{};
  std::size_t bound_ = 1;
  entry_id newest_ = no_entry;
};

/// A ghost for each shard, under the shard's lock.
template <class Locking, class Allocator>
class s3_fifo::shared {
 public:
  shared(std::size_t capacity, std::size_t shards, std::uint64_t, Allocator const& allocator)
      : ghosts_(made(capacity, shards, allocator)) {}

  auto& ghost(std::size_t shard) noexcept { return ghosts_[shard].queue; }
  void set_capacity(std::size_t capacity) {
    ghosts other = made(capacity, ghosts_.size(), Allocator(ghosts_.get_allocator()));
    ghosts_.swap(other);
  }

 private:
  struct alignas(cache_line) part {
    part(std::size_t most, Allocator const& allocator) : queue(most, allocator) {}
    eviction_parts::ghost_queue<Allocator> queue;
  };
  using ghosts = std::vector<part, typename std::allocator_traits<Allocator>::template rebind_alloc<part>>;

  /// Nine tenths of the cache.
  static ghosts made(std::size_t capacity, std::size_t shards, Allocator const& allocator) {
    ghosts all{typename ghosts::allocator_type(allocator)};
    all.reserve(shards);
    for (std::size_t i = 0; i != shards; ++i) all.emplace_back(capacity * 9 / 10 / shards, allocator);
    return all;
  }

  ghosts ghosts_;
};

}  // namespace tideover::inline v0
