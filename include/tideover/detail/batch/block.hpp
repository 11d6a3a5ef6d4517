// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/batch_processor_options.hpp>
#include <tideover/config.hpp>
#include <tideover/detail/batch/state.hpp>
#include <tideover/instant.hpp>
#include <tideover/result.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <type_traits>
#include <unordered_map>
#include <utility>

namespace tideover::inline v0::detail {

template <class Types>
struct batch_lane;
template <class Types>
struct batch_stripe;

struct no_batch_key {};
struct no_batch_stripe {};

/// One batch: its items in a row, as the sink wants them, and what is known of each. Everything it will ever
/// need is allocated with it, when its first item is accepted: to seal, send, split, retry and settle it
/// takes no memory. It is in one list of the machine at a time.
///
/// Positions: [first, begin) is dead, settled and still to be destroyed; [begin, end) lives. An item's slot,
/// the number that its ticket has, is its position as long as the batch is `plain`: nothing was taken out,
/// and no item has a deadline, a callback or an equal. Then nothing but the item itself is written.
template <class Types>
class batch_block final : public batch_state {
 public:
  using item_type = typename Types::item_type;
  using clock_type = typename Types::clock_type;
  static constexpr bool always_plain = !Types::keyed && !Types::dedupes && !Types::journals && Types::even;

  struct extra {
    batch_callback* callbacks;
    instant deadline;
    std::size_t bytes;
    std::uint64_t sequence;  // of acceptance, in the whole machine
    std::uint32_t slot;
    std::uint32_t members;  // how many adds share it
    [[no_unique_address]] typename Types::entry_type entry;
  };
  /// What the sink is to be given in one call, from `begin` on, and how often it has been before.
  struct range {
    std::uint32_t end;
    std::uint32_t attempts;
  };
  enum class verdict : unsigned char { delivered, failed, mismatched, again };

  /// Null if there is no memory.
  static batch_block* make(std::uint32_t capacity, clock_type const& clock, void const* owner) noexcept {
    layout const l(capacity);
    void* const raw = ::operator new(l.total, std::align_val_t(l.alignment), std::nothrow);
    if (raw == nullptr) return nullptr;
#if TIDEOVER_EXCEPTIONS
    try {
      return ::new (raw) batch_block(l, capacity, clock, owner);
    } catch (...) {
      ::operator delete(raw, std::align_val_t(l.alignment));
      return nullptr;
    }
#else
    return ::new (raw) batch_block(l, capacity, clock, owner);
#endif
  }

  std::uint32_t live() const noexcept { return end - begin; }
  std::uint32_t slot_at(std::uint32_t position) const noexcept {
    return plain ? position : extras[position].slot;
  }

  /// From now on everything is written down of each item.
  void write_down(std::size_t each) noexcept {
    if (!plain) return;
    plain = false;
    for (std::uint32_t i = begin; i != end; ++i) {
      ::new (static_cast<void*>(extras + i))
          extra{nullptr, instant::max(), each, 0, i, 1, typename Types::entry_type{}};
    }
    used_slots = end;
  }

  bool has_slot() const noexcept {
    return plain ? end != capacity : spare_slots != 0 || used_slots != capacity;
  }
  std::uint32_t take_slot() noexcept {
    if (spare_slots != 0) return spare[--spare_slots];
    return used_slots++;
  }
  void free_slot(std::uint32_t slot) noexcept {
    renew(slot);
    spare[spare_slots++] = slot;
  }

  void exchange(std::uint32_t a, std::uint32_t b) noexcept {
    item_type held(std::move(items[a]));
    std::destroy_at(items + a);
    std::construct_at(items + a, std::move(items[b]));
    std::destroy_at(items + b);
    std::construct_at(items + b, std::move(held));
    if (!plain) std::swap(extras[a], extras[b]);
  }
  /// Brings the item at `position` to the beginning and leaves it there, dead; the order of the others stays.
  void kill(std::uint32_t position) noexcept {
    for (; position != begin; --position) exchange(position, position - 1);
    ++begin;
  }
  /// Of [begin, to) those with `goes(position)` come first, dead, and the others behind them in their order.
  template <class Goes>
  void partition(std::uint32_t to, Goes goes) noexcept {
    std::uint32_t kept = to;
    for (std::uint32_t i = to; i != begin; --i) {
      if (goes(i - 1)) continue;
      --kept;
      if (kept != i - 1) exchange(i - 1, kept);
    }
    begin = kept;
  }
  /// Room at the end, once nothing dead is left.
  void close_up() noexcept {
    std::uint32_t to = 0;
    for (std::uint32_t i = begin; i != end; ++i, ++to) {
      std::construct_at(items + to, std::move(items[i]));
      std::destroy_at(items + i);
      extras[to] = extras[i];
    }
    first = begin = 0;
    end = to;
  }

  /// The earliest deadline of what lives.
  instant earliest_deadline() const noexcept {
    if (!has_deadlines) return instant::max();
    instant t = instant::max();
    for (std::uint32_t i = begin; i != end; ++i) t = std::min(t, extras[i].deadline);
    return t;
  }

  /// Destroys what it holds; outside of every lock, by its last user.
  void clear() noexcept {
    std::destroy(items + first, items + end);
    dirty = all_delivered_.load(std::memory_order_relaxed) ? 0 : plain ? end : used_slots;
    if constexpr (Types::dedupes) equals.clear();
    first = begin = end = 0;
  }
  /// Gives back what was not issued; true: nobody else has it, and it can be used again.
  bool give_back() noexcept {
    std::uint64_t const own = bias - issued;  // once they are given back the last ticket may end it
    return references_.fetch_sub(own, std::memory_order_acq_rel) == own;
  }
  /// For another use; what its tickets could read is forgotten.
  void forget() noexcept {
    for (std::uint32_t i = 0; i != dirty; ++i) {
      words_[i].store(0, std::memory_order_relaxed);
      if (has_results) results_[i] = outcome();
    }
    dirty = 0;
    has_results = false;
    all_delivered_.store(false, std::memory_order_relaxed);
  }
  void begin_anew(std::uint32_t items_at_most, instant now, std::uint64_t flush_epoch) noexcept {
    // Nobody else can see it: relaxed. Adders and readers come to it through the machine's lock or a ticket.
    references_.store(bias, std::memory_order_relaxed);
    issued = 0;
    limit = items_at_most;
    opened = now;
    epoch = flush_epoch;
    bytes = 0;
    shared = 0;
    used_slots = spare_slots = 0;
    depth = 0;
    home = {};
    plain = always_plain;
    has_deadlines = abandoned = sent = false;
  }

  using batch_state::generation;
  using batch_state::set;
  using batch_state::set_all_delivered;
  using batch_state::somebody_waits;
  using batch_state::tell;
  /// To be written before the slot is settled as failed.
  void store_result(std::uint32_t slot, outcome const& o) noexcept {
    if (!made_results) std::uninitialized_value_construct_n(results_, capacity);  // most batches have none
    made_results = has_results = true;
    results_[slot] = o;
  }
  outcome const& result_of(std::uint32_t slot) const noexcept { return results_[slot]; }
  void destroy() noexcept override {
    std::size_t const alignment = layout(capacity).alignment;
    this->~batch_block();
    ::operator delete(static_cast<void*>(this), std::align_val_t(alignment));
  }

  batch_block* next = nullptr;
  batch_block* previous = nullptr;
  batch_lane<Types>* lane = nullptr;
  item_type* items = nullptr;
  extra* extras = nullptr;
  std::uint32_t* spare = nullptr;
  verdict* verdicts = nullptr;
  std::uint64_t issued = 0;  // tickets
  std::size_t bytes = 0;     // of what lives, where items differ
  std::uint64_t epoch = 0;   // how many flushes had begun when it was opened
  instant opened{};
  instant retry_at{};  // its next attempt
  instant due{};       // the same, or the deadline of an item before it
  std::size_t flight_bytes = 0;
  std::uint32_t const capacity;
  std::uint32_t limit = 0;
  std::uint32_t first = 0, begin = 0, end = 0;
  std::uint32_t shared = 0;  // adds beyond one for each item
  std::uint32_t used_slots = 0, spare_slots = 0;
  std::uint32_t dirty = 0;  // slots whose words were written
  std::uint32_t depth = 0;
  batch_trigger trigger{};
  bool plain = true, has_deadlines = false, has_results = false, abandoned = false, sent = false;
  bool in_flight = false, made_results = false;
  std::array<range, 34> ranges{};  // the innermost last; halves of halves of 2^20 at most
  std::conditional_t<Types::dedupes, std::unordered_map<typename Types::equality_key, std::uint32_t>,
                     no_batch_key>
      equals{};  // slots
  /// The stripe whose open batch it is, if it is of one.
  [[no_unique_address]] std::conditional_t<Types::relaxed, batch_stripe<Types>*, no_batch_stripe> home{};

 private:
  struct layout {
    explicit layout(std::uint32_t n) noexcept {
      words = put(sizeof(batch_block), sizeof(std::atomic<std::uint32_t>) * n,
                  alignof(std::atomic<std::uint32_t>));
      // What each batch touches first, what only few do behind it.
      items = put(at, sizeof(item_type) * n, std::max(alignof(item_type), cache_line));
      verdicts = put(at, sizeof(verdict) * n, alignof(verdict));
      spares = put(at, sizeof(std::uint32_t) * n, alignof(std::uint32_t));
      extras = put(at, sizeof(extra) * n, alignof(extra));
      results = put(at, sizeof(outcome) * n, alignof(outcome));
      total = at;
      alignment = std::max({alignof(batch_block), alignof(item_type), cache_line});
    }
    std::size_t put(std::size_t from, std::size_t size, std::size_t align) noexcept {
      std::size_t const place = (from + align - 1) / align * align;
      at = place + size;
      return place;
    }
    std::size_t at = 0, words, spares, verdicts, results, extras, items, total, alignment;
  };

  batch_block(layout const& l, std::uint32_t n, clock_type const& clock, void const* owner)
      : batch_state(owner), capacity(n), clock_(clock) {
    auto* const base = reinterpret_cast<unsigned char*>(this);
    words_ = reinterpret_cast<std::atomic<std::uint32_t>*>(base + l.words);
    spare = reinterpret_cast<std::uint32_t*>(base + l.spares);
    verdicts = reinterpret_cast<verdict*>(base + l.verdicts);
    results_ = reinterpret_cast<outcome*>(base + l.results);
    extras = reinterpret_cast<extra*>(base + l.extras);
    items = reinterpret_cast<item_type*>(base + l.items);
    for (std::uint32_t i = 0; i != n; ++i) {
      ::new (static_cast<void*>(words_ + i)) std::atomic<std::uint32_t>(0);
    }
  }
  ~batch_block() override {
    if (made_results) std::destroy_n(results_, capacity);
  }

  instant precise_now() const noexcept override { return clock_.precise_now(); }
  void wait_until(std::unique_lock<std::mutex>& lock, instant t) override {
    clock_.wait_until(settled_, lock, t);
  }

  [[no_unique_address]] clock_type clock_;
};

/// The batches of one key, or of all items where there are no keys.
template <class Types>
struct batch_lane {
  using block = batch_block<Types>;
  using key_type = typename Types::key_type;

  block* open = nullptr;       // first: beside what else every add looks at
  batch_lane* next = nullptr;  // among those that have something to send
  batch_lane* previous = nullptr;
  batch_lane* in_bucket = nullptr;
  batch_list<block> sealed{};
  std::size_t outstanding = 0;  // sealed and not settled
  std::size_t hash = 0;
  bool queued = false;
  bool gone = false;  // it has been handed out, to be freed
  bool busy = false;  // keyed: a batch is with the sink, or waits for another attempt
  [[no_unique_address]] key_type key{};

  bool idle() const noexcept { return open == nullptr && outstanding == 0; }
};

}  // namespace tideover::inline v0::detail
