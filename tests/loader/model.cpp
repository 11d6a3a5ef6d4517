// SPDX-License-Identifier: BSL-1.0
#include "loader/common.hpp"
#include "support/environment.hpp"

#include <map>
#include <random>

/// A random walk of one thread beside an oracle, written from the contract, that foretells each call of the
/// batch function with its keys in their order, each value, each failure, and what is counted.
namespace {

using tideover::instant;
using loader_type = int_loader<>;

constexpr std::size_t max_items = 3;
constexpr auto ttl = 10s;

struct oracle {
  struct batch {
    std::vector<int> keys{};
    std::size_t waiting = 0;
    bool done = false;
    std::optional<errc> failed{};
    std::map<int, int> values{};
  };
  struct asked {
    std::optional<int> value{};
    std::size_t in = 0;
    int key = 0;
  };

  std::optional<int> kept_at(int key, instant now) const {
    auto const at = kept.find(key);
    if (at == kept.end() || at->second.second <= now) return std::nullopt;
    return at->second.first;
  }
  asked ask(int key, instant now) {
    ++stats.asked;
    if (auto const v = kept_at(key, now)) return ++stats.hits, asked{v, 0, key};
    if (auto const at = pending.find(key); at != pending.end())
      return ++stats.joined, ++batches[at->second].waiting, asked{{}, at->second, key};
    ++stats.loaded;
    if (!open) {
      open = batches.size();
      batches.emplace_back();
    }
    std::size_t const in = *open;
    batches[in].keys.push_back(key);
    ++batches[in].waiting;
    pending[key] = in;
    if (batches[in].keys.size() == max_items) open.reset();
    return {{}, in, key};
  }
  tideover::result<int> answer(asked const& a, instant now) {
    if (a.value) return *a.value;
    batch& b = batches[a.in];
    if (!b.done) run(a.in, now);
    if (b.failed) return *b.failed;
    return b.values.at(a.key);
  }
  /// A full batch that nobody waits for any more is forgotten.
  void leave(asked const& a) {
    if (a.value) return;
    batch& b = batches[a.in];
    if (--b.waiting != 0 || b.done || b.keys.size() < max_items) return;
    for (int k : b.keys) pending.erase(k);
  }
  void run(std::size_t which, instant now) {
    batch& b = batches[which];
    if (open == which) open.reset();
    b.done = true;
    made.push_back(b.keys);
    ++stats.batches;
    stats.keys += b.keys.size();
    if (how_calls_end != errc{}) {
      b.failed = how_calls_end;
      stats.failed += b.keys.size();
      if (how_calls_end == errc::outcome_mismatch) ++stats.mismatches;
    }
    for (int k : b.keys) {
      pending.erase(k);
      if (b.failed) continue;
      b.values[k] = 10 * k + version;
      kept[k] = {b.values[k], now + ttl};
    }
  }
  bool prime(int key, int value, instant now) {
    if (pending.contains(key) || kept_at(key, now)) return false;
    kept[key] = {value, now + ttl};
    ++stats.primed;
    return true;
  }

  std::map<int, std::pair<int, instant>> kept;
  std::map<int, std::size_t> pending;
  std::vector<batch> batches;
  std::optional<std::size_t> open;
  calls made;
  int version = 0;
  errc how_calls_end{};
  tideover::data_loader_stats stats;
};

class walk {
 public:
  explicit walk(std::uint64_t seed) : random_(seed) {}

  void run(std::size_t steps) {
    for (std::size_t i = 0; i < steps; ++i) {
      step();
      if (made_.size() != oracle_.made.size()) FAIL("another number of calls at step " << i);
      if (!made_.empty() && made_.back() != oracle_.made.back()) FAIL("other keys at step " << i);
      if (waiting_.size() > 12) {
        oracle_.leave(waiting_.front().foretold);
        waiting_.erase(waiting_.begin());
      }
    }
    auto const s = loader_.stats();
    auto const& o = oracle_.stats;
    CHECK(s.asked == o.asked);
    CHECK(s.hits == o.hits);
    CHECK(s.joined == o.joined);
    CHECK(s.loaded == o.loaded);
    CHECK(s.batches == o.batches);
    CHECK(s.keys == o.keys);
    CHECK(s.failed == o.failed);
    CHECK(s.mismatches == o.mismatches);
    CHECK(s.primed == o.primed);
    CHECK(s.pending == oracle_.pending.size());
    CHECK(s.outdated + s.store_failures + s.abandoned + s.recursions == 0);
    CHECK(made_ == oracle_.made);
    // The walk has been everywhere.
    CHECK((o.hits > 0 && o.joined > 0 && o.failed > 0 && o.mismatches > 0 && o.primed > 0));
    CHECK(o.keys > o.failed);
  }

 private:
  std::vector<int> fetch(keys_of keys) {
    made_.emplace_back(keys.begin(), keys.end());
    if (oracle_.how_calls_end == errc::computation_failed) throw std::runtime_error("down");
    std::vector<int> all;
    for (int k : keys) all.push_back(10 * k + oracle_.version);
    if (oracle_.how_calls_end == errc::outcome_mismatch) all.pop_back();
    return all;
  }
  void same(tideover::result<int> const& got, tideover::result<int> const& wanted) {
    if (got.code() != wanted.code()) FAIL(got.code().message() << " for " << wanted.code().message());
    if (got && *got != *wanted) FAIL(*got << " for " << *wanted);
  }

  void step() {
    auto const key = static_cast<int>(random_() % 9);
    switch (random_() % 12) {
      case 0:
      case 1:
      case 2:
        waiting_.push_back({loader_.later(key), oracle_.ask(key, clock_.now())});
        return;
      case 3:
      case 4: {
        if (waiting_.empty()) return;
        auto& w = waiting_[random_() % waiting_.size()];
        auto const wanted = oracle_.answer(w.foretold, clock_.now());
        return same(w.later.try_get(), wanted);
      }
      case 5:
      case 6: {
        auto const wanted = oracle_.answer(oracle_.ask(key, clock_.now()), clock_.now());
        return same(loader_.try_load(key), wanted);
      }
      case 7: {
        std::vector<int> ids;
        for (std::size_t n = random_() % 6; n > 0; --n) ids.push_back(static_cast<int>(random_() % 9));
        std::vector<oracle::asked> places;
        for (int id : ids) places.push_back(oracle_.ask(id, clock_.now()));
        std::vector<tideover::result<int>> wanted;
        for (auto const& p : places) wanted.push_back(oracle_.answer(p, clock_.now()));
        auto const got = loader_.try_load_many(ids);
        if (got.size() != ids.size()) FAIL("another number of values");
        for (std::size_t i = 0; i < ids.size(); ++i) same(got[i], wanted[i]);
        return;
      }
      case 8:
        if (loader_.prime(key, -key) != oracle_.prime(key, -key, clock_.now())) FAIL("prime of " << key);
        return;
      case 9:
        random_() % 16 == 0 ? (loader_.clear(), oracle_.kept.clear())
                            : (loader_.clear(key), static_cast<void>(oracle_.kept.erase(key)));
        return;
      case 10:
        return clock_.advance(std::chrono::milliseconds(random_() % 3'000));
      default:
        ++oracle_.version;
        constexpr errc ends[] = {errc{}, errc{}, errc{}, errc::computation_failed, errc::outcome_mismatch};
        oracle_.how_calls_end = ends[random_() % 5];
        return;
    }
  }

  struct waiting {
    loader_type::deferred later;
    oracle::asked foretold;
  };

  std::mt19937_64 random_;
  manual_clock clock_;
  oracle oracle_;
  calls made_;
  loader_type loader_{[this](keys_of keys) { return fetch(keys); },
                      {.max_items = max_items, .linger = 0ns, .ttl = ttl},
                      clock_};
  std::vector<waiting> waiting_;
};

}  // namespace

TEST_CASE("B19: L1: L2: a random walk beside an oracle") {
  auto const steps = tideover_test::number_from("TIDEOVER_MODEL_STEPS", 100'000);
  walk(tideover_test::run_seed()).run(steps);
}
