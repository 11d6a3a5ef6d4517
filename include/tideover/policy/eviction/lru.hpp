// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/eviction.hpp>
#include <tideover/policy/eviction/one_queue.hpp>

namespace tideover::inline v0 {

/// Evicts the entry that was used least recently. Predictable and cheap: 8 bytes an entry, a list move for a
/// hit. A scan or a loop larger than the cache empties it of everything worth keeping.
class lru : public eviction_parts::one_queue<eviction_parts::linked_hook> {
 public:
  template <class Hooks>
  void on_hit(Hooks hooks, entry_id id) noexcept {
    queue_.move_to_front(links_of(hooks), id);
  }
  template <class Hooks>
  entry_id victim(Hooks) const noexcept {
    return queue_.back();
  }
};

}  // namespace tideover::inline v0
