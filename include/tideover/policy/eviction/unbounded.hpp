// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/eviction.hpp>

#include <cstddef>

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

  static constexpr std::size_t queues = 0;
  static constexpr unsigned turns = 1;
  static eviction_queue queue(std::size_t) noexcept { return {}; }
  template <class Hooks>
  static std::size_t queue_of(Hooks, entry_id) noexcept {
    return 0;
  }
  template <class Hooks>
  static unsigned turn(Hooks, entry_id) noexcept {
    return 0;
  }
};

}  // namespace tideover::inline v0
