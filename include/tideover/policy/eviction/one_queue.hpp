// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/eviction.hpp>

namespace tideover::inline v0::eviction_parts {

/// What policies with a single queue are made of: new entries come in at the front, and a policy derived from
/// this says what a hit means and who leaves.
template <class Hook>
class one_queue {
 public:
  using policy_axis = axis::eviction;
  using hook = Hook;

  template <class Hooks>
  void on_insert(Hooks hooks, entry_id id) noexcept {
    queue_.push_front(links_of(hooks), id);
  }
  template <class Hooks>
  void on_remove(Hooks hooks, entry_id id) noexcept {
    queue_.remove(links_of(hooks), id);
  }

 protected:
  entry_list queue_;
};

/// The hook of a policy that needs its links and nothing else.
struct linked_hook {
  entry_links links;
};

}  // namespace tideover::inline v0::eviction_parts
