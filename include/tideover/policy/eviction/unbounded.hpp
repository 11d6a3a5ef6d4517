// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/eviction.hpp>

namespace tideover::inline v0 {

/// Evicts nothing: entries leave by expiry or by name, and `capacity` only says how many are expected. For
/// key sets that are bounded by nature. No byte an entry.
struct unbounded {
  using policy_axis = axis::eviction;
  struct hook {};
  static constexpr bool hits_need_no_lock = true;

  template <class Hooks>
  void on_insert(Hooks, entry_id) const noexcept {}
  template <class Hooks>
  void on_hit(Hooks, entry_id) const noexcept {}
  template <class Hooks>
  void on_remove(Hooks, entry_id) const noexcept {}
  template <class Hooks>
  entry_id victim(Hooks) const noexcept {
    return no_entry;
  }
};

}  // namespace tideover::inline v0
