// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/eviction.hpp>

namespace tideover::inline v0 {

/// Evicts the entry that was inserted first, however often it was used since; a replaced value keeps its
/// place. A hit costs nothing at all. 8 bytes an entry.
class fifo {
 public:
  using policy_axis = axis::eviction;
  struct hook {
    entry_links links;
  };

  template <class Hooks>
  void on_insert(Hooks hooks, entry_id id) noexcept {
    order_.push_front(links_of(hooks), id);
  }
  template <class Hooks>
  void on_hit(Hooks, entry_id) const noexcept {}
  template <class Hooks>
  void on_remove(Hooks hooks, entry_id id) noexcept {
    order_.remove(links_of(hooks), id);
  }
  template <class Hooks>
  void on_replace(Hooks hooks, entry_id old, entry_id id) noexcept {
    order_.replace(links_of(hooks), old, id);
  }
  template <class Hooks>
  entry_id victim(Hooks) const noexcept {
    return order_.back();
  }

 private:
  template <class Hooks>
  static auto links_of(Hooks hooks) noexcept {
    return [hooks](entry_id id) noexcept -> entry_links& { return hooks[id].links; };
  }

  entry_list order_;
};

}  // namespace tideover::inline v0
