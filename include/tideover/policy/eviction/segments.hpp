// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/eviction.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace tideover::inline v0::eviction_parts {

/// The queues of W-TinyLFU (Einziger, Eytan, Friedman and Manes, "Adaptive software cache management",
/// Middleware 2018), made so that a hit only sets a bit: a window for what is new, and a main part of two
/// segments, on probation and protected. Everything else happens when an entry comes to the tail of a queue:
/// one whose bit is set loses it, is noted in the sketch, and goes on to the head of the queue that a hit
/// would have taken it to; at most `chances` entries for each one that comes in.
///
/// Used by the policies for the entries of a shard, and by `steered` for its shadows too: `Hooks` says where
/// the hooks are, `note(hash)` is told of each hit that comes to light, `admit(candidate, victim)` decides
/// between the window's last and the main part's.
class segments {
 public:
  struct hook {
    entry_links links;
    std::uint8_t mark = 0;   // what a hit may write: `used`, and six bits for the policy
    std::uint8_t place = 0;  // which queue, and whether the key came back from the ghost
  };
  static constexpr std::uint8_t used = 0x80;

  /// How many entries there are when it is full; the window's share of them, at least one.
  void set_bound(std::size_t n) noexcept {
    if (n == bound_) return;
    bound_ = n;
    set_targets();
  }
  void set_window(double share) noexcept {
    if (share == share_) return;
    share_ = share;
    set_targets();
  }
  double window_share() const noexcept { return share_; }
  std::size_t size() const noexcept { return sizes_[window] + sizes_[probation] + sizes_[kept]; }

  template <class Hooks>
  static bool returned(Hooks hooks, entry_id id) noexcept {
    return (hooks[id].place & came_back) != 0;
  }

  template <class Hooks, class Note>
  void insert(Hooks hooks, entry_id id, std::uint8_t mark, bool returned, Note note) noexcept {
    hook& h = hooks[id];
    hooks.relaxed(h.mark).store(mark);
    h.place = returned ? came_back : std::uint8_t{0};
    put(hooks, id, h, window);
    newest_ = id;
    left_ = chances;
    settle(hooks, note);
  }
  template <class Hooks>
  void remove(Hooks hooks, entry_id id) noexcept {
    take_out(hooks, hooks[id]);
    if (id == newest_) newest_ = no_entry;
  }
  template <class Hooks>
  void replace(Hooks hooks, entry_id old, entry_id id) noexcept {
    hooks.relaxed(hooks[id].mark).store(hooks.relaxed(hooks[old].mark).load());
    hooks[id].place = hooks[old].place;
    queues_[queue_of(hooks, id)].replace(links_of(hooks), old, id);
    if (old == newest_) newest_ = id;
  }

  template <class Hooks, class Note, class Admit>
  entry_id victim(Hooks hooks, Note note, Admit admit) noexcept {
    if (size() == 0) return no_entry;
    set_bound(size() - 1);  // as many as stay: with weights nobody can know it before
    entry_id const chosen = choose(hooks, note, admit);
    left_ = chances;  // for the next one, if more have to go
    return chosen;
  }

  // In which order they would leave: first those that nobody has used, on probation before the window, where
  // admission decides between the last of both; the kept ones only when they have come down to probation.
  static constexpr std::size_t queues = 3;
  static constexpr unsigned turns = 4;
  eviction_queue queue_at(std::size_t i) const noexcept {
    constexpr std::array<char const*, queues> names{"probation", "window", "protected"};
    constexpr std::array<queue, queues> order{probation, window, kept};
    return {names[i], queues_[order[i]].front(), queues_[order[i]].back()};
  }
  template <class Hooks>
  static std::size_t place_of(Hooks hooks, entry_id id) noexcept {
    constexpr std::array<std::size_t, queues> places{1, 0, 2};  // by window, probation, kept
    return places[queue_of(hooks, id)];
  }
  template <class Hooks>
  static unsigned turn(Hooks hooks, entry_id id) noexcept {
    bool const was_used = (hooks.relaxed(hooks[id].mark).load() & used) != 0;
    return (queue_of(hooks, id) == kept ? 2u : 0u) + (was_used ? 1u : 0u);
  }

 private:
  enum queue : std::uint8_t { window, probation, kept };
  static constexpr std::uint8_t queue_bits = 3;
  static constexpr std::uint8_t came_back = 4;
  static constexpr int chances = 64;
  static constexpr int moves = 4;  // for each entry that comes in, from the window and from the kept ones
  static constexpr double kept_share = 0.8;

  void set_targets() noexcept {
    window_target_ =
        std::max<std::size_t>(1, static_cast<std::size_t>(share_ * static_cast<double>(bound_) + 0.5));
    main_target_ = bound_ - std::min(bound_, window_target_);
    most_kept_ = static_cast<std::size_t>(kept_share * static_cast<double>(main_target_));
  }
  std::size_t main_size() const noexcept { return sizes_[probation] + sizes_[kept]; }
  bool too_many_kept() const noexcept { return sizes_[kept] > most_kept_; }

  static queue queue_of(hook const& h) noexcept { return static_cast<queue>(h.place & queue_bits); }
  template <class Hooks>
  static queue queue_of(Hooks hooks, entry_id id) noexcept {
    return queue_of(hooks[id]);
  }
  // With the hook in hand, which costs some steps to find.
  template <class Hooks>
  void put(Hooks hooks, entry_id id, hook& h, queue to) noexcept {
    h.place = static_cast<std::uint8_t>((h.place & ~queue_bits) | to);
    queues_[to].push_front(links_of(hooks), id, h.links);
    ++sizes_[to];
  }
  template <class Hooks>
  void take_out(Hooks hooks, hook const& h) noexcept {
    queue const from = queue_of(h);
    queues_[from].remove(links_of(hooks), h.links);
    --sizes_[from];
  }
  template <class Hooks>
  void move(Hooks hooks, entry_id id, hook& h, queue to) noexcept {
    take_out(hooks, h);
    put(hooks, id, h, to);
  }

  /// A second chance: true if the entry was used since it was last looked at, and has moved on.
  template <class Hooks, class Note>
  bool pass(Hooks hooks, entry_id id, hook& h, queue to, Note note) noexcept {
    auto const mark = hooks.relaxed(h.mark);
    std::uint8_t const m = mark.load();
    if ((m & used) == 0 || left_ == 0) return false;
    --left_;
    mark.store(static_cast<std::uint8_t>(m & ~used));
    note(hooks.hash(id));
    move(hooks, id, h, to);
    return true;
  }
  template <class Hooks, class Note>
  void settle(Hooks hooks, Note note) noexcept {
    for (int i = 0; i != moves && sizes_[window] > window_target_ && main_size() < main_target_; ++i) {
      entry_id const last = queues_[window].back();
      hook& h = hooks[last];
      if (!pass(hooks, last, h, window, note)) move(hooks, last, h, probation);
    }
    for (int i = 0; i != moves && too_many_kept(); ++i) demote(hooks, note);
  }
  template <class Hooks, class Note>
  void demote(Hooks hooks, Note note) noexcept {
    entry_id const last = queues_[kept].back();
    hook& h = hooks[last];
    if (!pass(hooks, last, h, kept, note)) move(hooks, last, h, probation);
  }

  template <class Hooks, class Note, class Admit>
  entry_id choose(Hooks hooks, Note note, Admit admit) noexcept {
    entry_id const last = last_of_main(hooks, note);
    if (last != no_entry && sizes_[window] <= window_target_) return last;
    entry_id const candidate = last_of_window(hooks, note);
    if (last == no_entry) return candidate;
    if (!admit(candidate, last)) return candidate;
    hook& h = hooks[candidate];
    hooks.relaxed(h.mark).store(static_cast<std::uint8_t>(hooks.relaxed(h.mark).load() & ~used));
    move(hooks, candidate, h, probation);
    return last;
  }
  template <class Hooks, class Note>
  entry_id last_of_main(Hooks hooks, Note note) noexcept {
    for (;;) {
      entry_id const last = queues_[queues_[probation].empty() ? kept : probation].back();
      if (last == no_entry) return no_entry;
      if (!pass(hooks, last, hooks[last], sizes_[window] < window_target_ ? window : kept, note)) return last;
      if (too_many_kept()) demote(hooks, note);
    }
  }
  /// Not the newest, unless it is alone: if all others were used, the one that was looked at first.
  template <class Hooks, class Note>
  entry_id last_of_window(Hooks hooks, Note note) noexcept {
    for (;;) {
      entry_id const last = queues_[window].back();
      if (last == newest_) {
        entry_id const before = hooks[last].links.previous;
        return before == no_entry ? last : before;
      }
      if (!pass(hooks, last, hooks[last], window, note)) return last;
    }
  }

  std::array<entry_list, 3> queues_{};
  std::array<std::size_t, 3> sizes_{};
  std::size_t bound_ = 1;
  double share_ = 0.01;
  // What follows from these two.
  std::size_t window_target_ = 1;
  std::size_t main_target_ = 0;
  std::size_t most_kept_ = 0;
  entry_id newest_ = no_entry;
  int left_ = chances;
};

}  // namespace tideover::inline v0::eviction_parts
