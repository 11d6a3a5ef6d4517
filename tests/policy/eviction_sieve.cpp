// SPDX-License-Identifier: BSL-1.0
#include "policy/eviction_keys.hpp"
#include "support/catch.hpp"
#include "support/environment.hpp"

#include <tideover/policy/eviction/sieve.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

using namespace tideover_test;

namespace {

static_assert(tideover::eviction_policy<tideover::sieve> && tideover::sieve::hits_need_no_lock);

/// SIEVE as algorithm 1 of the paper has it (Zhang et al., NSDI 2024), with vectors and searches; besides,
/// the guard as sieve.hpp describes it. The newest key has no part in its own eviction: the paper makes room
/// before it comes in.
class naive_sieve {
 public:
  explicit naive_sieve(bool guarded = true) : guarded_(guarded) {}

  void insert(std::uint32_t key) {
    order_.insert(order_.begin(), {key, 0});
    if (hand_ != nowhere) ++hand_;
    newest_ = key;
    has_newest_ = true;
  }
  void hit(std::uint32_t key) { order_[at(key)].visited = round_; }
  void replace(std::uint32_t key) { hit(key); }
  void set_capacity(std::size_t) {}
  void remove(std::uint32_t key) {
    std::size_t const i = at(key);
    if (hand_ != nowhere && i == static_cast<std::size_t>(hand_)) {
      hand_ = i == 0 ? nowhere : hand_ - 1;
    } else if (hand_ != nowhere && i < static_cast<std::size_t>(hand_)) {
      --hand_;
    }
    if (has_newest_ && key == newest_) has_newest_ = false;
    order_.erase(order_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  bool may_leave(std::uint32_t key) {
    expected_ = choose();
    if (key != expected_) return false;
    std::size_t const i = at(key);
    order_.erase(order_.begin() + static_cast<std::ptrdiff_t>(i));
    hand_ = i == first() ? nowhere : static_cast<std::ptrdiff_t>(i) - 1;
    if (has_newest_ && key == newest_) has_newest_ = false;
    return true;
  }
  std::string expected() const { return std::to_string(expected_); }
  std::size_t guards() const { return guards_; }

 private:
  struct entry {
    std::uint32_t key;
    int visited;
  };
  static constexpr std::ptrdiff_t nowhere = -1;

  std::size_t at(std::uint32_t key) const {
    auto const found =
        std::find_if(order_.begin(), order_.end(), [&](entry const& e) { return e.key == key; });
    return static_cast<std::size_t>(found - order_.begin());
  }
  /// The first who takes part.
  std::size_t first() const { return has_newest_ && order_.front().key == newest_ && order_.size() > 1; }

  std::uint32_t choose() {
    if (order_.size() == 1) return order_.front().key;
    if (guarded_ && in_vain_ >= 2 * order_.size()) {
      bool of_use = false;
      for (std::size_t i = 0; i != std::min<std::size_t>(256, order_.size()); ++i)
        of_use = of_use || order_[order_.size() - 1 - i].visited == round_;
      if (!of_use) hand_ = nowhere, ++guards_;
      in_vain_ = 0;
      round_ = 3 - round_;
    }
    for (;;) {
      if (hand_ == nowhere || hand_ < static_cast<std::ptrdiff_t>(first()))
        hand_ = static_cast<std::ptrdiff_t>(order_.size()) - 1;
      entry& e = order_[static_cast<std::size_t>(hand_)];
      if (e.visited == 0) break;
      e.visited = 0;
      in_vain_ = 0;
      --hand_;
    }
    ++in_vain_;
    return order_[static_cast<std::size_t>(hand_)].key;
  }

  bool guarded_;
  std::vector<entry> order_;  // the newest first
  std::ptrdiff_t hand_ = nowhere;
  std::uint32_t newest_ = 0;
  bool has_newest_ = false;
  int round_ = 1;
  std::size_t in_vain_ = 0;
  std::size_t guards_ = 0;
  std::uint32_t expected_ = 0;
};

}  // namespace

TEST_CASE("sieve: a random walk beside the paper's algorithm", "[policy]") {
  std::uint64_t const seed = run_seed();
  std::size_t guards = 0;
  for (std::size_t const capacity : {std::size_t{1}, std::size_t{2}, std::size_t{7}, std::size_t{60}}) {
    CAPTURE(capacity);
    keyed_policy<tideover::sieve> subject(capacity, seed);
    naive_sieve oracle;
    CHECK(walk_keys(subject, oracle, number_from("TIDEOVER_MODEL_STEPS", 60'000) / 2, seed + capacity) == "");
    guards += oracle.guards();
  }
  CHECK(guards > 0);
}

TEST_CASE("sieve: the walk can tell the guard from its absence", "[policy]") {
  keyed_policy<tideover::sieve> subject(60, 1);
  naive_sieve oracle(false);
  CHECK(walk_keys(subject, oracle, 60'000, 1) != "");
}

TEST_CASE("sieve: it does not lock up when each key is used exactly twice", "[policy]") {
  // Fill with popular keys, so that all carry the bit; then each key twice, 20 requests apart, for ever.
  keyed_policy<tideover::sieve> cache(100, 1);
  for (int round = 0; round < 3; ++round)
    for (std::uint32_t key = 0; key < 100; ++key) cache.access(key);
  int hits = 0;
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    cache.access(1'000 + i);
    if (i >= 20 && i >= 10'000) hits += cache.access(1'000 + i - 20);
    if (i >= 20 && i < 10'000) cache.access(1'000 + i - 20);
  }
  CHECK(hits > 2'000);  // of 10,000; without the guard next to none
}
