// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

/// The eviction axis: which entry leaves when there is no room. Stock policies live in policy/eviction/.
///
/// A cache numbers its entries and keeps in each of them a `hook` that belongs to the eviction policy. There
/// is one policy object for each shard, copied from the one given to the cache. It sees entries only as
/// `(hooks, id)`:
///
///     hooks[id]           the hook
///     hooks.hash(id)      32 bits of the hash of its key: enough for sketches and ghosts
///     hooks.relaxed(x)    `load()` and `store(v)` of a small integer in a hook: atomic where threads share
///                         the cache, plain where they do not
///     hooks.shard()       the number of this shard
///     hooks.shared()      what all shards of the cache share, if the policy has such a thing
///
/// Members run under the shard's lock: they may not throw, block or call the cache. A policy of your own is
/// one small class (examples/2_policies/3_your_own_eviction.cpp):
///
///     struct mine {
///       using policy_axis = tideover::axis::eviction;
///       struct hook { ... };
///       template <class Hooks>
///       void on_insert(Hooks, tideover::entry_id) noexcept;   // the entry is new
///       template <class Hooks>
///       void on_hit(Hooks, tideover::entry_id) noexcept;      // it was read, or its value replaced
///       template <class Hooks>
///       void on_remove(Hooks, tideover::entry_id) noexcept;   // it leaves, for any cause
///       template <class Hooks>
///       tideover::entry_id victim(Hooks) noexcept;            // who leaves now
///     };
///
/// `victim` is asked when the newest entry is in already; what it names is removed before anything else
/// happens in the shard. It may name the newest, and so refuse admission; `no_entry` means that nothing has
/// to leave.
///
/// Optional:
///     on_replace(hooks, old, id)      a value can only be replaced by a new entry `id` in the place of `old`
///                                     (without it: on_remove and on_insert)
///     set_capacity(n) noexcept        the shard's share; told before the first entry and at each change
///     hits_need_no_lock = true        a promise: `on_hit` changes nothing but small integers of its own
///                                     hook, through `hooks.relaxed`, and of `hooks.shared()`, which guards
///                                     itself; so a cache may call it without the shard's lock
///     template <class Locking, class Allocator> class shared
///                                     made once for each cache: `shared(capacity, shards, seed, allocator)`.
///                                     All memory comes from the allocator, all that several shards touch is
///                                     a `Locking::cell`. `set_capacity(n)` is called with all shards locked;
///                                     it may throw, then nothing has changed.
///     queues, turns, queue(i), queue_of(hooks, id), turn(hooks, id)
///                                     in which order entries would leave, see `ordered_eviction_policy`:
///                                     without them `hottest` and `coldest` do not compile
///     frequency(hooks, id) noexcept   how often the entry was used lately, as far as the policy knows
namespace tideover::inline v0 {

/// The number of an entry within its shard.
using entry_id = std::uint32_t;
inline constexpr entry_id no_entry = 0xFFFF'FFFFu;

/// A small integer that threads may read and write at once, if `Shared`: each value that is read was written,
/// and nothing else is promised.
template <class T, bool Shared>
class relaxed_ref {
 public:
  explicit relaxed_ref(T& x) noexcept : x_(x) {}
  T load() const noexcept {
    if constexpr (Shared) {
      return std::atomic_ref<T>(x_).load(std::memory_order_relaxed);
    } else {
      return x_;
    }
  }
  void store(T value) const noexcept {
    if constexpr (Shared) {
      std::atomic_ref<T>(x_).store(value, std::memory_order_relaxed);
    } else {
      x_ = value;
    }
  }

 private:
  T& x_;
};

namespace detail {

/// What `eviction_policy` is checked against: hooks by number.
template <class Hook>
struct hooks_archetype {
  Hook& operator[](entry_id) const noexcept;
  std::uint32_t hash(entry_id) const noexcept;
  std::size_t shard() const noexcept;
  template <class T>
  relaxed_ref<T, true> relaxed(T&) const noexcept;
};

/// What stands for the shared part of a policy that has none.
struct no_shared {
  template <class... Arguments>
  explicit no_shared(Arguments const&...) noexcept {}
};

template <class E, class Locking, class Allocator>
struct shared_part {
  using type = no_shared;
};
template <class E, class Locking, class Allocator>
  requires requires { typename E::template shared<Locking, Allocator>; }
struct shared_part<E, Locking, Allocator> {
  using type = typename E::template shared<Locking, Allocator>;
};

/// A policy that is told the capacity must take it without failing.
template <class E>
concept takes_capacity_quietly = !requires(E & e) {
  e.set_capacity(std::size_t{});
}
|| requires(E& e) {
  { e.set_capacity(std::size_t{}) }
  noexcept;
};

template <class E>
concept linked_hook_of = requires(typename E::hook& hook) {
  hook.links.previous;
  hook.links.next;
};

}  // namespace detail

template <class E>
concept eviction_policy = policy<E> && std::same_as<typename E::policy_axis, axis::eviction> &&
    std::copy_constructible<E> && std::is_nothrow_default_constructible_v<typename E::hook> &&
    std::is_trivially_destructible_v<typename E::hook> && detail::takes_capacity_quietly<E> &&
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

/// A queue of entries, as those see it who ask in which order entries would leave. Eviction goes from the
/// back to the front; if it goes round, as a hand does, `next` is where it goes on.
struct eviction_queue {
  char const* name = "";
  entry_id front = no_entry;
  entry_id back = no_entry;
  entry_id next = no_entry;
};

/// A policy that says in which order its entries would leave if nothing were used any more. They stand in
/// `queues` queues, linked by `hook::links`; `turn(hooks, id)`, below `turns`, is how many rounds an entry is
/// good for: those of a lower turn leave first, and among equals those of an earlier queue. All of these may
/// be const, and change nothing. A policy without queues has no order.
template <class E>
concept ordered_eviction_policy = eviction_policy<E> &&
    (E::queues == 0 || detail::linked_hook_of<E>)&&requires(E const& e,
                                                            detail::hooks_archetype<typename E::hook> hooks,
                                                            entry_id id) {
  { E::queues } -> std::convertible_to<std::size_t>;
  { E::turns } -> std::convertible_to<unsigned>;
  { e.queue(std::size_t{}) }
  noexcept->std::same_as<eviction_queue>;
  { e.queue_of(hooks, id) }
  noexcept->std::convertible_to<std::size_t>;
  { e.turn(hooks, id) }
  noexcept->std::convertible_to<unsigned>;
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
    push_front(links, id, links(id));
  }
  template <class Links>
  void remove(Links links, entry_id id) noexcept {
    remove(links, links(id));
  }
  // The same for who has the entry's own links in hand.
  template <class Links>
  void push_front(Links links, entry_id id, entry_links& own) noexcept {
    own = {no_entry, front_};
    (front_ == no_entry ? back_ : links(front_).previous) = id;
    front_ = id;
  }
  template <class Links>
  void remove(Links links, entry_links around) noexcept {
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

/// The `Links` of a policy whose hook keeps them in a member `links`.
template <class Hooks>
auto links_of(Hooks hooks) noexcept {
  return [hooks](entry_id id) noexcept -> entry_links& { return hooks[id].links; };
}

}  // namespace tideover::inline v0
