// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/eviction.hpp>
#include <tideover/policy/eviction/frequency_sketch.hpp>
#include <tideover/policy/eviction/lazy_tinylfu.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace tideover::inline v0 {

/// W-TinyLFU (Einziger, Friedman and Manes, "TinyLFU: a highly efficient cache admission policy", ACM TOS
/// 2017) with a window of `Percent` of the entries, in the lazy form: a hit sets one bit. Small windows serve
/// frequency, large ones recency. 10 bytes an entry and 4 of sketch.
template <unsigned Percent>
class w_tinylfu_fixed : public eviction_parts::lazy_tinylfu {
  static_assert(Percent <= 100, "tideover::w_tinylfu_fixed: the window is 0 to 100 percent");

 public:
  template <class Locking, class Allocator>
  class shared {
   public:
    shared(std::size_t capacity, std::size_t, std::uint64_t seed, Allocator const& allocator)
        : seed_(seed), sketch_(capacity, seed, allocator) {}
    auto& sketch() noexcept { return sketch_; }
    std::uint64_t seed() const noexcept { return seed_; }
    void set_capacity(std::size_t capacity) { sketch_.set_capacity(capacity); }

   private:
    std::uint64_t seed_;
    frequency_sketch<Locking, Allocator> sketch_;
  };

  w_tinylfu_fixed() noexcept { segments_.set_window(Percent / 100.0); }

  template <class Hooks>
  void on_insert(Hooks hooks, entry_id id) noexcept {
    hooks.shared().sketch().increment(hooks.hash(id));
    segments_.insert(hooks, id, 0, false, note_in_sketch(hooks));
  }
  template <class Hooks>
  entry_id victim(Hooks hooks) noexcept {
    return segments_.victim(hooks, note_in_sketch(hooks), admit_by(hooks));
  }
};

/// W-TinyLFU whose window climbs the hill of the hit ratio (Einziger, Eytan, Friedman and Manes, Middleware
/// 2018), from 10 %: after each ten capacities of requests it goes on in the direction that did good, or
/// turns round, in steps that become smaller until the ratio jumps. The ratio is that of a sample of the
/// keys. In the lazy form: a hit sets one bit. 10 bytes an entry and 4 of sketch.
class w_tinylfu : public eviction_parts::lazy_tinylfu {
 public:
  template <class Locking, class Allocator>
  class shared;

  template <class Hooks>
  void on_insert(Hooks hooks, entry_id id) noexcept {
    auto& s = hooks.shared();
    s.sketch().increment(hooks.hash(id));
    std::uint8_t const mark = first_mark(hooks, hooks.hash(id));
    segments_.set_window(s.window());
    segments_.insert(hooks, id, mark, false, note_in_sketch(hooks));
    if ((mark & sampled) != 0) s.record_miss();
  }
  template <class Hooks>
  entry_id victim(Hooks hooks) noexcept {
    return segments_.victim(hooks, note_in_sketch(hooks), admit_by(hooks));
  }
};

template <class Locking, class Allocator>
class w_tinylfu::shared {
 public:
  shared(std::size_t capacity, std::size_t, std::uint64_t seed, Allocator const& allocator)
      : seed_(seed), sketch_(capacity, seed, allocator), sample_(capacity, most_one_in, seed) {
    set_period(capacity);
  }
  auto& sketch() noexcept { return sketch_; }
  std::uint64_t seed() const noexcept { return seed_; }
  bool samples(std::uint32_t hash) const noexcept { return sample_.contains(hash); }
  std::uint8_t tick() const noexcept {
    return static_cast<std::uint8_t>(misses_.load(std::memory_order_relaxed) /
                                     misses_per_tick_.load(std::memory_order_relaxed));
  }
  double window() const noexcept { return window_.load(std::memory_order_relaxed); }

  void record_hit(std::uint32_t) noexcept { hits_.fetch_add(1, std::memory_order_relaxed); }
  void record_miss() noexcept {
    misses_.fetch_add(1, std::memory_order_relaxed);
    if (!period_is_over()) return;
    if (climbing_.exchange(1, std::memory_order_acquire) != 0) return;
    if (period_is_over()) {  // still, now that nobody else ends it
      std::uint64_t const hits = hits_.load(std::memory_order_relaxed);
      std::uint64_t const misses = misses_.load(std::memory_order_relaxed);
      climb(static_cast<double>(hits) /
            static_cast<double>(hits + misses - misses_before_.load(std::memory_order_relaxed)));
      misses_before_.store(misses, std::memory_order_relaxed);
      hits_.store(0, std::memory_order_relaxed);
    }
    climbing_.store(0, std::memory_order_release);
  }

  void set_capacity(std::size_t capacity) {
    sketch_.set_capacity(capacity);
    sample_ = eviction_parts::key_sample(capacity, most_one_in, seed_);
    set_period(capacity);
  }

 private:
  static constexpr std::size_t most_one_in = 64;
  static constexpr double first_window = 0.1;
  static constexpr double first_step = 0.0625;
  static constexpr double decay = 0.98;
  static constexpr double jump = 0.05;
  template <class T>
  using cell = typename Locking::template cell<T>;

  bool period_is_over() const noexcept {
    // The older count first: what is subtracted is never the larger one.
    std::uint64_t const before = misses_before_.load(std::memory_order_relaxed);
    std::uint64_t const misses = misses_.load(std::memory_order_relaxed);
    return misses >= before && misses - before + hits_.load(std::memory_order_relaxed) >= period_;
  }
  void set_period(std::size_t capacity) noexcept {
    period_ = 10 * capacity / sample_.one_in();
    misses_per_tick_.store(std::max<std::size_t>(1, capacity / sample_.one_in() / 50),
                           std::memory_order_relaxed);
  }
  /// One at a time.
  void climb(double ratio) noexcept {
    double const change = ratio - before_;
    before_ = ratio;
    double const go = change >= 0 ? step_ : -step_;
    window_.store(std::clamp(window() + go, 0.0, 0.99), std::memory_order_relaxed);
    step_ = std::abs(change) >= jump ? std::copysign(first_step, go) : go * decay;
  }

  std::uint64_t seed_;
  frequency_sketch<Locking, Allocator> sketch_;
  eviction_parts::key_sample sample_;
  std::uint64_t period_ = 0;
  double before_ = 0;
  double step_ = -first_step;
  cell<double> window_{first_window};
  cell<std::uint64_t> misses_per_tick_{1};  // read by hits, which hold no lock
  cell<std::uint64_t> hits_{0};
  cell<std::uint64_t> misses_{0};
  cell<std::uint64_t> misses_before_{0};
  cell<std::uint32_t> climbing_{0};
};

}  // namespace tideover::inline v0
