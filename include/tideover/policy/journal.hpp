// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>
#include <type_traits>

/// The journal axis: who keeps items across a crash.
namespace tideover::inline v0 {

/// `append(item)` writes the item down before it is accepted and returns an entry; `retire(entry)` forgets
/// it, before the item is settled as delivered, or if it was not accepted after all. Entries of items that
/// failed stay: they are replayed or purged there. Both run outside of every lock, from many threads at once.
/// What append throws is the cause of a rejection, what retire throws that of a failed item
/// (errc::journal_failed).
template <class J, class Item>
concept journal_policy = policy<J> && std::same_as<typename J::policy_axis, axis::journal> &&
    (!J::keeps || requires(J & j, Item const& item, typename J::entry_type const& e) {
      { j.append(item) } -> std::same_as<typename J::entry_type>;
      j.retire(e);
    });

/// Nothing outlives the process.
struct no_journal {
  using policy_axis = axis::journal;
  static constexpr bool keeps = false;
  struct entry_type {};
};

}  // namespace tideover::inline v0
