// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

/// The eviction axis: which entry leaves when there is no room. Stock policies live in policy/eviction/.
///
/// A cache numbers its entries and keeps in each of them a `hook` that belongs to the eviction policy. The
/// policy sees entries only as `(hooks, id)`: `hooks[id]` is the hook, `hooks.hash(id)` 32 bits of the hash
/// of its key, enough for sketches and ghosts. There is one policy object for each shard, copied from the one
/// given to the cache, and its members run under the shard's lock: they may not throw, block or call the
/// cache. A policy of your own is one small class:
///
///     struct random_victim {
///       using policy_axis = tideover::axis::eviction;
///       struct hook { ... };
///       template <class Hooks> void on_insert(Hooks, tideover::entry_id) noexcept;  // the entry is new
///       template <class Hooks> void on_hit(Hooks, tideover::entry_id) noexcept;     // it was read or
///       replaced template <class Hooks> void on_remove(Hooks, tideover::entry_id) noexcept;  // it leaves,
///       for any cause template <class Hooks> tideover::entry_id victim(Hooks) noexcept;  // who should
///       leave; still resident
///     };
///
/// `victim` may name the entry that was inserted last: so a policy refuses admission. `no_entry` means that
/// nothing has to leave. Replacing a value calls `on_hit`. Optional: `on_replace(hooks, old, id)`, when a
/// value can only be replaced by a new entry `id` in the place of `old` (without it: on_remove and
/// on_insert); and `set_capacity(std::size_t)`, told before the first entry and at each change; it may throw,
/// then nothing changes.
namespace tideover::inline v0 {

/// The number of an entry within its shard.
using entry_id = std::uint32_t;
inline constexpr entry_id no_entry = 0xFFFF'FFFFu;

namespace detail {

/// What `eviction_policy` is checked against: hooks by number.
template <class Hook>
struct hooks_archetype {
  Hook& operator[](entry_id) const noexcept;
  std::uint32_t hash(entry_id) const noexcept;
};

}  // namespace detail

template <class E>
concept eviction_policy = policy<E> && std::same_as<typename E::policy_axis, axis::eviction> &&
    std::copy_constructible<E> && std::is_nothrow_default_constructible_v<typename E::hook> &&
    std::is_trivially_destructible_v<typename E::hook> &&
    requires(E& e, detail::hooks_archetype<typename E::hook> hooks, entry_id id) {
  { e.on_insert(hooks, id) }
  noexcept;
  { e.on_hit(hooks, id) }
  noexcept;
  { e.on_remove(hooks, id) }
  noexcept;
  { e.victim(hooks) }
  noexcept->std::same_as<entry_id>;
};

/// The two neighbours of an entry in an `entry_list`.
struct entry_links {
  entry_id previous = no_entry;
  entry_id next = no_entry;
};

/// An intrusive doubly linked list of entries: the part most policies are made of. The links live in the
/// entries' hooks; `Links` is a function that finds them: `links(id)` is an `entry_links&`. O(1) throughout.
class entry_list {
 public:
  bool empty() const noexcept { return front_ == no_entry; }
  entry_id front() const noexcept { return front_; }
  entry_id back() const noexcept { return back_; }

  template <class Links>
  void push_front(Links links, entry_id id) noexcept {
    links(id) = {no_entry, front_};
    (front_ == no_entry ? back_ : links(front_).previous) = id;
    front_ = id;
  }
  template <class Links>
  void remove(Links links, entry_id id) noexcept {
    entry_links const around = links(id);
    (around.previous == no_entry ? front_ : links(around.previous).next) = around.next;
    (around.next == no_entry ? back_ : links(around.next).previous) = around.previous;
  }
  /// Puts `id` where `old` stood.
  template <class Links>
  void replace(Links links, entry_id old, entry_id id) noexcept {
    entry_links const around = links(id) = links(old);
    (around.previous == no_entry ? front_ : links(around.previous).next) = id;
    (around.next == no_entry ? back_ : links(around.next).previous) = id;
  }
  template <class Links>
  void move_to_front(Links links, entry_id id) noexcept {
    if (front_ == id) return;
    remove(links, id);
    push_front(links, id);
  }

 private:
  entry_id front_ = no_entry;
  entry_id back_ = no_entry;
};

}  // namespace tideover::inline v0
