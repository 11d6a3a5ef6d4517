// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/detail/flight.hpp>
#include <tideover/detail/hash_index.hpp>
#include <tideover/detail/slab.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/locking.hpp>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

namespace tideover::inline v0::detail {

/// Where a batch of keys stands. `full`: closed to new keys, and nobody has begun it.
enum class load_state : unsigned char { open, full, running, done };

/// One batch of keys and, when it has run, their values; shared by all who wait for one of them.
template <class Key, class Value>
struct load_batch {
  struct slot {
    std::optional<Value> value{};
    failure why{};
    entry_id id = no_entry;  // in the table while calls find it there
    bool outdated = false;   // cleared since it began: not to be stored
    bool overtaken = false;  // the same while it was stored; guarded by the loader's mutex
  };

  // Guarded by the loader's mutex; keys and slots until it runs.
  load_state state = load_state::open;
  bool has_captain = false;            // somebody waits for the end of its linger
  bool storing = false;                // its values, at this moment
  std::atomic<bool> overtaken{false};  // one of its slots is
  bool primed = false;                 // not loaded but given: who finds no value in it asks again
  instant opened{};
  std::uint64_t epoch = 0;
  std::thread::id runner{};
  load_batch* next_running = nullptr;
  std::shared_ptr<load_batch> self{};  // while calls find a key of it
  std::condition_variable changed;

  flight sync;  // led by who runs it
  std::vector<Key> keys;
  std::vector<slot> slots;
};

/// The keys that are waited for, each in one batch: no lock, no thread, no time, no call of the user's but
/// hash and equality. Whoever calls it holds the loader's mutex. Members that take a key give the strong
/// guarantee, the others cannot fail.
template <class Key, class Value, class Hashing>
class load_table {
 public:
  using batch = load_batch<Key, Value>;
  using batch_ptr = std::shared_ptr<batch>;
  /// Where a key is waited for; `in->self` keeps the batch for who goes on without the mutex.
  struct place {
    batch* in;
    std::size_t at;
  };

  load_table(std::size_t max_items, Hashing const& hashing) : max_items_(max_items), hashing_(hashing) {}
  load_table(load_table const&) = delete;
  load_table& operator=(load_table const&) = delete;
  ~load_table() {
    // What was never got: each batch once, and none before the last look at its keys.
    batch* left = nullptr;
    index_.drain([&](entry_id id) {
      batch* const b = records_[id].in;
      if (std::exchange(b->state, load_state::done) == load_state::done) return;
      b->next_running = left;
      left = b;
    });
    open_.reset();
    while (left != nullptr) {
      batch_ptr const last = std::move(left->self);
      left = last->next_running;
    }
  }

  /// Where the key is waited for, if it is.
  std::optional<place> find(std::uint64_t hash, Key const& key) const {
    entry_id const id = index_.find(hash, [&](entry_id i) {
      record const& r = records_[i];
      return r.hash == hash && hashing_.equal(r.in->keys[r.at], key);
    });
    if (id == no_entry) return std::nullopt;
    return place{records_[id].in, records_[id].at};
  }

  /// Adds a key that is not there to the open batch, or to a new one, for which `now()` is asked. The key
  /// that fills it closes it.
  template <class Now>
  place add(std::uint64_t hash, Key const& key, Now now) {
    if (!open_) {
      batch_ptr b = std::make_shared<batch>();
      enter(*b, hash, key);
      b->opened = now();
      b->self = b;
      open_ = std::move(b);
    } else {
      enter(*open_, hash, key);
    }
    batch& b = *open_;
    if (b.keys.size() == max_items_) {
      b.state = load_state::full;
      open_.reset();
    }
    return {&b, b.keys.size() - 1};
  }
  /// A batch of one key apart from the others, which is not there.
  batch_ptr add_alone(std::uint64_t hash, Key const& key) {
    batch_ptr b = std::make_shared<batch>();
    b->state = load_state::full;
    enter(*b, hash, key);
    b->self = b;
    return b;
  }

  /// It runs from now on, on this thread.
  void begin(batch& b) noexcept {
    if (open_.get() == &b) open_.reset();
    b.state = load_state::running;
    b.epoch = epoch_;
    b.runner = std::this_thread::get_id();
    b.sync.lead();
    b.next_running = running_;
    running_ = &b;
    b.changed.notify_all();
  }
  void end(batch& b) noexcept {
    batch** link = &running_;
    while (*link != &b) link = &(*link)->next_running;
    *link = b.next_running;
    for (auto& s : b.slots) forget(s);
    b.storing = false;
    b.state = load_state::done;
    b.self.reset();  // who runs it holds it too
  }

  /// Somebody waits for it no longer. If that was the last, and it is full, it would be begun only by who
  /// asks for one of its keys some day: it is forgotten. True: `mine` is all that holds it now, to be let go
  /// without the mutex.
  bool leave(batch_ptr const& mine) noexcept {
    // `self` and `mine`: references come and go under the mutex as long as a batch has not begun.
    if (mine->state != load_state::full || mine.use_count() != 2) return false;
    for (auto& s : mine->slots) forget(s);
    mine->state = load_state::done;
    mine->self.reset();
    return true;
  }

  /// A key that runs is found by nobody from now on, and what comes of it is not stored. One that has not
  /// begun stays: it will see what is there then.
  void outdate(place const& p) noexcept {
    if (p.in->state != load_state::running) return;
    p.in->slots[p.at].outdated = true;
    forget(p.in->slots[p.at]);
  }
  /// The same while another thread stores it, which is to erase it again.
  void overtake(place const& p) noexcept {
    auto& s = p.in->slots[p.at];
    s.overtaken = true;
    // Release: whoever reads this looks at the slot under the mutex. What is erased in the store behind this
    // is not found there, or was put there before by a thread that sees this.
    p.in->overtaken.store(true, std::memory_order_release);
    forget(s);
  }
  /// The same of every key that runs, but for batches that another thread stores: these are to be waited for,
  /// as long as `stores_older` of what is returned; or overtaken, by a thread that stores one itself.
  std::uint64_t outdate_all() noexcept {
    bool const stores = stores_here();
    for (batch* b = running_; b != nullptr; b = b->next_running) {
      bool const theirs = b->storing && b->runner != std::this_thread::get_id();
      if (theirs && !stores) continue;
      for (std::size_t i = 0; i != b->slots.size(); ++i) {
        if (theirs) {
          overtake({b, i});
        } else {
          b->slots[i].outdated = true;
          forget(b->slots[i]);
        }
      }
    }
    return ++epoch_;
  }
  /// Whether this thread stores a batch, by which it has come here: another that stores may wait for that.
  bool stores_here() const noexcept {
    for (batch const* b = running_; b != nullptr; b = b->next_running) {
      if (b->storing && b->runner == std::this_thread::get_id()) return true;
    }
    return false;
  }
  /// Whether a batch that began before that is being stored, by another thread.
  bool stores_older(std::uint64_t epoch) const noexcept {
    for (batch const* b = running_; b != nullptr; b = b->next_running) {
      if (b->storing && b->epoch < epoch && b->runner != std::this_thread::get_id()) return true;
    }
    return false;
  }

  std::size_t size() const noexcept { return index_.size(); }
  std::size_t max_items() const noexcept { return max_items_; }

 private:
  struct record {
    batch* in = nullptr;
    std::size_t at = 0;
    std::uint64_t hash = 0;
    entry_id next = no_entry;
    entry_id& link() noexcept { return next; }
  };

  static std::uint32_t lower(std::uint64_t hash) noexcept { return static_cast<std::uint32_t>(hash); }

  void enter(batch& b, std::uint64_t hash, Key const& key) {
    index_.reserve_one_more([this](entry_id i) { return lower(records_[i].hash); });
    struct undo {
      batch* b;
      ~undo() {
        if (b != nullptr) b->slots.pop_back();
      }
    };
    b.slots.emplace_back();
    undo slot{&b};
    struct give_back {
      slab<record, std::allocator<std::byte>>& of;
      entry_id id;
      ~give_back() {
        if (id != no_entry) of.release(id);
      }
    } taken{records_, records_.acquire()};
    b.keys.push_back(key);
    slot.b = nullptr;
    entry_id const id = std::exchange(taken.id, no_entry);
    record& r = records_[id];
    r.in = &b;
    r.at = b.keys.size() - 1;
    r.hash = hash;
    b.slots.back().id = id;
    index_.insert(hash, id);
  }
  void forget(typename batch::slot& s) noexcept {
    entry_id const id = std::exchange(s.id, no_entry);
    if (id == no_entry) return;
    index_.erase(lower(records_[id].hash), id);
    records_.release(id);
  }

  std::size_t max_items_;
  Hashing const& hashing_;
  std::uint64_t epoch_ = 0;  // grows with each outdate_all
  batch_ptr open_{};
  batch* running_ = nullptr;
  slab<record, std::allocator<std::byte>> records_{std::allocator<std::byte>()};
  hash_index<single_threaded, std::allocator<std::byte>> index_{std::allocator<std::byte>()};
};

}  // namespace tideover::inline v0::detail
