// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/eviction.hpp>

#include <cstddef>

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

  static constexpr std::size_t queues = 1;
  static constexpr unsigned turns = 1;
  eviction_queue queue(std::size_t) const noexcept { return {"queue", queue_.front(), queue_.back()}; }
  template <class Hooks>
  static std::size_t queue_of(Hooks, entry_id) noexcept {
    return 0;
  }
  template <class Hooks>
  static unsigned turn(Hooks, entry_id) noexcept {
    return 0;
  }

 protected:
  entry_list queue_;
};

/// The hook of a policy that needs its links and nothing else.
struct linked_hook {
  entry_links links;
};

}  // namespace tideover::inline v0::eviction_parts
