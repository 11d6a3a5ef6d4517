// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "breaker/common.hpp"
#include "breaker/oracle.hpp"
#include "support/environment.hpp"

#include <array>
#include <random>

/// Random walks: a subject (the breaker, or an oracle with a flaw) and the oracle go through the same events;
/// after each their answers, statistics and what the listener heard must agree.
namespace tideover_test {

/// One draw for all who ask within a step.
struct step_rng {
  using policy_axis = tideover::axis::rng;
  step_rng() = default;
  explicit step_rng(std::uint64_t) {}
  std::uint64_t operator()() noexcept { return next; }
  static inline thread_local std::uint64_t next = 0;
};

class walked_breaker {
 public:
  using slip = std::size_t;

  walked_breaker() = default;
  walked_breaker(walked_breaker const&) = delete;
  walked_breaker& operator=(walked_breaker const&) = delete;
  virtual ~walked_breaker() = default;

  /// The permit is kept under the number that is returned with it.
  virtual oracle::answer acquire(slip number) = 0;
  virtual void report(slip number, call_outcome o) = 0;
  virtual void drop(slip number) = 0;
  virtual void move(slip from, slip to) = 0;
  /// A call that ends so, after a while; `no_classifier`: the classifier throws. Whether it was admitted.
  virtual bool call(call_outcome o, std::chrono::nanoseconds takes, bool no_classifier) = 0;
  virtual void mode(breaker_state s) = 0;
  virtual void automatic() = 0;
  virtual void reset() = 0;
  virtual void reconfigure(breaker_options const& o) = 0;
  virtual void meddle() = 0;
  virtual breaker_stats stats() = 0;
  virtual std::vector<oracle::heard> take_events() = 0;
};

struct told_outcome {
  call_outcome outcome;
  bool throws;
};
/// Says what the call is told to say, or throws.
struct obedient {
  using policy_axis = tideover::axis::classifier;
  call_outcome operator()(std::exception_ptr const&) const { return call_outcome::failure; }
  call_outcome operator()(told_outcome const& t) const {
    if (t.throws) throw std::logic_error("cannot tell");
    return t.outcome;
  }
};

/// Writes down, and now and then acquires and gives back.
struct walk_listener {
  using policy_axis = tideover::axis::listener;
  struct state {
    std::vector<oracle::heard> events;
    std::function<void()> act;
    bool armed = false;
  };
  state* s;
  void on_event(breaker_event const& e) const {
    s->events.push_back({e.generation, e.from, e.to, e.cause});
    if (s->armed && e.cause != breaker_cause::would_open) {
      s->armed = false;
      s->act();
      throw std::logic_error("and it throws besides");
    }
  }
};

template <class... Policies>
class walked : public walked_breaker {
 public:
  using breaker =
      circuit_breaker<wayward_clock, obedient, walk_listener, step_rng, tideover::counting, Policies...>;

  template <class... P>
  walked(breaker_options const& o, wayward_clock clock, P&&... policies)
      : clock_(clock), b_(o, clock, walk_listener{&heard_}, std::forward<P>(policies)...), permits_(64) {
    heard_.act = [this] { static_cast<void>(b_.try_acquire().has_value()); };
  }

  oracle::answer acquire(slip n) override {
    auto p = b_.try_acquire();
    if (!p) return {false, p.retry_after()};
    permits_[n].emplace(std::move(*p));
    return {true};
  }
  void report(slip n, call_outcome o) override {
    permits_[n]->report(o);
    permits_[n].reset();
  }
  void drop(slip n) override { permits_[n].reset(); }
  void move(slip from, slip to) override {
    permits_[to].emplace(std::move(*permits_[from]));
    permits_[from].reset();
  }
  bool call(call_outcome o, std::chrono::nanoseconds takes, bool no_classifier) override {
    bool ran = false;
    b_.call(
        [&] {
          ran = true;
          clock_.move(takes);
          return told_outcome{o, no_classifier};
        },
        [&](std::error_code) {
          return told_outcome{o, false};
        });
    return ran;
  }
  void mode(breaker_state s) override {
    s == breaker_state::forced_open ? b_.force_open()
    : s == breaker_state::disabled  ? b_.disable()
                                    : b_.observe();
  }
  void automatic() override { b_.automatic(); }
  void reset() override { b_.reset(); }
  void reconfigure(breaker_options const& o) override { b_.reconfigure(o); }
  void meddle() override { heard_.armed = true; }
  breaker_stats stats() override {
    auto s = b_.stats();
    if (s.listener_failures > 0) meddled_ = true;
    s.listener_failures = 0;
    return s;
  }
  std::vector<oracle::heard> take_events() override {
    heard_.armed = false;
    return std::exchange(heard_.events, {});
  }
  bool meddled() const { return meddled_; }

 private:
  wayward_clock clock_;
  walk_listener::state heard_;
  breaker b_;
  std::vector<std::optional<typename breaker::permit>> permits_;
  bool meddled_ = false;
};

/// An oracle in place of a breaker.
class walked_oracle : public walked_breaker {
 public:
  walked_oracle(breaker_options const& o, oracle_rules rules, wayward_clock clock)
      : clock_(clock), model_(o, rules, clock.now()), slips_(64) {}
  oracle::answer acquire(slip n) override {
    oracle::slip s;
    auto const a = model_.acquire(clock_.now(), draw(), s);
    if (a.admitted) slips_[n] = s;
    return a;
  }
  void report(slip n, call_outcome o) override { model_.report(slips_[n], o, clock_.now()); }
  void drop(slip n) override { model_.report(slips_[n], call_outcome::ignored, clock_.now()); }
  void move(slip from, slip to) override { slips_[to] = slips_[from]; }
  bool call(call_outcome o, std::chrono::nanoseconds takes, bool no_classifier) override {
    oracle::slip s;
    if (!model_.acquire(clock_.now(), draw(), s).admitted) return false;
    clock_.move(takes);
    if (no_classifier) ++classifier_failures_;
    model_.report(s, no_classifier ? call_outcome::failure : o, clock_.now());
    return true;
  }
  void mode(breaker_state s) override { model_.mode(s, clock_.now()); }
  void automatic() override { model_.automatic(clock_.now()); }
  void reset() override { model_.reset(clock_.now()); }
  void reconfigure(breaker_options const& o) override { model_.reconfigure(o, clock_.now()); }
  void meddle() override { model_.meddle(draw()); }
  breaker_stats stats() override {
    auto s = model_.stats(clock_.now());
    s.classifier_failures = classifier_failures_;
    s.counts_successes = true;
    return s;
  }
  std::vector<oracle::heard> take_events() override {
    model_.calm();
    return model_.take_events();
  }
  oracle& model() { return model_; }

 private:
  static double draw() { return tideover::to_unit_interval(step_rng::next); }
  wayward_clock clock_;
  oracle model_;
  std::vector<oracle::slip> slips_;
  std::uint64_t classifier_failures_ = 0;
};

struct walk_tally {
  std::array<std::size_t, 7> in_state{};
  std::size_t rejected = 0, stale = 0, on_the_instant = 0, steps_back = 0, leases = 0, calls = 0;
};
struct walk_report {
  std::string problem;
  walk_tally tally;
};

/// Steps of all the walks of one trip policy together.
inline std::size_t model_steps() { return std::size_t(number_from("TIDEOVER_MODEL_STEPS", 120'000)); }

class breaker_walk {
 public:
  breaker_walk(walked_breaker& subject, walked_oracle& judge, wayward_clock clock, breaker_options o,
               std::uint64_t seed)
      : subject_(subject), judge_(judge), clock_(std::move(clock)), o_(o), seed_(seed), random_(seed) {
    for (std::size_t n = 0; n < 64; ++n) free_.push_back(n);
  }

  walk_report run(std::size_t steps) {
    for (std::size_t step = 1; step <= steps; ++step) {
      step_rng::next = random_();
      std::string problem = one_step();
      if (problem.empty()) problem = compare();
      if (problem.empty()) continue;
      report_.problem = "step " + std::to_string(step) + ", " + doing_ + ": " + problem + " (seed " +
                        std::to_string(seed_) + ")";
      break;
    }
    while (!taken_.empty()) give_back(call_outcome::ignored);
    return report_;
  }

 private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }

  std::string one_step() {
    if (below(20) == 0) subject_.meddle(), judge_.meddle();
    if (below(300) == 0) phase_ = below(3);  // the back-end's mood: well, failing, mixed
    std::uint64_t const dice = below(1000);
    if (dice < 270) return acquire();
    if (dice < 520) return report();
    if (dice < 550) return drop();
    if (dice < 570) return move();
    if (dice < 770) return call();
    if (dice < 970) return let_time_pass();
    if (dice < 978) return mode();
    if (dice < 988) {
      doing_ = "automatic";
      subject_.automatic(), judge_.automatic();
      return {};
    }
    if (dice < 992) {
      doing_ = "reset";
      subject_.reset(), judge_.reset();
      return {};
    }
    if (dice < 996) return reconfigure();
    return {};
  }

  std::string acquire() {
    if (free_.empty()) return report();
    doing_ = "acquire";
    auto const n = free_.back();
    if (judge_.model().next() == clock_.now()) ++report_.tally.on_the_instant;
    auto const got = subject_.acquire(n);
    auto const expected = judge_.acquire(n);
    if (got.admitted != expected.admitted) return expected.admitted ? "was rejected" : "was admitted";
    if (!got.admitted && !(got == expected)) {
      return "retry after " + std::to_string(got.retry_after.count()) + ", not " +
             std::to_string(expected.retry_after.count());
    }
    if (got.admitted) {
      taken_.push_back(n);
      free_.pop_back();
    } else {
      ++report_.tally.rejected;
    }
    return {};
  }
  void give_back(call_outcome o) {
    auto const at = below(taken_.size());
    auto const n = taken_[at];
    subject_.report(n, o), judge_.report(n, o);
    release(at);
  }
  void release(std::size_t at) {
    free_.push_back(taken_[at]);
    taken_[at] = taken_.back();
    taken_.pop_back();
  }
  call_outcome some_outcome() {
    std::uint64_t const dice = below(100);
    if (dice < 10) return call_outcome::ignored;
    std::uint64_t const failing = phase_ == 0 ? 5 : phase_ == 1 ? 85 : 45;
    return dice < 10 + failing ? call_outcome::failure : call_outcome::success;
  }
  std::string report() {
    if (taken_.empty()) return {};
    doing_ = "report";
    give_back(some_outcome());
    return {};
  }
  std::string drop() {
    if (taken_.empty()) return {};
    doing_ = "drop";
    auto const at = below(taken_.size());
    subject_.drop(taken_[at]), judge_.drop(taken_[at]);
    release(at);
    return {};
  }
  std::string move() {
    if (taken_.empty() || free_.empty()) return {};
    doing_ = "move";
    auto const at = below(taken_.size());
    auto const to = free_.back();
    subject_.move(taken_[at], to), judge_.move(taken_[at], to);
    free_.back() = taken_[at];
    taken_[at] = to;
    return {};
  }
  std::string call() {
    doing_ = "call";
    auto const takes = std::chrono::nanoseconds(below(4) == 0 ? below(3'000'000'000) : 0);
    auto const o = some_outcome();
    bool const no_classifier = below(10) == 0;
    auto const before = clock_.now();
    bool const ran = subject_.call(o, takes, no_classifier);
    clock_.move(before - clock_.now());  // the oracle's call begins when the subject's did
    bool const should = judge_.call(o, takes, no_classifier);
    ++report_.tally.calls;
    if (ran != should) return should ? "was rejected" : "was admitted";
    return {};
  }
  std::string mode() {
    breaker_state const modes[] = {breaker_state::forced_open, breaker_state::disabled,
                                   breaker_state::observing};
    auto const m = modes[below(3)];
    doing_ = std::string("mode ") + to_string(m);
    subject_.mode(m), judge_.mode(m);
    return {};
  }
  std::string reconfigure() {
    doing_ = "reconfigure";
    breaker_options o = o_;
    if (below(2) == 0) {
      o.failure_threshold = static_cast<std::uint32_t>(1 + below(6));
      o.probes = static_cast<std::uint32_t>(1 + below(4));
      o.successes = static_cast<std::uint32_t>(1 + below(4));
      o.tolerated_failures = static_cast<std::uint32_t>(below(3));
      o.recovery_timeout = std::chrono::nanoseconds(1 + below(20'000'000'000));
    }
    subject_.reconfigure(o), judge_.reconfigure(o);
    return {};
  }

  /// Small steps, onto what is to happen or a nanosecond beside it, and now and then back.
  std::string let_time_pass() {
    std::uint64_t const dice = below(100);
    auto const next = judge_.model().next();
    if (dice < 45 && next && *next > clock_.now() && *next - clock_.now() < 24h) {
      doing_ = "advance to the next event";
      clock_.move(*next - clock_.now() + std::chrono::nanoseconds(int(below(3)) - 1));
    } else if (dice < 90) {
      doing_ = "advance";
      clock_.move(std::chrono::nanoseconds(below(below(3) == 0 ? 5'000'000'000 : 50'000'000)));
    } else {
      doing_ = "step back";
      ++report_.tally.steps_back;
      std::uint64_t const by = below(3);
      clock_.move(-std::chrono::nanoseconds(below(by == 0 ? 100 : by == 1 ? 1'500'000'000 : 30'000'000'000)));
    }
    return {};
  }

  std::string compare() {
    auto const a = subject_.stats(), b = judge_.stats();
    auto const events = subject_.take_events(), expected = judge_.take_events();
    ++report_.tally.in_state[static_cast<std::size_t>(b.state)];
    report_.tally.stale = b.stale;
    for (auto const& e : expected) report_.tally.leases += e.why == breaker_cause::lease_expired ? 1u : 0u;
    if (!(events == expected)) {
      return "heard " + std::to_string(events.size()) + " events, not " + std::to_string(expected.size()) +
             ", or others";
    }
    if (a.state != b.state) return std::string("is ") + to_string(a.state) + ", not " + to_string(b.state);
    std::string wrong;
    auto const same = [&](char const* name, std::uint64_t x, std::uint64_t y) {
      if (x != y)
        wrong += std::string(name) + " is " + std::to_string(x) + ", not " + std::to_string(y) + "; ";
    };
    same("generation", a.generation, b.generation);
    same("attempt", a.attempt, b.attempt);
    same("probes_out", a.probes_out, b.probes_out);
    same("window_calls", a.window_calls, b.window_calls);
    same("window_failures", a.window_failures, b.window_failures);
    same("window_slow", a.window_slow, b.window_slow);
    same("successes", a.successes, b.successes);
    same("failures", a.failures, b.failures);
    same("ignored", a.ignored, b.ignored);
    same("stale", a.stale, b.stale);
    same("rejected", a.rejected, b.rejected);
    same("opened", a.opened, b.opened);
    same("would_have_opened", a.would_have_opened, b.would_have_opened);
    same("classifier_failures", a.classifier_failures, b.classifier_failures);
    return wrong;
  }

  walked_breaker& subject_;
  walked_oracle& judge_;
  wayward_clock clock_;
  breaker_options o_;
  std::uint64_t seed_;
  std::mt19937_64 random_;
  std::uint64_t phase_ = 0;
  std::vector<std::size_t> free_, taken_;
  std::string doing_;
  walk_report report_;
};

/// The breakers that each trip policy is walked as; the steps are shared among them.
inline std::vector<breaker_options> walk_options(bool slow) {
  std::vector<breaker_options> all;
  all.push_back({.failure_threshold = 3, .recovery_timeout = 5s, .call_timeout = 2s, .min_calls = 3});
  all.push_back({.failure_threshold = 1,
                 .recovery_timeout = 1s,
                 .failure_rate = 0.3,
                 .min_calls = 1,
                 .probes = 3,
                 .successes = 4,
                 .tolerated_failures = 2,
                 .probe_lease = 777ms,
                 .ramp_over = 3s});
  all.push_back({.failure_threshold = 5,
                 .recovery_timeout = 3'333'333'333ns,
                 .failure_rate = 0.9,
                 .min_calls = 6,
                 .window = 3s,
                 .probes = 2,
                 .successes = 2,
                 .ramp_over = 11s});
  if (slow) {
    for (auto& o : all) o.slow_after = 1s;
    all.back().slow_rate = 0.5;
  }
  return all;
}

/// Walks one type of breaker and checks that the walk went everywhere.
template <class... Policies, class... P>
void walk_all(oracle_rules rules, bool slow, P const&... policies) {
  walk_tally total;
  auto const all = walk_options(slow);
  std::uint64_t seed = run_seed();
  bool meddled = false;
  for (auto const& o : all) {
    wayward_clock clock;
    walked<Policies...> subject(o, clock, policies...);
    walked_oracle judge(o, rules, clock);
    auto const report = breaker_walk(subject, judge, clock, o, ++seed).run(model_steps() / all.size());
    INFO(report.problem);
    REQUIRE(report.problem.empty());
    for (std::size_t i = 0; i < 7; ++i) total.in_state[i] += report.tally.in_state[i];
    total.rejected += report.tally.rejected;
    total.stale += report.tally.stale;
    total.on_the_instant += report.tally.on_the_instant;
    total.steps_back += report.tally.steps_back;
    total.leases += report.tally.leases;
    total.calls += report.tally.calls;
    meddled |= subject.meddled();
  }
  if (model_steps() < 20'000) return;  // too short to promise it
  for (std::size_t i = 0; i < 7; ++i) {
    auto const s = static_cast<breaker_state>(i);
    bool const never =
        (s == breaker_state::ramping && rules.ramp_steps == 0) ||
        (rules.trip == trips::throttle &&
         (s == breaker_state::open || s == breaker_state::half_open || s == breaker_state::ramping));
    INFO(to_string(s));
    CHECK((total.in_state[i] > 0) == !never);
  }
  CHECK(total.rejected > 0);
  CHECK(total.stale > 0);
  CHECK(total.steps_back > 0);
  CHECK(meddled);
  if (rules.trip == trips::throttle) return;
  CHECK(total.on_the_instant > 0);
  CHECK(total.leases > 0);
}

}  // namespace tideover_test
