// SPDX-License-Identifier: BSL-1.0
#include "policy/eviction_keys.hpp"
#include "support/catch.hpp"
#include "support/environment.hpp"

#include <tideover/policy/eviction/lazy_tinylfu.hpp>
#include <tideover/policy/eviction/shadow_cache.hpp>
#include <tideover/policy/eviction/steered.hpp>
#include <tideover/policy/eviction/w_tinylfu.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace tideover_test;

namespace {

using tideover::steered;
using tideover::w_tinylfu;
using tideover::w_tinylfu_fixed;

static_assert(tideover::eviction_policy<w_tinylfu> && tideover::eviction_policy<steered> &&
              tideover::eviction_policy<w_tinylfu_fixed<0>> &&
              tideover::eviction_policy<w_tinylfu_fixed<100>>);
static_assert(w_tinylfu::hits_need_no_lock && steered::hits_need_no_lock);

/// W-TinyLFU (Einziger et al.) with the work put off until a queue's tail, as segments.hpp describes it, made
/// of vectors and searches. What it cannot know by itself it asks for: the window's share, how frequent a key
/// is, and whether it came back.
class naive_tinylfu {
 public:
  std::function<double()> window_share;
  std::function<unsigned(std::uint32_t)> frequency;
  std::function<bool(std::uint32_t)> welcome;
  std::size_t bound;
  bool may_be_lucky = true;

  void insert(std::uint32_t key) {
    share_ = window_share();
    window_.insert(window_.begin(), key);
    newest_ = key;
    has_newest_ = true;
    chances_ = 64;
    for (int i = 0; i != 4 && window_.size() > window_target() && main() < main_target(); ++i) {
      std::uint32_t const last = take_last(window_);
      to_front(took_chance(last) ? window_ : probation_, last);
    }
    for (int i = 0; i != 4 && too_many_kept(); ++i) demote();
  }
  void hit(std::uint32_t key) { used_.insert(key); }
  void replace(std::uint32_t key) { hit(key); }
  void set_capacity(std::size_t n) { bound = n; }
  void remove(std::uint32_t key) {
    for (auto* queue : {&window_, &probation_, &kept_}) std::erase(*queue, key);
    used_.erase(key);
    if (has_newest_ && newest_ == key) has_newest_ = false;
  }
  bool may_leave(std::uint32_t key) {
    bound = window_.size() + main() - 1;
    std::vector<std::uint32_t> const legal = choose();
    expected_.clear();
    for (std::uint32_t const k : legal) (expected_ += ' ') += std::to_string(k);
    chances_ = 64;
    if (std::find(legal.begin(), legal.end(), key) == legal.end()) return false;
    leave(key);
    return true;
  }
  std::string expected() const { return expected_; }
  /// The same with nobody to agree with, where chance has no say.
  std::uint32_t evict() {
    bound = window_.size() + main() - 1;
    std::uint32_t const key = choose().front();
    chances_ = 64;
    leave(key);
    return key;
  }

  std::size_t admitted = 0, refused = 0, second_chances = 0;

 private:
  using keys = std::vector<std::uint32_t>;

  void leave(std::uint32_t key) {
    if (candidate_ && key != *candidate_) {
      std::erase(window_, *candidate_);
      used_.erase(*candidate_);
      to_front(probation_, *candidate_);
      ++admitted;
    } else if (candidate_) {
      ++refused;
    }
    remove(key);
  }
  static std::uint32_t take_last(keys& q) {
    std::uint32_t const key = q.back();
    q.pop_back();
    return key;
  }
  static void to_front(keys& q, std::uint32_t key) { q.insert(q.begin(), key); }
  std::size_t main() const { return probation_.size() + kept_.size(); }
  std::size_t window_target() const {
    return std::max<std::size_t>(1,
                                 static_cast<std::size_t>(std::lround(share_ * static_cast<double>(bound))));
  }
  std::size_t main_target() const { return bound > window_target() ? bound - window_target() : 0; }
  bool too_many_kept() const {
    return static_cast<double>(kept_.size()) > 0.8 * static_cast<double>(main_target());
  }
  bool took_chance(std::uint32_t key) {
    if (chances_ == 0 || used_.count(key) == 0) return false;
    --chances_, ++second_chances;
    used_.erase(key);
    return true;
  }
  void demote() {
    std::uint32_t const last = take_last(kept_);
    to_front(took_chance(last) ? kept_ : probation_, last);
  }

  /// Who may go: one, or where chance decides either of two.
  std::vector<std::uint32_t> choose() {
    candidate_.reset();
    std::optional<std::uint32_t> victim;
    while (main() != 0) {
      keys& q = probation_.empty() ? kept_ : probation_;
      std::uint32_t const last = q.back();
      bool const to_window = window_.size() < window_target();
      if (!took_chance(last)) {
        victim = last;
        break;
      }
      q.pop_back();
      to_front(to_window ? window_ : kept_, last);
      if (too_many_kept()) demote();
    }
    if (victim && window_.size() <= window_target()) return {*victim};
    while (!(has_newest_ && window_.back() == newest_) && took_chance(window_.back()))
      to_front(window_, take_last(window_));
    std::uint32_t candidate = window_.back();
    if (has_newest_ && candidate == newest_ && window_.size() > 1) candidate = window_[window_.size() - 2];
    if (!victim) return {candidate};
    candidate_ = candidate;
    if (welcome(candidate) || frequency(candidate) > frequency(*victim)) return {*victim};
    if (frequency(candidate) >= 6 && may_be_lucky) return {candidate, *victim};
    return {candidate};
  }

  keys window_, probation_, kept_;
  std::set<std::uint32_t> used_;
  std::uint32_t newest_ = 0;
  bool has_newest_ = false;
  int chances_ = 64;
  double share_ = 0;
  std::optional<std::uint32_t> candidate_;
  std::string expected_;
};

template <class Policy>
naive_tinylfu oracle_of(keyed_policy<Policy>& subject) {
  naive_tinylfu oracle;
  oracle.bound = subject.capacity();
  oracle.frequency = [&subject](std::uint32_t key) {
    return subject.shared.sketch().frequency(hash_of_key(key));
  };
  oracle.welcome = [](std::uint32_t) { return false; };
  return oracle;
}

std::size_t steps() { return number_from("TIDEOVER_MODEL_STEPS", 60'000) / 2; }

/// Each key of the stream in turn; the share that was there.
template <class Policy, class Keys>
double hit_ratio(keyed_policy<Policy>& cache, std::size_t requests, Keys keys) {
  std::size_t hits = 0;
  for (std::size_t i = 0; i != requests; ++i) hits += cache.access(keys(i));
  return static_cast<double>(hits) / static_cast<double>(requests);
}

/// Each key twice, 50 requests apart, and never again: for recency.
std::uint32_t twice(std::size_t i) {
  return static_cast<std::uint32_t>(1'000'000 + (i % 2 == 0 ? i / 2 : (i < 100 ? 0 : (i - 100) / 2)));
}
/// A loop of 1.25 times the capacity: for frequency.
std::uint32_t around(std::size_t i) { return static_cast<std::uint32_t>(i % 1'250); }

}  // namespace

TEMPLATE_TEST_CASE("w_tinylfu_fixed: a random walk beside naive queues", "[policy]", w_tinylfu_fixed<0>,
                   w_tinylfu_fixed<10>, w_tinylfu_fixed<60>, w_tinylfu_fixed<100>) {
  std::uint64_t const seed = run_seed();
  constexpr double share = std::is_same_v<TestType, w_tinylfu_fixed<0>>    ? 0.0
                           : std::is_same_v<TestType, w_tinylfu_fixed<10>> ? 0.1
                           : std::is_same_v<TestType, w_tinylfu_fixed<60>> ? 0.6
                                                                           : 1.0;
  for (std::size_t const capacity : {std::size_t{1}, std::size_t{2}, std::size_t{13}, std::size_t{150}}) {
    CAPTURE(capacity);
    keyed_policy<TestType> subject(capacity, seed);
    naive_tinylfu oracle = oracle_of(subject);
    oracle.window_share = [] { return share; };
    CHECK(walk_keys(subject, oracle, steps(), seed + capacity) == "");
    CHECK(oracle.second_chances > 0);
    if (capacity == 150 && share < 1) CHECK((oracle.admitted > 0 && oracle.refused > 0));
  }
}

TEST_CASE("w_tinylfu_fixed: the walk can tell a window from another", "[policy]") {
  keyed_policy<w_tinylfu_fixed<10>> subject(150, 1);
  naive_tinylfu oracle = oracle_of(subject);
  oracle.window_share = [] { return 0.2; };
  CHECK(walk_keys(subject, oracle, steps(), 1) != "");
}

TEST_CASE("w_tinylfu: a random walk beside naive queues, wherever the window climbs", "[policy]") {
  std::uint64_t const seed = run_seed();
  for (std::size_t const capacity : {std::size_t{1}, std::size_t{20}, std::size_t{150}}) {
    CAPTURE(capacity);
    keyed_policy<w_tinylfu> subject(capacity, seed);
    naive_tinylfu oracle = oracle_of(subject);
    double window = 0;
    // The policy looks at the window before it records the key, which may move it.
    oracle.window_share = [&] { return std::exchange(window, subject.shared.window()); };
    window = subject.shared.window();
    CHECK(walk_keys(subject, oracle, steps(), seed + capacity) == "");
  }
}

TEST_CASE("w_tinylfu: the window grows for recency and shrinks for frequency", "[policy]") {
  keyed_policy<w_tinylfu> recency(1'000, 1);
  hit_ratio(recency, 500'000, twice);
  keyed_policy<w_tinylfu> frequency(1'000, 1);
  hit_ratio(frequency, 500'000, around);
  CHECK(frequency.shared.window() < 0.1);
  CHECK(recency.shared.window() > frequency.shared.window());
  CHECK(hit_ratio(recency, 100'000, twice) > 0.4);
  CHECK(hit_ratio(frequency, 100'000, around) > 0.5);
}

TEST_CASE("steered: a random walk beside naive queues, at whatever point it works", "[policy]") {
  std::uint64_t const seed = run_seed();
  std::set<double> windows;
  std::size_t welcomed = 0;
  for (std::size_t const capacity : {std::size_t{1}, std::size_t{20}, std::size_t{150}}) {
    CAPTURE(capacity);
    keyed_policy<steered> subject(capacity, seed);
    naive_tinylfu oracle = oracle_of(subject);
    // A vote may come between an insertion and the eviction that follows from it: the window waits for the
    // next.
    oracle.window_share = [&] {
      windows.insert(subject.policy.window_share());
      return subject.policy.window_share();
    };
    // Whether a key came back is the ghost's to know; its own test is eviction_s3_fifo.cpp.
    std::set<std::uint32_t> back;
    oracle.welcome = [&](std::uint32_t key) {
      auto const id = subject.find(key);
      bool const came_back =
          id ? tideover::eviction_parts::segments::returned(subject.hooks(), *id) : back.count(key) != 0;
      welcomed += came_back;
      return came_back && subject.shared.now_at().welcomes_back;
    };
    // The one who leaves is out of the policy when the oracle is asked, so note before what the ghost said.
    struct noting {
      naive_tinylfu& queues;
      keyed_policy<steered>& subject;
      std::set<std::uint32_t>& back;
      void note() {
        back.clear();
        for (auto const& [key, id] : subject.resident())
          if (tideover::eviction_parts::segments::returned(subject.hooks(), id)) back.insert(key);
      }
      void insert(std::uint32_t key) { queues.insert(key), note(); }
      void hit(std::uint32_t key) { queues.hit(key); }
      void replace(std::uint32_t key) { hit(key); }
      void remove(std::uint32_t key) { queues.remove(key); }
      void set_capacity(std::size_t n) { queues.set_capacity(n), note(); }
      bool may_leave(std::uint32_t key) {
        bool const may = queues.may_leave(key);
        note();
        return may;
      }
      std::string expected() const { return queues.expected(); }
    } with_notes{oracle, subject, back};
    CHECK(walk_keys(subject, with_notes, steps(), seed + capacity) == "");
  }
  if (steps() >= 30'000) {
    CHECK(windows.size() > 1);
    CHECK(welcomed > 0);
  }
}

TEST_CASE("steered: it goes where the requests want it, and back", "[policy]") {
  keyed_policy<steered> cache(1'000, 7);
  CHECK(cache.shared.now_at().window == 0.01);
  hit_ratio(cache, 60'000, around);
  CHECK(cache.shared.now_at().window == 0.01);
  CHECK(hit_ratio(cache, 50'000, around) > 0.7);  // the optimum is 0.8; least recently used has 0
  hit_ratio(cache, 60'000, twice);
  CHECK(cache.shared.now_at().window > 0.01);
  CHECK(hit_ratio(cache, 50'000, [](std::size_t i) { return 500'000 + twice(i); }) > 0.45);  // of 0.5
  hit_ratio(cache, 100'000, around);
  CHECK(cache.shared.now_at().window == 0.01);
  CHECK(hit_ratio(cache, 50'000, around) > 0.7);
}

TEST_CASE("steered: a shadow is not believed when the real cache does much worse", "[policy]") {
  // Locked up: the shadows say that all is well, the real cache says that it never answers.
  tideover::steered::shared<tideover::single_threaded, std::allocator<std::byte>> shared(100, 1, 1, {});
  for (int round = 0; round != 4; ++round)  // the first round fills the shadows
    for (std::uint32_t key = 0; key != 100; ++key) shared.record(hash_of_key(key % 50), true);
  CHECK(shared.now_at().window == 0.01);
  for (int round = 0; round != 3; ++round) {
    CHECK(shared.now_at().window == 0.01);
    for (std::uint32_t key = 0; key != 100; ++key) shared.record(hash_of_key(key % 50), false);
  }
  CHECK(shared.now_at().window > 0.01);
}

TEST_CASE("a hit writes its mark once, and not again until it was looked at", "[policy]") {
  keyed_policy<steered> cache(10'000, 1);
  std::size_t written = 0, sampled = 0;
  for (std::uint32_t key = 0; key != 5'000; ++key) {
    entry_id const id = cache.insert(key);
    auto& hook = cache.hooks()[id];
    auto const fresh = hook.mark;
    cache.hit(id);
    auto const used = hook.mark;
    written += used != fresh;
    sampled += cache.shared.samples(hash_of_key(key));
    for (int i = 0; i != 3; ++i) cache.hit(id);
    if (!cache.shared.samples(hash_of_key(key))) REQUIRE(hook.mark == used);
  }
  CHECK(written == 5'000);
  CHECK(sampled > 0);
  CHECK(sampled < 5'000 / 32);
}

TEST_CASE("admission: ties are for the victim, and popular keys that collide get in by chance only",
          "[policy]") {
  using sketch = tideover::frequency_sketch<tideover::single_threaded, std::allocator<std::byte>>;
  keyed_policy<w_tinylfu_fixed<1>> entries(100, 1);
  entry_id const candidate = entries.insert(1);
  entry_id const victim = entries.insert(2);
  sketch counts(100, 1, {});
  std::uint64_t random = 5;
  tideover::eviction_parts::admission<sketch> const admit{counts, random};
  auto const often = [&](std::uint32_t key, unsigned n) {
    while (counts.frequency(hash_of_key(key)) < n) counts.increment(hash_of_key(key));
  };
  int lucky = 0;
  for (int i = 0; i != 2'000; ++i) lucky += admit(entries.hooks(), candidate, victim);
  CHECK(lucky == 0);  // 0 against 0
  often(1, 1);
  CHECK(admit(entries.hooks(), candidate, victim));
  often(2, 5), often(1, 5);
  for (int i = 0; i != 2'000; ++i) lucky += admit(entries.hooks(), candidate, victim);
  CHECK(lucky == 0);
  often(2, 15), often(1, 6);
  for (int i = 0; i != 128'000; ++i) lucky += admit(entries.hooks(), candidate, victim);
  CHECK(lucky > 800);  // 1,000 of 128,000 are expected
  CHECK(lucky < 1'200);
}

TEST_CASE("shadow_cache: it answers what naive queues would have answered", "[policy]") {
  using allocator = std::allocator<std::byte>;
  using sketch = tideover::frequency_sketch<tideover::single_threaded, allocator>;
  using shadow = tideover::eviction_parts::shadow_cache<allocator>;
  std::uint64_t const seed = run_seed();
  for (double const window : {0.01, 0.2, 1.0}) {
    CAPTURE(window);
    constexpr std::size_t capacity = 64;
    sketch counts(4 * capacity, seed, {});
    shadow subject(capacity, {window, false}, {});
    naive_tinylfu oracle;
    oracle.bound = capacity;
    oracle.window_share = [&] { return window; };
    oracle.frequency = [&](std::uint32_t key) { return counts.frequency(hash_of_key(key)); };
    oracle.welcome = [](std::uint32_t) { return false; };
    oracle.may_be_lucky = false;
    std::set<std::uint32_t> inside;
    std::mt19937_64 random(seed);
    std::uint64_t unlucky = 0;
    std::size_t hits = 0;
    for (int step = 0; step != 20'000; ++step) {
      auto const key = static_cast<std::uint32_t>(random() % (1 + random() % (4 * capacity)));
      // Nobody becomes so frequent that chance would decide.
      if (counts.frequency(hash_of_key(key)) < 5) counts.increment(hash_of_key(key));
      bool const there = inside.count(key) != 0;
      if (subject.access(hash_of_key(key), counts, unlucky) != there) FAIL("step " << step);
      hits += there;
      if (there) {
        oracle.hit(key);
        continue;
      }
      oracle.insert(key);
      inside.insert(key);
      if (inside.size() <= capacity) continue;
      inside.erase(oracle.evict());
    }
    CHECK(hits > 1'000);
  }
}

namespace {

/// Cells of one thread that let another one in: after it has added, or before it exchanges.
std::function<void()> after_adding;
std::function<void()> before_exchanging;
template <class T>
class meeting_cell {
 public:
  meeting_cell(T value = T()) : value_(value) {}
  T load(std::memory_order) const { return value_; }
  void store(T value, std::memory_order) { value_ = value; }
  T exchange(T value, std::memory_order) {
    if (auto const other = std::exchange(before_exchanging, nullptr)) other();
    return std::exchange(value_, value);
  }
  T fetch_add(T n, std::memory_order) {
    T const before = value_;
    value_ = static_cast<T>(value_ + n);
    if (auto const other = std::exchange(after_adding, nullptr)) other();
    return before;
  }

 private:
  T value_;
};
struct meeting {
  template <class T>
  using cell = meeting_cell<T>;
};

}  // namespace

TEST_CASE("w_tinylfu: two misses that meet at the end of a period are one end") {
  auto* const where = GENERATE(&after_adding, &before_exchanging);
  w_tinylfu::shared<meeting, std::allocator<std::byte>> shared(64, 1, 1, {});
  auto const one_half_of_each = [&](int n) {
    for (int i = 0; i != n; ++i) {
      shared.record_hit(0);
      shared.record_miss();
    }
  };
  std::vector<double> windows{shared.window()};
  auto const note = [&] {
    if (shared.window() != windows.back()) windows.push_back(shared.window());
  };
  for (int i = 0; i != 320; ++i) one_half_of_each(1), note();  // to the end of the first
  for (int i = 0; i != 319; ++i) one_half_of_each(1), note();  // nearly to that of the second
  shared.record_hit(0);
  *where = [&] { shared.record_miss(), note(); };
  shared.record_miss();
  note();
  std::size_t const climbs = windows.size() - 1;
  for (int i = 0; i != 300; ++i) one_half_of_each(1), note();
  CHECK(climbs == 2);
  CHECK(windows.size() - 1 == climbs);  // nor does the third come early
}
