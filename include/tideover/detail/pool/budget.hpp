// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/instant.hpp>
#include <tideover/policy/locking.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

/// A number of objects that several pools share. Each pool keeps its own lock; the budget's lock is taken
/// below it, and for a few instructions. What one pool asks of another is done with no lock held, as a step
/// of that other pool.
namespace tideover::inline v0::detail {

/// The pool is alone: nothing limits it but its own options.
struct no_budget {
  static constexpr bool limited = false;
  template <class Core>
  struct member {};
};

/// A pool as its budget sees it.
class pool_member {
 public:
  /// Since when its oldest idle object has been idle; `instant::max()`: it has none that it could spare.
  virtual instant spare_since() noexcept = 0;
  /// Closes that object, if there still is one that nobody of its own waits for.
  virtual bool spare_one() noexcept = 0;
  /// A place was offered to it: a step of its own takes that, unless one has meanwhile, or gives it back.
  virtual void use_offer() noexcept = 0;
  virtual std::shared_ptr<void> hold() noexcept = 0;

 protected:
  ~pool_member() = default;

 private:
  friend class pool_budget;
  pool_member* previous_ = nullptr;  // of all, in the order of their ids
  pool_member* next_ = nullptr;
  pool_member* hungry_before_ = nullptr;
  pool_member* hungry_after_ = nullptr;
  std::uint64_t id_ = 0;  // 0: not a member
  bool hungry_ = false;
  bool offered_ = false;  // a place is taken for it that it has not used yet; it is not hungry then
};

/// Counts the objects of all members. A member that somebody waits at, and that may not open one for lack of
/// budget, is hungry. What becomes free is offered to the one that has been hungry longest, and nobody takes
/// it before him; he is the last again afterwards, so the members are served in turn.
class pool_budget {
 public:
  pool_budget(std::size_t limit, bool evicts) noexcept : limit_(limit), evicts_(evicts) {}
  pool_budget(pool_budget const&) = delete;
  pool_budget& operator=(pool_budget const&) = delete;

  void join(pool_member& m) noexcept {
    std::lock_guard lock(mutex_);
    m.id_ = ++joined_;
    m.previous_ = last_;
    m.next_ = nullptr;
    (last_ != nullptr ? last_->next_ : first_) = &m;
    last_ = &m;
  }
  void leave(pool_member& m) noexcept {
    std::lock_guard lock(mutex_);
    if (m.id_ == 0) return;
    if (m.hungry_) remove_hungry(m);
    (m.previous_ != nullptr ? m.previous_->next_ : first_) = m.next_;
    (m.next_ != nullptr ? m.next_->previous_ : last_) = m.previous_;
    m.id_ = 0;
  }

  /// A place for `m`: the one that it was offered, or one that nobody waits for.
  bool take(pool_member& m) noexcept {
    std::lock_guard lock(mutex_);
    if (std::exchange(m.offered_, false)) return true;
    if (first_hungry_ != nullptr || used() >= limit_) return false;
    used_.store(used() + 1, std::memory_order_relaxed);
    return true;
  }
  void give() noexcept {
    std::lock_guard lock(mutex_);
    used_.store(used() - 1, std::memory_order_relaxed);
  }
  /// Gives back an offer that was not used.
  void decline(pool_member& m) noexcept {
    std::lock_guard lock(mutex_);
    if (!std::exchange(m.offered_, false)) return;
    used_.store(used() - 1, std::memory_order_relaxed);
  }
  /// An object is closed already, and keeps its place until it is destroyed.
  void begin_leaving() noexcept {
    std::lock_guard lock(mutex_);
    leaving_.store(leaving() + 1, std::memory_order_relaxed);
  }
  /// It is destroyed. In one, or its place would be neither coming nor free for a moment.
  void end_leaving() noexcept {
    std::lock_guard lock(mutex_);
    leaving_.store(leaving() - 1, std::memory_order_relaxed);
    used_.store(used() - 1, std::memory_order_relaxed);
  }
  /// Whether `m` is hungry, from now on. True: it has just become so. What it was offered comes first: a
  /// step of `m` between the offer and its use is not to have room made for the same need again.
  bool want(pool_member& m, bool wants) noexcept {
    std::lock_guard lock(mutex_);
    if (m.hungry_ == wants || m.id_ == 0 || (wants && m.offered_)) return false;
    if (!wants) return remove_hungry(m), false;
    m.hungry_ = true;
    m.hungry_before_ = last_hungry_;
    m.hungry_after_ = nullptr;
    (last_hungry_ != nullptr ? last_hungry_->hungry_after_ : first_hungry_) = &m;
    last_hungry_ = &m;
    hungry_.store(hungry() + 1, std::memory_order_relaxed);
    return true;
  }

  /// Whether idle objects are wanted by other members: then each return is looked at under the lock. A member
  /// that asks under its own lock after the hungry one has looked at it there sees that it is wanted.
  bool wants_idle() const noexcept { return evicts_ && hungry() != 0; }
  /// How many objects have to go, so that each hungry member can open one.
  std::size_t shortage() const noexcept {
    if (!wants_idle()) return 0;
    std::size_t const taken = used();
    std::size_t const coming = (limit_ > taken ? limit_ - taken : 0) + leaving();
    std::size_t const wanted = hungry();
    return wanted > coming ? wanted - coming : 0;
  }

  /// One object less, for a hungry member; false: none of them lacks one. `stays`: it keeps its place until
  /// it is destroyed. Looked at and done in one, or two members would make room for one.
  bool evict(bool stays) noexcept {
    std::lock_guard lock(mutex_);
    if (shortage() == 0) return false;
    if (stays) {
      leaving_.store(leaving() + 1, std::memory_order_relaxed);
    } else {
      used_.store(used() - 1, std::memory_order_relaxed);
    }
    evicted_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }

  /// Offers what is free. With no lock held.
  void dispatch() noexcept {
    while (hungry() != 0) {
      std::shared_ptr<void> held;
      pool_member* m = nullptr;
      {
        std::lock_guard lock(mutex_);
        m = first_hungry_;
        if (m == nullptr || used() >= limit_) return;
        held = m->hold();
        remove_hungry(*m);
        m->offered_ = true;
        used_.store(used() + 1, std::memory_order_relaxed);
      }
      m->use_offer();
    }
  }
  /// Closes idle objects that nobody of their own key waits for, those first that were idle longest, until
  /// each hungry member has a place or there are none. With no lock held.
  void make_room() noexcept {
    while (shortage() != 0) {
      std::shared_ptr<void> best_held;
      pool_member* best = nullptr;
      instant oldest = instant::max();
      std::shared_ptr<void> held;
      std::uint64_t at = 0;
      for (pool_member* m = next_to(nullptr, at, held); m != nullptr; m = next_to(m, at, held)) {
        instant const since = m->spare_since();
        if (since < oldest) {
          oldest = since;
          best = m;
          best_held = held;
        }
      }
      if (best == nullptr) return;
      best->spare_one();
    }
  }

  std::size_t limit() const noexcept { return limit_; }
  std::size_t used() const noexcept { return used_.load(std::memory_order_relaxed); }
  std::size_t hungry() const noexcept { return hungry_.load(std::memory_order_relaxed); }
  std::uint64_t evicted() const noexcept { return evicted_.load(std::memory_order_relaxed); }

 private:
  /// The member after `m`, which `held` keeps alive and may have left meanwhile; null: there are no more.
  pool_member* next_to(pool_member const* m, std::uint64_t& at, std::shared_ptr<void>& held) noexcept {
    std::shared_ptr<void> before;  // dies after the lock
    std::lock_guard lock(mutex_);
    pool_member* next = nullptr;
    if (m != nullptr && m->id_ != 0) {
      next = m->next_;
    } else {
      for (next = first_; next != nullptr && next->id_ <= at; next = next->next_) {
      }
    }
    before.swap(held);
    if (next == nullptr) return nullptr;
    at = next->id_;
    held = next->hold();
    return next;
  }
  void remove_hungry(pool_member& m) noexcept {
    (m.hungry_before_ != nullptr ? m.hungry_before_->hungry_after_ : first_hungry_) = m.hungry_after_;
    (m.hungry_after_ != nullptr ? m.hungry_after_->hungry_before_ : last_hungry_) = m.hungry_before_;
    m.hungry_ = false;
    hungry_.store(hungry() - 1, std::memory_order_relaxed);
  }
  std::size_t leaving() const noexcept { return leaving_.load(std::memory_order_relaxed); }

  std::size_t const limit_;
  bool const evicts_;
  spin_mutex mutex_;
  // Written under the lock; read without it as a hint, or by one whose own lock orders it.
  std::atomic<std::size_t> used_{0};
  std::atomic<std::size_t> hungry_{0};
  std::atomic<std::size_t> leaving_{0};
  std::atomic<std::uint64_t> evicted_{0};
  pool_member* first_ = nullptr;
  pool_member* last_ = nullptr;
  pool_member* first_hungry_ = nullptr;
  pool_member* last_hungry_ = nullptr;
  std::uint64_t joined_ = 0;
};

/// What a machine knows of its budget. Under the lock of its pool.
class budget_share {
 public:
  static constexpr bool limited = true;

  /// How the pool is reached by its budget.
  template <class Core>
  class member : public pool_member {
   public:
    instant spare_since() noexcept final { return core().oldest_spare(); }
    bool spare_one() noexcept final { return core().close_spare(); }
    void use_offer() noexcept final { core().open_offered(); }
    std::shared_ptr<void> hold() noexcept final { return core().shared_from_this(); }

   protected:
    ~member() = default;

   private:
    Core& core() noexcept { return static_cast<Core&>(*this); }
  };

  void belongs_to(std::shared_ptr<pool_budget> budget, pool_member& self) noexcept {
    budget_ = std::move(budget);
    self_ = &self;
  }
  pool_budget& all() const noexcept { return *budget_; }

  /// Before it belongs to one nobody wants anything.
  bool wants_idle() const noexcept { return budget_ != nullptr && budget_->wants_idle(); }
  bool take() noexcept { return budget_->take(*self_); }
  void give() noexcept { budget_->give(); }
  void decline() noexcept { budget_->decline(*self_); }

 private:
  std::shared_ptr<pool_budget> budget_;
  pool_member* self_ = nullptr;
};

}  // namespace tideover::inline v0::detail
