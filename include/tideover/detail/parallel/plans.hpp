// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <vector>

/// In which order the calls of a group may begin. A plan knows no lock, no thread and no function of the
/// user's: it is told what has begun and ended, and says what may begin next. Nothing in it fails or
/// allocates after the construction.
namespace tideover::inline v0::detail {

/// One call: of `stage` with `item`.
struct parallel_unit {
  std::size_t item;
  std::size_t stage;
};

/// Any number at once, the first items first.
class free_plan {
 public:
  explicit free_plan(std::size_t items) noexcept : items_(items) {}

  std::size_t units() const noexcept { return items_; }
  /// How many may begin now.
  std::size_t ready() const noexcept { return items_ - next_; }
  /// Whether everything has begun that ever will.
  bool exhausted() const noexcept { return next_ == items_; }
  parallel_unit begin() noexcept { return {next_++, 0}; }
  void end(parallel_unit, bool) noexcept {}

 private:
  std::size_t items_;
  std::size_t next_ = 0;
};

/// Item i belongs to lane i modulo lanes; a lane does one item at a time, in order.
class lane_plan {
 public:
  lane_plan(std::size_t items, std::size_t lanes) : items_(items), next_(lanes), waiting_(lanes) {
    for (std::size_t lane = 0; lane != lanes; ++lane) {
      next_[lane] = lane;
      if (lane < items) enqueue(lane);
    }
  }

  std::size_t units() const noexcept { return items_; }
  std::size_t ready() const noexcept { return count_; }
  bool exhausted() const noexcept { return begun_ == items_; }
  parallel_unit begin() noexcept {
    std::size_t const lane = waiting_[head_];
    head_ = after(head_);
    --count_;
    ++begun_;
    std::size_t const item = next_[lane];
    // A lane number is not above an item's, so that this cannot wrap round before it passes `items_`.
    next_[lane] = items_ - item > next_.size() ? item + next_.size() : items_;
    return {item, 0};
  }
  void end(parallel_unit unit, bool) noexcept {
    std::size_t const lane = unit.item % next_.size();
    if (next_[lane] < items_) enqueue(lane);
  }

 private:
  std::size_t after(std::size_t place) const noexcept { return place + 1 == waiting_.size() ? 0 : place + 1; }
  void enqueue(std::size_t lane) noexcept {
    waiting_[tail_] = lane;
    tail_ = after(tail_);
    ++count_;
  }

  std::size_t items_;
  std::vector<std::size_t> next_;     // the next item of each lane
  std::vector<std::size_t> waiting_;  // a ring of idle lanes that have an item, in the order they came free
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
  std::size_t count_ = 0;
  std::size_t begun_ = 0;
};

/// Every item passes all stages in order; a stage does one item at a time, in their order, and passes over
/// those that failed before it. Later stages go first, so that what has begun is finished.
template <std::size_t Stages>
class stage_plan {
 public:
  explicit stage_plan(std::size_t items) : items_(items), dead_(items, 0) {}

  std::size_t units() const noexcept { return items_ * Stages; }
  std::size_t ready() const noexcept {
    std::size_t count = 0;
    for (std::size_t s = 0; s != Stages; ++s) count += may_begin(s) ? 1U : 0U;
    return count;
  }
  bool exhausted() const noexcept { return next_[Stages - 1] == items_; }
  parallel_unit begin() noexcept {
    std::size_t s = Stages - 1;
    while (!may_begin(s)) --s;
    busy_[s] = true;
    return {next_[s]++, s};
  }
  void end(parallel_unit unit, bool good) noexcept {
    busy_[unit.stage] = false;
    if (!good) dead_[unit.item] = 1;
    for (std::size_t s = 1; s != Stages; ++s) {
      while (may_begin(s) && dead_[next_[s]] != 0) ++next_[s];
    }
  }

 private:
  std::size_t passed(std::size_t s) const noexcept { return next_[s] - (busy_[s] ? 1U : 0U); }
  bool may_begin(std::size_t s) const noexcept {
    return !busy_[s] && next_[s] < (s == 0 ? items_ : passed(s - 1));
  }

  std::size_t items_;
  std::array<std::size_t, Stages> next_{};
  std::array<bool, Stages> busy_{};
  std::vector<unsigned char> dead_;
};

}  // namespace tideover::inline v0::detail
