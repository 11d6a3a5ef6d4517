// SPDX-License-Identifier: BSL-1.0
#include "policy/eviction_keys.hpp"
#include "support/catch.hpp"
#include "support/environment.hpp"

#include <tideover/policy/eviction/ghost_queue.hpp>
#include <tideover/policy/eviction/ghost_table.hpp>
#include <tideover/policy/eviction/s3_fifo.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <string>

using namespace tideover_test;

namespace {

static_assert(tideover::eviction_policy<tideover::s3_fifo> && tideover::s3_fifo::hits_need_no_lock);

/// S3-FIFO as algorithm 1 of the paper has it (Yang et al., SOSP 2023). The key that comes in is kept aside
/// until there is room for it, as in the paper.
class naive_s3_fifo {
 public:
  explicit naive_s3_fifo(std::size_t capacity, std::size_t ghost_tenths = 9) : ghost_tenths_(ghost_tenths) {
    set_capacity(capacity);
  }

  void set_capacity(std::size_t n) {
    ghost_size_ = n * ghost_tenths_ / 10;
    ghost_.clear();
  }
  void insert(std::uint32_t key) {
    settle();
    auto const at = std::find(ghost_.begin(), ghost_.end(), key);
    to_main_ = at != ghost_.end();
    if (to_main_) ghost_.erase(at);
    uses_[key] = 0;
    incoming_ = key;
    has_incoming_ = true;
  }
  void hit(std::uint32_t key) { uses_[key] = std::min(3, uses_[key] + 1); }
  void replace(std::uint32_t key) { hit(key); }
  void remove(std::uint32_t key) {
    if (has_incoming_ && incoming_ == key) {
      has_incoming_ = false;
    } else {
      std::erase(small_, key);
      std::erase(main_, key);
    }
    uses_.erase(key);
  }
  bool may_leave(std::uint32_t key) {
    expected_ = choose();
    if (expected_ == key) uses_.erase(key);
    return expected_ == key;
  }
  std::string expected() const { return std::to_string(expected_); }

 private:
  /// The one who came in last takes its place.
  void settle() {
    if (has_incoming_) (to_main_ ? main_ : small_).push_front(incoming_);
    has_incoming_ = false;
  }
  std::uint32_t choose() {
    std::size_t const stay = small_.size() + main_.size() + has_incoming_ - 1;
    if (stay == 0) {
      settle();
      auto& last = small_.empty() ? main_ : small_;
      std::uint32_t const key = last.back();
      last.pop_back();
      return key;
    }
    std::size_t const small_share = std::max<std::size_t>(1, stay / 10);
    for (;;) {
      if (main_.size() > stay - std::min(stay, small_share) || small_.empty()) {
        std::uint32_t const key = main_.back();
        main_.pop_back();
        if (uses_[key] == 0) return key;
        --uses_[key];
        main_.push_front(key);
        continue;
      }
      while (!small_.empty()) {
        std::uint32_t const key = small_.back();
        small_.pop_back();
        if (uses_[key] <= 1) {
          ghost_.push_front(key);
          if (ghost_.size() > std::max<std::size_t>(1, ghost_size_)) ghost_.pop_back();
          return key;
        }
        uses_[key] = 0;
        main_.push_front(key);
      }
    }
  }

  std::deque<std::uint32_t> small_, main_, ghost_;
  std::map<std::uint32_t, int> uses_;
  std::uint32_t incoming_ = 0;
  bool has_incoming_ = false;
  bool to_main_ = false;
  std::size_t ghost_tenths_;
  std::size_t ghost_size_ = 0;
  std::uint32_t expected_ = 0;
};

}  // namespace

TEST_CASE("s3_fifo: a random walk beside the paper's algorithm", "[policy]") {
  std::uint64_t const seed = run_seed();
  for (std::size_t const capacity :
       {std::size_t{1}, std::size_t{2}, std::size_t{9}, std::size_t{10}, std::size_t{73}}) {
    CAPTURE(capacity);
    keyed_policy<tideover::s3_fifo> subject(capacity, seed);
    naive_s3_fifo oracle(capacity);
    CHECK(walk_keys(subject, oracle, number_from("TIDEOVER_MODEL_STEPS", 60'000) / 2, seed + capacity) == "");
  }
}

TEST_CASE("s3_fifo: the walk can tell a wrong ghost", "[policy]") {
  keyed_policy<tideover::s3_fifo> subject(73, 1);
  naive_s3_fifo oracle(73, 5);
  CHECK(walk_keys(subject, oracle, 60'000, 1) != "");
}

TEST_CASE("ghost_queue: a random walk beside a deque", "[policy]") {
  std::mt19937_64 random(run_seed());
  for (std::size_t const most : {std::size_t{1}, std::size_t{3}, std::size_t{50}}) {
    tideover::eviction_parts::ghost_queue<std::allocator<std::byte>> ghost(most, {});
    std::deque<std::uint32_t> expected;
    std::size_t found = 0;
    for (int step = 0; step < 20'000; ++step) {
      std::uint32_t const hash = hash_of_key(static_cast<std::uint32_t>(random() % (3 * most)));
      auto const at = std::find(expected.begin(), expected.end(), hash);
      if (random() % 3 != 0) {
        ghost.add(hash);
        if (at == expected.end()) expected.push_front(hash);
        if (expected.size() > most) expected.pop_back();
      } else {
        bool const is_there = at != expected.end();
        if (ghost.take(hash) != is_there) FAIL("step " << step);
        if (is_there) expected.erase(at);
        found += is_there;
      }
    }
    CHECK(found > 0);
  }
}

TEST_CASE("ghost_table: it remembers what was added lately, and little else", "[policy]") {
  for (std::size_t const life : {std::size_t{100}, std::size_t{5'000}, std::size_t{50'000}}) {
    CAPTURE(life);
    auto const n = static_cast<std::uint32_t>(life);
    tideover::eviction_parts::ghost_table<std::allocator<std::byte>> ghost(life, life, {});
    for (std::uint32_t key = 0; key != 3 * n; ++key) ghost.add(hash_of_key(key));
    std::uint32_t late = 0, old = 0, never = 0, again = 0;
    for (std::uint32_t key = 0; key != n; ++key) {
      never += ghost.take(hash_of_key(4 * n + key));
      old += ghost.take(hash_of_key(key));
    }
    for (std::uint32_t key = 2 * n + n / 2; key != 3 * n; ++key) late += ghost.take(hash_of_key(key));
    for (std::uint32_t key = 2 * n + n / 2; key != 3 * n; ++key) again += ghost.take(hash_of_key(key));
    CHECK(late >= n / 2 * 17 / 20);
    CHECK(old <= n / 100);
    CHECK(never <= n / 100);
    CHECK(again <= n / 100);
  }
}
