// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/eviction.hpp>
#include <tideover/policy/eviction/hash_slots.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace tideover::inline v0::eviction_parts {

/// Which keys were evicted lately, exactly: a queue of the last `most` hashes that were added and not taken.
/// 20 to 28 bytes for each. See ghost_table.hpp for one that is smaller and nearly right. For one thread at a
/// time.
template <class Allocator>
class ghost_queue {
 public:
  ghost_queue(std::size_t most, Allocator const& allocator)
      : slots_(std::max<std::size_t>(1, most), slot_allocator(allocator)), index_(slots_.size(), allocator) {}

  void add(std::uint32_t hash) noexcept {
    if (index_.find(hash, hashes()) != no_entry) return;
    entry_id id = made_;
    if (!spare_.empty()) {
      id = spare_.front();
      spare_.remove(links(), id);
    } else if (made_ == slots_.size()) {
      id = queue_.back();
      forget(id);
    } else {
      ++made_;
    }
    slots_[id].hash = hash;
    queue_.push_front(links(), id);
    index_.insert(hash, id);
  }
  /// Whether the key was added lately; it is forgotten then.
  bool take(std::uint32_t hash) noexcept {
    entry_id const id = index_.find(hash, hashes());
    if (id == no_entry) return false;
    forget(id);
    spare_.push_front(links(), id);
    return true;
  }

 private:
  struct slot {
    entry_links links;
    std::uint32_t hash = 0;
  };
  using slot_allocator = typename std::allocator_traits<Allocator>::template rebind_alloc<slot>;

  auto hashes() const noexcept {
    return [this](entry_id id) noexcept { return slots_[id].hash; };
  }
  auto links() noexcept {
    return [this](entry_id id) noexcept -> entry_links& { return slots_[id].links; };
  }
  void forget(entry_id id) noexcept {
    index_.erase(slots_[id].hash, id, hashes());
    queue_.remove(links(), id);
  }

  std::vector<slot, slot_allocator> slots_;
  hash_slots<Allocator> index_;
  entry_list queue_;
  entry_list spare_;
  entry_id made_ = 0;
};

}  // namespace tideover::inline v0::eviction_parts
