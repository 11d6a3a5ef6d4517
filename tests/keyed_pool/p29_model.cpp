// SPDX-License-Identifier: BSL-1.0
#include "keyed_pool/common.hpp"
#include "support/environment.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <random>

/// Random walks of a keyed pool beside a naive one. One thread: who would have to wait lets the time pass
/// until his deadline, since nobody else can bring him anything.
namespace {

/// A manual clock whose sleepers do not wait for anybody: the time is theirs.
class lonely_clock {
 public:
  using policy_axis = tideover::axis::clock;
  instant now() const noexcept { return time_.now(); }
  instant precise_now() const noexcept { return time_.now(); }
  template <class ConditionVariable, class Lock>
  void wait_until(ConditionVariable&, Lock&, instant t) const {
    time_.set(t);
  }
  void advance(std::chrono::nanoseconds d) const { time_.advance(d); }

 private:
  manual_clock time_;
};

struct thing {
  int id = 0;
  std::int64_t born = 0;
  std::int64_t idle_since = 0;
  int generation = 0;
};

/// What the contract says, with vectors and loops.
class naive {
 public:
  naive(keyed_pool_options const& o, bool shares) : o_(o), shares_(shares) {}

  struct key {
    std::vector<thing> idle;  // the last one came back last
    int leased = 0;
    int generation = 0;
    std::int64_t used = 0;
  };
  std::map<std::string, key> keys;
  std::int64_t now = 0;
  int made = 0, evicted = 0, forgotten = 0;

  int total() const {
    int n = 0;
    for (auto const& [name, k] : keys) n += k.leased + static_cast<int>(k.idle.size());
    return n;
  }
  /// What is lent; none: nothing comes before the deadline.
  std::optional<thing> acquire(std::string const& name, std::int64_t patience, bool connect_fails,
                               bool& failed) {
    key& k = keys[name];
    k.used = now;
    while (!k.idle.empty() && ended(k.idle.back())) k.idle.pop_back();
    if (!k.idle.empty()) {
      thing const t = k.idle.back();
      k.idle.pop_back();
      ++k.leased;
      return t;
    }
    if (patience <= 0) return std::nullopt;
    bool const own_room = k.leased < static_cast<int>(o_.each.max_size);
    if (own_room && total() == static_cast<int>(o_.max_total) && shares_) evict();
    if (!own_room || total() == static_cast<int>(o_.max_total)) {
      now += patience;
      return std::nullopt;
    }
    if (connect_fails) {
      failed = true;
      return std::nullopt;
    }
    ++k.leased;
    return thing{++made, now, 0, k.generation};
  }
  void give_back(std::string const& name, thing t, bool broken) {
    key& k = keys[name];
    --k.leased;
    if (broken || ended(t) || t.generation != k.generation || k.idle.size() >= o_.each.max_idle) return;
    t.idle_since = now;
    k.idle.push_back(t);
  }
  void invalidate(std::string const& name) {
    auto const at = keys.find(name);
    if (at == keys.end()) return;
    ++at->second.generation;
    at->second.idle.clear();
  }
  void tick() {
    for (auto& [name, k] : keys) {
      std::erase_if(k.idle, [&](thing const& t) {
        return ended(t) || now - t.idle_since > o_.each.max_idle_time.count();
      });
    }
    forgotten += static_cast<int>(std::erase_if(keys, [&](auto const& i) {
      return i.second.leased == 0 && i.second.idle.empty() && now - i.second.used >= o_.forget_after.count();
    }));
  }

 private:
  bool ended(thing const& t) const { return now >= t.born + o_.each.max_lifetime.count(); }
  void evict() {
    key* from = nullptr;
    for (auto& [name, k] : keys) {
      if (k.idle.empty()) continue;
      if (from == nullptr || k.idle.front().idle_since < from->idle.front().idle_since) from = &k;
    }
    if (from == nullptr) return;
    from->idle.erase(from->idle.begin());
    ++evicted;
  }

  keyed_pool_options o_;
  bool shares_;
};

struct numbered {
  int id;
};
struct numbering {
  using connection = numbered;
  std::shared_ptr<int> made = std::make_shared<int>(0);
  std::shared_ptr<bool> fails = std::make_shared<bool>(false);
  numbered connect(std::string const&, deadline const&) {
    if (*fails) throw std::runtime_error("down");
    return {++*made};
  }
};

template <class... P>
void walk(keyed_pool_options const& o, bool shares, std::uint64_t seed, std::size_t steps) {
  using pool_type = keyed_pool<std::string, numbering, tideover::hand_driven, lonely_clock,
                               tideover::no_backoff, tideover::no_validation, P...>;
  lonely_clock const clock;
  numbering const factory;
  pool_type pool(factory, o, clock);
  naive model(o, shares);
  model.now = clock.now().ns;
  struct lent {
    std::string key;
    thing object;
    tideover::lease<numbered> lease;
  };
  std::vector<lent> out;
  std::mt19937_64 random(seed);
  auto const pick = [&](std::uint64_t n) { return random() % n; };
  std::size_t waited = 0, failures = 0;
  for (std::size_t step = 0; step < steps; ++step) {
    clock.advance(1ns);  // no two events at once: then which of two is older is no question
    ++model.now;
    std::string const key(1, static_cast<char>('a' + pick(6)));
    switch (pick(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: {
        std::int64_t const patience = pick(4) == 0 ? 0 : static_cast<std::int64_t>(pick(50));
        *factory.fails = pick(16) == 0;
        bool failed = false;
        auto got = pool.try_acquire_for(key, std::chrono::nanoseconds(patience));
        auto const should = model.acquire(key, patience, *factory.fails, failed);
        REQUIRE(got.has_value() == should.has_value());
        if (got) {
          REQUIRE((*got)->id == should->id);
          out.push_back({key, *should, std::move(*got)});
        } else {
          REQUIRE(got.error().code == (failed ? errc::factory_error : errc::timed_out));
          (failed ? failures : waited) += 1;
        }
        break;
      }
      case 5:
      case 6:
      case 7:
      case 8: {
        if (out.empty()) break;
        std::swap(out[pick(out.size())], out.back());
        bool const broken = pick(6) == 0;
        broken ? out.back().lease.discard() : out.back().lease.release();
        model.give_back(out.back().key, out.back().object, broken);
        out.pop_back();
        break;
      }
      case 9:
        if (pick(4) == 0) {
          pool.invalidate(key);
          model.invalidate(key);
        }
        break;
      case 10: {
        auto const d = pick(100);
        clock.advance(std::chrono::nanoseconds(d));
        model.now += static_cast<std::int64_t>(d);
        break;
      }
      default:
        pool.tick();
        model.tick();
    }
    REQUIRE(clock.now().ns == model.now);
    auto const s = pool.stats();
    REQUIRE(s.used == static_cast<std::size_t>(model.total()));
    REQUIRE(s.used <= o.max_total);
    REQUIRE(s.all.idle + s.all.leased == s.used);
    REQUIRE(s.evicted == static_cast<std::uint64_t>(model.evicted));
    REQUIRE(s.forgotten == static_cast<std::uint64_t>(model.forgotten));
    REQUIRE(s.keys == model.keys.size());
    REQUIRE(s.all.created == static_cast<std::uint64_t>(model.made));
    REQUIRE(s.hungry == 0);
    auto const at = model.keys.find(key);
    REQUIRE(pool.stats(key).idle == (at == model.keys.end() ? 0 : at->second.idle.size()));
    REQUIRE(pool.stats(key).leased ==
            (at == model.keys.end() ? 0u : static_cast<unsigned>(at->second.leased)));
  }
  CHECK(waited > 0);
  CHECK(failures > 0);
  CHECK((model.evicted > 0) == shares);
  CHECK(model.forgotten > 0);
}

}  // namespace

TEST_CASE("P29: a long walk beside a naive pool of pools") {
  std::size_t const steps = number_from("TIDEOVER_MODEL_STEPS", 100'000) / 4;
  std::mt19937_64 seeds(run_seed());
  keyed_pool_options const o{.each = {.max_idle = 3,
                                      .max_size = 4,
                                      .max_idle_time = 300ns,
                                      .max_lifetime = 2us,
                                      .lifetime_jitter = 0,
                                      .max_connecting = 4,
                                      .wait_through_errors = false},
                             .max_total = 8,
                             .forget_after = 200ns};
  SECTION("share_idle") { walk<>(o, true, seeds(), 2 * steps); }
  SECTION("keep_idle") { walk<tideover::keep_idle>(o, false, seeds(), steps); }
  SECTION("thread_affinity and barging: one thread sees no difference in what is open") {
    auto few = o;
    few.each.max_size = 1;  // which idle object it is makes no difference then
    few.max_total = 3;
    walk<tideover::thread_affinity, tideover::barging_waiters>(few, true, seeds(), steps);
  }
}
