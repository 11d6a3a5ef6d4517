// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/eviction.hpp>
#include <tideover/policy/eviction/one_queue.hpp>

namespace tideover::inline v0 {

/// Evicts the entry that was inserted first, however often it was used since; a replaced value keeps its
/// place. A hit costs nothing at all. 8 bytes an entry.
class fifo : public eviction_parts::one_queue<eviction_parts::linked_hook> {
 public:
  static constexpr bool hits_need_no_lock = true;

  template <class Hooks>
  void on_hit(Hooks, entry_id) const noexcept {}
  template <class Hooks>
  void on_replace(Hooks hooks, entry_id old, entry_id id) noexcept {
    queue_.replace(links_of(hooks), old, id);
  }
  template <class Hooks>
  entry_id victim(Hooks) const noexcept {
    return queue_.back();
  }
};

}  // namespace tideover::inline v0
