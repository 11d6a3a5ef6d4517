// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/eviction.hpp>
#include <tideover/policy/eviction/ghost_table.hpp>
#include <tideover/policy/eviction/hash_slots.hpp>
#include <tideover/policy/eviction/lazy_tinylfu.hpp>
#include <tideover/policy/eviction/segments.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace tideover::inline v0::eviction_parts {

/// A cache in miniature that holds no values, made of the very queues of the real one: what would it have
/// answered, had it worked at this point? It reads the real cache's sketch and writes nothing to it.
/// 24 bytes an entry. For one thread at a time.
template <class Allocator>
class shadow_cache {
 public:
  struct point {
    double window;       // the window's share of the entries
    bool welcomes_back;  // whether what the ghost remembers is admitted
  };

  shadow_cache(std::size_t capacity, point at, Allocator const& allocator)
      : at_(at),
        capacity_(capacity),
        entries_(capacity + 1, entry_allocator(allocator)),
        index_(capacity + 1, allocator),
        ghost_(at.welcomes_back ? capacity : 0, capacity, allocator) {
    queues_.set_bound(capacity);
    queues_.set_window(at.window);
  }

  /// Asks for a key, and brings it in if it is not there.
  template <class Sketch>
  bool access(std::uint32_t hash, Sketch const& sketch, std::uint64_t& random) noexcept {
    view const hooks{this};
    entry_id const here = index_.find(hash, hashes());
    if (here != no_entry) {
      entries_[here].queue.mark = segments::used;
      return true;
    }
    entry_id const id = spare_ != no_entry ? std::exchange(spare_, no_entry) : made_++;
    entries_[id].hash = hash;
    index_.insert(hash, id);
    auto const note = [](std::uint32_t) noexcept {};
    queues_.insert(hooks, id, 0, at_.welcomes_back && ghost_.take(hash), note);
    if (queues_.size() > capacity_) {
      admission<Sketch> const by{sketch, random, at_.welcomes_back};
      entry_id const out =
          queues_.victim(hooks, note, [&](entry_id c, entry_id v) noexcept { return by(hooks, c, v); });
      queues_.remove(hooks, out);
      index_.erase(entries_[out].hash, out, hashes());
      if (at_.welcomes_back) ghost_.add(entries_[out].hash);
      spare_ = out;
    }
    return false;
  }

  void swap(shadow_cache& o) noexcept {
    std::swap(at_, o.at_);
    std::swap(capacity_, o.capacity_);
    std::swap(queues_, o.queues_);
    entries_.swap(o.entries_);
    index_.swap(o.index_);
    ghost_.swap(o.ghost_);
    std::swap(made_, o.made_);
    std::swap(spare_, o.spare_);
  }

 private:
  struct entry {
    segments::hook queue;
    std::uint32_t hash = 0;
  };
  using entry_allocator = typename std::allocator_traits<Allocator>::template rebind_alloc<entry>;
  struct view {
    shadow_cache* self;
    segments::hook& operator[](entry_id id) const noexcept { return self->entries_[id].queue; }
    std::uint32_t hash(entry_id id) const noexcept { return self->entries_[id].hash; }
    template <class T>
    relaxed_ref<T, false> relaxed(T& x) const noexcept {
      return relaxed_ref<T, false>(x);
    }
  };

  auto hashes() const noexcept {
    return [this](entry_id id) noexcept { return entries_[id].hash; };
  }

  point at_;
  std::size_t capacity_;
  segments queues_;
  std::vector<entry, entry_allocator> entries_;
  hash_slots<Allocator> index_;
  ghost_table<Allocator> ghost_;
  entry_id made_ = 0;
  entry_id spare_ = no_entry;
};

}  // namespace tideover::inline v0::eviction_parts
