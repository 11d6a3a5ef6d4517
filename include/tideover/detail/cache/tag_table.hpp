// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/detail/hash_index.hpp>
#include <tideover/detail/slab.hpp>
#include <tideover/policy/eviction.hpp>
#include <tideover/policy/hashing.hpp>
#include <tideover/policy/locking.hpp>
#include <tideover/policy/tagging.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

/// Which entries have which tags. Every shard keeps a table of its own entries, under its lock, so that a tag
/// is erased at O(entries that have it), and reads know nothing of tags. The other way, a number of each tag
/// that entries are compared with when they are read, would make `erase_tag` O(1) and every read dearer,
/// could not say how many it erased, and would have to remember tags that no entry has.
namespace tideover::inline v0::detail {

struct tag_ref {
  std::string_view name;
  std::uint64_t hash;
};

/// The tags of one value on its way into a cache, each once.
class tag_refs {
 public:
  tag_refs() noexcept = default;
  tag_refs(tag_refs const&) = delete;
  tag_refs& operator=(tag_refs const&) = delete;

  /// `names` must stay where they are.
  template <class Hash>
  void add(tag_list const& names, Hash const& hash) {
    if (names.empty()) return;
    refs_.reserve(refs_.size() + names.size());
    for (std::string_view const name : names) refs_.push_back({name, hash(name)});
    // Backwards, as the table turns them round: an entry's tags are listed in the order of their names.
    std::sort(refs_.begin(), refs_.end(), [](tag_ref const& a, tag_ref const& b) { return a.name > b.name; });
    auto const same = [](tag_ref const& a, tag_ref const& b) { return a.name == b.name; };
    refs_.erase(std::unique(refs_.begin(), refs_.end(), same), refs_.end());
  }
  auto begin() const noexcept { return refs_.begin(); }
  auto end() const noexcept { return refs_.end(); }

 private:
  std::vector<tag_ref> refs_;
};

/// What stands for all of this where entries have no tags.
struct no_tags {
  template <class... Arguments>
  explicit no_tags(Arguments const&...) noexcept {}
};

struct no_tag_refs {};

/// Where an entry's tags begin.
struct tag_hook {
  entry_id first = no_entry;
};

/// What a flight knows of the tags that were erased while it computes.
struct flight_tags {
  std::uint64_t since = 0;  // how many had been erased when it began
  bool overtaken = false;   // one of the result's tags was erased since then
};

/// Which tags were erased lately: enough to say whether one of a few was erased since a given time, for sure
/// if it was, and in one of 256 cases though it was another. So what is computed is stored only if none of
/// its tags, which nobody can know before, was erased meanwhile; and nothing has to be remembered for those
/// who still compute.
template <class Locking>
class tag_erasures {
 public:
  std::uint64_t hash(std::string_view name) const noexcept { return hash_(name); }
  seeded_hash const& hashing() const noexcept { return hash_; }

  /// Who computes asks this first. Acquire: pairs with the release in `note`. What was written before a tag
  /// was erased is seen by every computation that counts that erasure.
  std::uint64_t count() const noexcept { return count_.load(std::memory_order_acquire); }
  /// Before the entries are looked for: a result is either stored by then, and found, or its shard's lock is
  /// taken later, and this is seen.
  void note(std::uint64_t hash) noexcept {
    std::uint64_t const number = count_.fetch_add(1, std::memory_order_acq_rel) + 1;
    auto& last = last_[hash % slots];
    std::uint64_t before = last.load(std::memory_order_relaxed);
    while (before < number && !last.compare_exchange_weak(before, number, std::memory_order_release,
                                                          std::memory_order_relaxed)) {
    }
  }
  bool any_since(std::uint64_t count, tag_refs const& tags) const noexcept {
    return std::any_of(tags.begin(), tags.end(), [&](tag_ref const& t) {
      return last_[t.hash % slots].load(std::memory_order_acquire) > count;
    });
  }

 private:
  static constexpr std::size_t slots = 256;
  template <class T>
  using cell = typename Locking::template cell<T>;

  seeded_hash hash_;  // names come from outside: nobody may choose those that collide
  cell<std::uint64_t> count_{0};
  std::array<cell<std::uint64_t>, slots> last_{};
};

/// The tags of a shard's entries. A tag that no entry has any more is forgotten; its place is used again.
/// All members want the shard's lock held. O(1) for each tag of an entry.
template <class Allocator>
class tag_table {
 public:
  explicit tag_table(Allocator const& allocator)
      : tags_(allocator), index_(allocator), memberships_(allocator), names_(allocator) {}
  tag_table(tag_table const&) = delete;
  tag_table& operator=(tag_table const&) = delete;
  ~tag_table() {
    index_.drain([this](entry_id id) { free_name(tags_[id]); });
  }

  /// How many tags there are.
  std::size_t size() const noexcept { return index_.size(); }

  /// Tags that an entry is going to have: given back at the end of the scope, unless `attach` took them.
  class prepared {
   public:
    prepared(tag_table& table, entry_id first) noexcept : table_(&table), first_(first) {}
    prepared(prepared&& o) noexcept : table_(o.table_), first_(std::exchange(o.first_, no_entry)) {}
    prepared& operator=(prepared&&) = delete;
    ~prepared() { table_->release(first_); }
    void add(tag_ref const& wanted) { first_ = table_->prepare_one(wanted, first_); }
    entry_id take() noexcept { return std::exchange(first_, no_entry); }

   private:
    tag_table* table_;
    entry_id first_;
  };

  /// May throw; then nothing has changed.
  prepared prepare(tag_refs const& tags) {
    prepared done(*this, no_entry);
    for (tag_ref const& each : tags) done.add(each);
    return done;
  }
  void attach(tag_hook& hook, entry_id entry, prepared& tags) noexcept {
    release(std::exchange(hook.first, tags.take()));
    for (entry_id m = hook.first; m != no_entry; m = memberships_[m].next) {
      tag& t = tags_[memberships_[m].tag];
      memberships_[m].entry = entry;
      t.members.push_front(links(), m);
      ++t.size;
    }
  }
  void detach(tag_hook& hook) noexcept { release(std::exchange(hook.first, no_entry)); }

  /// How many entries have the tag.
  std::size_t count(tag_ref const& wanted) const noexcept {
    entry_id const t = find(wanted);
    return t == no_entry ? 0 : tags_[t].size;
  }
  /// The one that has had it longest.
  entry_id oldest(tag_ref const& wanted) const noexcept {
    entry_id const t = find(wanted);
    if (t == no_entry || tags_[t].members.empty()) return no_entry;
    return memberships_[tags_[t].members.back()].entry;
  }
  /// Calls `f(name)` for each tag of an entry, in the order of their names.
  template <class F>
  void for_each_of(tag_hook const& hook, F f) const {
    for (entry_id m = hook.first; m != no_entry; m = memberships_[m].next) {
      tag const& t = tags_[memberships_[m].tag];
      f(std::string_view(t.name, t.length));
    }
  }

 private:
  using names_traits = typename std::allocator_traits<Allocator>::template rebind_traits<char>;
  struct tag {
    std::uint64_t hash = 0;
    char* name = nullptr;
    std::size_t length = 0;
    std::size_t size = 0;  // entries that have it
    std::size_t uses = 0;  // and those that are going to
    entry_list members;
    entry_id next = no_entry;
    entry_id& link() noexcept { return next; }
  };
  struct membership {
    entry_id tag = no_entry;
    entry_id entry = no_entry;  // none: it is only prepared
    entry_links in_tag;
    entry_id next = no_entry;  // the entry's next one
    entry_id& link() noexcept { return next; }
  };

  auto links() noexcept {
    return [this](entry_id m) noexcept -> entry_links& { return memberships_[m].in_tag; };
  }
  entry_id find(tag_ref const& wanted) const noexcept {
    return index_.find(wanted.hash, [&](entry_id id) noexcept {
      tag const& t = tags_[id];
      return t.hash == wanted.hash && std::string_view(t.name, t.length) == wanted.name;
    });
  }

  /// A chain that is one longer; all or nothing.
  entry_id prepare_one(tag_ref const& wanted, entry_id rest) {
    entry_id const m = memberships_.acquire();
    slot_guard slot{*this, m};
    entry_id t = find(wanted);
    if (t == no_entry) t = make(wanted);
    slot.id = no_entry;
    ++tags_[t].uses;
    membership& made = memberships_[m];
    made.tag = t;
    made.entry = no_entry;
    made.next = rest;
    return m;
  }
  entry_id make(tag_ref const& wanted) {
    index_.reserve_one_more([this](entry_id id) { return static_cast<std::uint32_t>(tags_[id].hash); });
    char* const name = wanted.name.empty() ? nullptr : names_traits::allocate(names_, wanted.name.size());
    name_guard named{*this, name, wanted.name.size()};
    entry_id const id = tags_.acquire();
    named.name = nullptr;
    std::copy(wanted.name.begin(), wanted.name.end(), name);
    tag& t = tags_[id];
    t.hash = wanted.hash;
    t.name = name;
    t.length = wanted.name.size();
    t.size = t.uses = 0;
    t.members = {};
    index_.insert(wanted.hash, id);
    return id;
  }
  void release(entry_id first) noexcept {
    for (entry_id m = first; m != no_entry;) {
      membership const gone = memberships_[m];
      tag& t = tags_[gone.tag];
      if (gone.entry != no_entry) {
        t.members.remove(links(), m);
        --t.size;
      }
      memberships_.release(m);
      if (--t.uses == 0) {
        index_.erase(static_cast<std::uint32_t>(t.hash), gone.tag);
        free_name(t);
        tags_.release(gone.tag);
      }
      m = gone.next;
    }
  }
  void free_name(tag& t) noexcept {
    if (t.name != nullptr) names_traits::deallocate(names_, std::exchange(t.name, nullptr), t.length);
  }

  struct slot_guard {
    tag_table& table;
    entry_id id;
    ~slot_guard() {
      if (id != no_entry) table.memberships_.release(id);
    }
  };
  struct name_guard {
    tag_table& table;
    char* name;
    std::size_t length;
    ~name_guard() {
      if (name != nullptr) names_traits::deallocate(table.names_, name, length);
    }
  };

  slab<tag, Allocator> tags_;
  hash_index<single_threaded, Allocator> index_;
  slab<membership, Allocator> memberships_;
  [[no_unique_address]] typename names_traits::allocator_type names_;
};

}  // namespace tideover::inline v0::detail
