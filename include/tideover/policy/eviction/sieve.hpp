// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/eviction.hpp>
#include <tideover/policy/eviction/one_queue.hpp>

#include <cstddef>
#include <cstdint>

namespace tideover::inline v0 {

namespace eviction_parts {

struct sieve_hook {
  entry_links links;
  std::uint8_t visited = 0;  // the round in which it was used last; 0: not since the hand came by
};

}  // namespace eviction_parts

/// SIEVE (Zhang, Yang, Yue, Vigfusson and Rashmi, NSDI 2024): a hit sets a bit; a hand that goes from the
/// oldest entry to the newest clears bits until it meets an entry without one, which leaves. Simple, and good
/// where popularity is stable, as on the web.
///
/// Known to lock up: when all old entries carry the bit, the hand evicts each new entry before its second use
/// and never comes back for the old ones. Guard: when twice as many entries have left as the cache holds, the
/// hand met no bit meanwhile, and the oldest entries had no hit either, it goes back to the oldest. 9 bytes
/// an entry; a hit writes one byte at most.
class sieve : public eviction_parts::one_queue<eviction_parts::sieve_hook> {
 public:
  static constexpr bool hits_need_no_lock = true;

  template <class Hooks>
  void on_insert(Hooks hooks, entry_id id) noexcept {
    hooks.relaxed(hooks[id].visited).store(0);
    one_queue::on_insert(hooks, id);
    ++size_;
    newest_ = id;
  }
  template <class Hooks>
  void on_hit(Hooks hooks, entry_id id) noexcept {
    auto const visited = hooks.relaxed(hooks[id].visited);
    std::uint8_t const now = hooks.relaxed(round_).load();
    if (visited.load() != now) visited.store(now);
  }
  template <class Hooks>
  void on_remove(Hooks hooks, entry_id id) noexcept {
    if (hand_ == id) hand_ = hooks[id].links.previous;
    if (newest_ == id) newest_ = no_entry;
    one_queue::on_remove(hooks, id);
    --size_;
  }
  template <class Hooks>
  void on_replace(Hooks hooks, entry_id old, entry_id id) noexcept {
    hooks.relaxed(hooks[id].visited).store(round_);
    queue_.replace(links_of(hooks), old, id);
    if (hand_ == old) hand_ = id;
    if (newest_ == old) newest_ = id;
  }
  template <class Hooks>
  entry_id victim(Hooks hooks) noexcept {
    if (queue_.empty()) return no_entry;
    if (in_vain_ >= in_vain_at_most * size_) end_round(hooks);
    for (int steps = 0;; ++steps) {
      // Beyond the newest that was there before this one came in, the oldest is next.
      if (hand_ == no_entry || hand_ == newest_) hand_ = queue_.back();
      if (hand_ == newest_) return hand_;  // it is alone
      auto const visited = hooks.relaxed(hooks[hand_].visited);
      if (visited.load() == 0 || steps == most_steps) break;
      visited.store(0);
      in_vain_ = 0;
      hand_ = hooks[hand_].links.previous;
    }
    ++in_vain_;
    entry_id const leaving = hand_;
    hand_ = hooks[leaving].links.previous;
    if (hand_ == newest_) hand_ = no_entry;
    return leaving;
  }

  static constexpr unsigned turns = 2;
  eviction_queue queue(std::size_t) const noexcept {
    return {"queue", queue_.front(), queue_.back(), hand_ == newest_ ? no_entry : hand_};
  }
  template <class Hooks>
  static unsigned turn(Hooks hooks, entry_id id) noexcept {
    return hooks.relaxed(hooks[id].visited).load() == 0 ? 0 : 1;
  }

 private:
  /// The hand has met no bit for long. Were those that it left behind of any use?
  template <class Hooks>
  void end_round(Hooks hooks) noexcept {
    bool of_use = false;
    entry_id id = queue_.back();
    for (int i = 0; i != looked_at && id != no_entry && !of_use; ++i, id = hooks[id].links.previous) {
      of_use = hooks.relaxed(hooks[id].visited).load() == round_;
    }
    if (!of_use) hand_ = no_entry;
    in_vain_ = 0;
    hooks.relaxed(round_).store(round_ == 1 ? std::uint8_t{2} : std::uint8_t{1});
  }

  static constexpr std::size_t in_vain_at_most = 2;  // evictions without meeting a bit, for each entry
  static constexpr int looked_at = 256;
  /// A bound for the time of one eviction; no trace was found that comes near it often.
  static constexpr int most_steps = 4096;

  entry_id hand_ = no_entry;
  entry_id newest_ = no_entry;
  std::size_t size_ = 0;
  std::size_t in_vain_ = 0;
  std::uint8_t round_ = 1;
};

}  // namespace tideover::inline v0
