// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/deadline.hpp>
#include <tideover/error.hpp>
#include <tideover/instant.hpp>
#include <tideover/result.hpp>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace tideover::inline v0::detail {

/// What a thread runs of a batch processor: a sink, a callback, a listener. Who waits there for the batch
/// processor would wait for itself.
struct batch_frame {
  explicit batch_frame(void const* processor) noexcept : of(processor), outer(innermost) { innermost = this; }
  batch_frame(batch_frame const&) = delete;
  batch_frame& operator=(batch_frame const&) = delete;
  ~batch_frame() { innermost = outer; }

  static bool inside(void const* processor) noexcept {
    for (batch_frame const* f = innermost; f != nullptr; f = f->outer) {
      if (f->of == processor) return true;
    }
    return false;
  }

  void const* of;
  batch_frame* outer;
  static inline constinit thread_local batch_frame* innermost = nullptr;
};

/// Outcomes that say the same for everybody.
inline outcome const& delivered_outcome() noexcept {
  static outcome const o;
  return o;
}
inline outcome const& cancelled_outcome() noexcept {
  static outcome const o(errc::cancelled);
  return o;
}
inline outcome const& expired_outcome() noexcept {
  static outcome const o(errc::expired);
  return o;
}
inline outcome const& dropped_outcome() noexcept {
  static outcome const o(errc::dropped);
  return o;
}
inline outcome const& shut_down_outcome() noexcept {
  static outcome const o(errc::shut_down);
  return o;
}

/// Where an item of a batch stands, in the lowest bits of its slot's word; above them is the slot's
/// generation. A slot whose item was dropped or cancelled before the batch was sealed goes on in the next
/// one.
enum class slot_state : std::uint32_t { pending, delivered, failed, shut_down, cancelled };
inline constexpr unsigned slot_state_bits = 3;
inline constexpr std::uint32_t slot_state_mask = (1u << slot_state_bits) - 1;

/// The part of a batch that its tickets share; it lives as long as the batch is in use or a ticket is.
///
/// References are counted with a bias: the batch begins with more than it will ever issue, so issuing a
/// ticket writes nothing shared; what was not issued is given back in one step when the batch is done.
class batch_state {
 public:
  static constexpr std::uint64_t bias = std::uint64_t{1} << 62;

  /// Null while the slot is pending.
  outcome const* look(std::uint32_t slot, std::uint32_t generation) const noexcept {
    // Acquire: pairs with the release in `set`; what settled the item, its outcome too, happened before.
    std::uint32_t const word = words_[slot].load(std::memory_order_acquire);
    if (word >> slot_state_bits != generation) return &dropped_outcome();
    switch (static_cast<slot_state>(word & slot_state_mask)) {
      case slot_state::pending:
        // Acquire: pairs with the release in `set_all_delivered`.
        return all_delivered_.load(std::memory_order_acquire) ? &delivered_outcome() : nullptr;
      case slot_state::delivered:
        return &delivered_outcome();
      case slot_state::failed:
        return results_ + slot;
      case slot_state::shut_down:
        return &shut_down_outcome();
      case slot_state::cancelled:
        return &cancelled_outcome();
    }
    return nullptr;
  }

  /// Waits until the slot is settled, `until` comes or its token is triggered.
  outcome const* wait(std::uint32_t slot, std::uint32_t generation, deadline const* until) {
    if (auto const* o = look(slot, generation)) return o;
    struct enlisted {
      explicit enlisted(std::atomic<std::uint32_t>& n) : waiters(n) {
        // Acquire and release: of this and the one in `tell`, the later sees what came before the other.
        waiters.fetch_add(1, std::memory_order_acq_rel);
      }
      ~enlisted() { waiters.fetch_sub(1, std::memory_order_relaxed); }
      std::atomic<std::uint32_t>& waiters;
    } const here(waiters_);
    auto const wake = [this] { ring(); };
    std::stop_callback<decltype(wake)> const on_stop(until != nullptr ? until->stop : std::stop_token(),
                                                     wake);
    std::unique_lock lock(mutex_);
    for (;;) {
      if (auto const* o = look(slot, generation)) return o;
      if (until == nullptr) {
        settled_.wait(lock);
      } else {
        if (until->stop.stop_requested() || until->passed(precise_now())) return nullptr;
        wait_until(lock, until->at);
      }
    }
  }

  void release() noexcept {
    // Release: what this thread read of the batch was read before; acquire: by whoever ends it.
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }

  /// The batch processor that it is of.
  void const* owner() const noexcept { return owner_; }

 protected:
  explicit batch_state(void const* owner) noexcept : owner_(owner) {}
  virtual ~batch_state() = default;

  virtual void destroy() noexcept = 0;
  virtual instant precise_now() const noexcept = 0;
  virtual void wait_until(std::unique_lock<std::mutex>& lock, instant t) = 0;

  void set(std::uint32_t slot, slot_state s) noexcept {
    std::uint32_t const word = words_[slot].load(std::memory_order_relaxed);
    words_[slot].store((word & ~slot_state_mask) | static_cast<std::uint32_t>(s), std::memory_order_release);
  }
  /// In place of setting each, where none was touched: the common end of a batch is one store.
  void set_all_delivered() noexcept { all_delivered_.store(true, std::memory_order_release); }
  /// The slot's item is gone; what comes next in it is another. Returns the new generation.
  void renew(std::uint32_t slot) noexcept {
    std::uint32_t const word = words_[slot].load(std::memory_order_relaxed);
    words_[slot].store(((word >> slot_state_bits) + 1) << slot_state_bits, std::memory_order_release);
  }
  std::uint32_t generation(std::uint32_t slot) const noexcept {
    return words_[slot].load(std::memory_order_relaxed) >> slot_state_bits;
  }
  /// After slots were set: wakes who waits for them.
  void tell() noexcept {
    if (somebody_waits()) ring();
  }
  /// An exchange of the count with itself, so that it stands in one order with the waiters' own: who comes
  /// later sees what was set.
  bool somebody_waits() noexcept { return waiters_.fetch_add(0, std::memory_order_acq_rel) != 0; }
  TIDEOVER_COLD void ring() noexcept {
    std::lock_guard lock(mutex_);
    settled_.notify_all();
  }

  std::atomic<std::uint32_t>* words_ = nullptr;
  outcome* results_ = nullptr;
  std::atomic<std::uint64_t> references_{bias};
  std::atomic<std::uint32_t> waiters_{0};
  std::atomic<bool> all_delivered_{false};
  std::mutex mutex_;
  std::condition_variable settled_;
  void const* const owner_;
};

/// What is to be called when an item is settled; made when it is added, so that settling needs no memory. It
/// has a copy of the outcome: the batch may be gone by then.
struct batch_callback {
  batch_callback() = default;
  batch_callback(batch_callback const&) = delete;
  batch_callback& operator=(batch_callback const&) = delete;
  virtual ~batch_callback() = default;
  virtual void run() = 0;

  batch_callback* next = nullptr;
  outcome result{};
};
template <class F>
struct batch_callback_of final : batch_callback {
  template <class G>
  explicit batch_callback_of(G&& g) : f(std::forward<G>(g)) {}
  void run() override { f(static_cast<outcome const&>(result)); }
  F f;
};

/// Singly linked, with its end.
struct batch_callbacks {
  batch_callback* first = nullptr;
  batch_callback* last = nullptr;

  void append(batch_callback* chain, outcome const& o) noexcept {
    while (chain != nullptr) {
      auto* const next = chain->next;
      chain->next = nullptr;
      chain->result = o;
      (last == nullptr ? first : last->next) = chain;
      last = chain;
      chain = next;
    }
  }
  batch_callback* pop() noexcept {
    auto* const c = first;
    if (c != nullptr) {
      first = c->next;
      if (first == nullptr) last = nullptr;
    }
    return c;
  }
};

/// A doubly linked list of nodes that have `next` and `previous`.
template <class Node>
struct batch_list {
  Node* first = nullptr;
  Node* last = nullptr;

  bool empty() const noexcept { return first == nullptr; }
  void push_back(Node* n) noexcept { insert_before(nullptr, n); }
  void push_front(Node* n) noexcept { insert_before(first, n); }
  void insert_before(Node* where, Node* n) noexcept {
    n->next = where;
    n->previous = where != nullptr ? where->previous : last;
    (n->previous != nullptr ? n->previous->next : first) = n;
    (where != nullptr ? where->previous : last) = n;
  }
  void erase(Node* n) noexcept {
    (n->previous != nullptr ? n->previous->next : first) = n->next;
    (n->next != nullptr ? n->next->previous : last) = n->previous;
    n->next = n->previous = nullptr;
  }
  Node* pop_front() noexcept {
    auto* const n = first;
    if (n != nullptr) erase(n);
    return n;
  }
};

}  // namespace tideover::inline v0::detail
