// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/circuit_breaker_options.hpp>
#include <tideover/instant.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// What a breaker must do, written from its contract and its documentation and from nothing else: one thread,
/// plain variables, times in full.
namespace tideover_test {

enum class trips { in_a_row, in_last, over, throttle };

/// Bugs that can be put into it, to see whether it would find them in a subject.
enum class flaw {
  none,
  stale_counts,         ///< a report of another generation is believed
  ignored_keeps_place,  ///< an ignored probe does not give its place back
  late_by_one,          ///< at now == until it still rejects
  success_not_counted,  ///< half open, one success more than told is wanted
  never_forgets,        ///< a success does not end a row, a window keeps all
  lease_never_ends,
  attempts_not_counted,
  mode_keeps_counts,
  told_twice,  ///< that it would open, with each failure
  retry_after_missing,
};

struct oracle_rules {
  trips trip = trips::in_a_row;
  std::size_t last = 0;     ///< in_last: how many
  std::size_t buckets = 0;  ///< over, throttle
  unsigned ramp_steps = 0;
  bool doubling = false;  ///< open_exponential with this limit
  std::chrono::nanoseconds limit{0};
  flaw with = flaw::none;
};

class oracle {
 public:
  using nanoseconds = std::chrono::nanoseconds;
  using state = tideover::breaker_state;
  using cause = tideover::breaker_cause;
  using instant = tideover::instant;

  struct answer {
    bool admitted = false;
    nanoseconds retry_after{0};
    friend bool operator==(answer const&, answer const&) = default;
  };
  struct slip {  ///< what a permit knows
    std::uint64_t generation = 0;
    instant began{};
  };
  struct heard {
    std::uint64_t generation;
    state from, to;
    cause why;
    friend bool operator==(heard const&, heard const&) = default;
  };

  oracle(tideover::breaker_options o, oracle_rules rules, instant made) : o_(o), rules_(rules), made_(made) {}

  /// `draw` in [0, 1): what chance would say.
  answer acquire(instant now, double draw, slip& given) {
    for (;;) {
      given = {generation_, now};
      switch (state_) {
        case state::closed:
        case state::observing:
          if (rules_.trip == trips::throttle && draw < turned_away(now)) {
            if (state_ == state::observing) {
              would_open();
              return {true};
            }
            add(now, true, false);
            return reject({});
          }
          return {true};
        case state::disabled:
          return {true};
        case state::forced_open:
          return reject({});
        case state::open:
          // A clock that was set back by more than a second stands still.
          if (until_ - now > span_ + std::chrono::seconds(1)) until_ = now + span_;
          if (now < until_ || (rules_.with == flaw::late_by_one && now == until_))
            return reject(until_ - now);
          change(state::half_open, cause::probing);
          out_ = 1;
          lease_ = up(now + lease());
          given.generation = generation_;
          react(now);
          return {true};
        case state::half_open:
          if (out_ > 0 && lease_ - now > lease() + std::chrono::seconds(1)) lease_ = up(now + lease());
          if (out_ > 0 && now >= lease_ && rules_.with != flaw::lease_never_ends) {
            open(now, cause::lease_expired);
            return reject(span_);
          }
          if (out_ >= o_.probes || good_ + out_ >= o_.successes) return reject({});
          ++out_;
          lease_ = std::max(lease_, up(now + lease()));
          return {true};
        case state::ramping:
          if (ramp_end_ - now > o_.ramp_over + std::chrono::seconds(1)) ramp_end_ = up(now + o_.ramp_over);
          if (now < ramp_end_) {
            auto const whole = static_cast<double>(o_.ramp_over.count());
            double const gone =
                std::clamp(whole - static_cast<double>((ramp_end_ - now).count()), 0.0, whole) / whole;
            unsigned const level =
                std::min(static_cast<unsigned>(gone * rules_.ramp_steps) + 1, rules_.ramp_steps);
            if (draw < static_cast<double>(level) / (rules_.ramp_steps + 1)) return {true};
            return reject({});
          }
          change(state::closed, cause::recovered);
          given.generation = generation_;
          react(now);
          return {true};
      }
    }
  }

  void report(slip const& s, tideover::call_outcome outcome, instant now) {
    using tideover::call_outcome;
    if (s.generation != generation_ && rules_.with != flaw::stale_counts) {
      ++stats_.stale;
      return;
    }
    if (state_ == state::disabled) return;
    if (outcome == call_outcome::failure) ++stats_.failures;
    if (outcome == call_outcome::ignored) ++stats_.ignored;
    if (outcome == call_outcome::success) ++stats_.successes;
    bool const failed = outcome == call_outcome::failure;
    if (state_ == state::half_open) {
      if (outcome != call_outcome::ignored || rules_.with != flaw::ignored_keeps_place)
        out_ -= out_ > 0 ? 1 : 0;
      if (outcome == call_outcome::success &&
          ++good_ >= o_.successes + (rules_.with == flaw::success_not_counted)) {
        if (rules_.ramp_steps > 0) {
          unsigned const attempt = attempt_;
          change(state::ramping, cause::recovered);
          attempt_ = attempt;
          ramp_end_ = up(now + o_.ramp_over);
        } else {
          change(state::closed, cause::recovered);
        }
        react(now);
      } else if (failed && ++bad_ > o_.tolerated_failures) {
        open(now, cause::probe_failed);
      }
      return;
    }
    if (outcome == call_outcome::ignored || state_ == state::open || state_ == state::forced_open) return;
    bool const slow = o_.slow_after.count() > 0 && now - s.began >= o_.slow_after;
    if (enough(now, failed, slow)) {
      state_ == state::observing ? would_open() : open(now, cause::tripped);
    }
  }

  void mode(state to, instant now) {
    if (state_ == to) return;
    auto const row = row_;
    change(to, cause::mode_set);
    if (rules_.with == flaw::mode_keeps_counts) row_ = row;
    react(now);
  }
  void automatic(instant now) {
    if (state_ == state::forced_open || state_ == state::disabled || state_ == state::observing) {
      mode(state::closed, now);
    }
  }
  void reset(instant now) {
    change(state::closed, cause::reset);
    react(now);
  }
  void reconfigure(tideover::breaker_options o, instant now) {
    o_ = o;
    auto const attempt = attempt_;
    change(state_, cause::reconfigured);
    attempt_ = attempt;
    if (state_ == state::ramping) ramp_end_ = instant::max();  // it begins anew when somebody asks
    react(now);
  }
  /// A listener of the subject acquires once and gives back at once, when it hears the next change.
  void meddle(double draw) { meddling_ = draw; }
  void calm() { meddling_.reset(); }

  tideover::breaker_stats stats(instant now) {
    auto s = stats_;
    s.state = state_;
    s.generation = static_cast<std::uint32_t>(generation_ & 0xFFFFFF);
    s.attempt = attempt_;
    if (state_ == state::half_open) s.probes_out = out_;
    if (state_ == state::closed || state_ == state::ramping || state_ == state::observing) {
      if (rules_.trip == trips::in_a_row) {
        s.window_failures = told_ ? std::min<std::uint32_t>(row_, o_.failure_threshold - 1) : row_;
      } else {
        auto const c = seen(now);
        s.window_calls = c.total;
        s.window_failures = c.failures;
        s.window_slow = c.slow;
      }
    }
    return s;
  }
  std::vector<heard> take_events() { return std::exchange(events_, {}); }
  state now_in() const { return state_; }
  /// The next instant at which something may happen by itself.
  std::optional<instant> next() const {
    if (state_ == state::open) return until_;
    if (state_ == state::half_open && out_ > 0) return lease_;
    if (state_ == state::ramping) return ramp_end_;
    return std::nullopt;
  }

 private:
  struct counts {
    std::uint64_t total = 0, failures = 0, slow = 0;
  };
  struct sample {
    bool failed, slow;
  };

  answer reject(nanoseconds retry_after) {
    ++stats_.rejected;
    return {false, rules_.with == flaw::retry_after_missing ? nanoseconds{0} : retry_after};
  }
  nanoseconds lease() const {
    return o_.probe_lease.count() > 0 ? o_.probe_lease : o_.call_timeout + std::chrono::seconds(1);
  }
  /// Leases and ramps end in steps of 2^20 ns, counted from ten years before the breaker was made.
  instant up(instant t) const {
    instant const origin = made_ - std::chrono::hours(24 * 365 * 10);
    std::int64_t const step = std::int64_t{1} << 20;
    return origin + nanoseconds(((t - origin).count() + step - 1) / step * step);
  }
  void change(state to, cause why) {
    events_.push_back({++generation_, state_, to, why});
    state_ = to;
    out_ = good_ = bad_ = row_ = 0;
    attempt_ = to == state::half_open ? attempt_ : 0;
    told_ = false;
    last_.clear();
    slices_.clear();
  }
  void open(instant now, cause why) {
    unsigned const attempt = rules_.with == flaw::attempts_not_counted ? 1 : std::min(attempt_ + 1, 31u);
    span_ = o_.recovery_timeout;
    if (rules_.doubling) {
      for (unsigned i = 1; i < attempt && span_ < rules_.limit; ++i) span_ *= 2;
      span_ = std::min(span_, std::max(rules_.limit, o_.recovery_timeout));
    }
    change(state::open, why);
    attempt_ = attempt;
    until_ = now + span_;
    ++stats_.opened;
    react(now);
  }
  void would_open() {
    if (told_ && rules_.with != flaw::told_twice) return;
    told_ = true;
    row_ = 0;
    ++stats_.would_have_opened;
    events_.push_back({generation_, state_, state_, cause::would_open});
    react({});
  }
  /// The listener's part in what has just changed.
  void react(instant now) {
    if (!meddling_ || now == instant{}) return;
    double const draw = *std::exchange(meddling_, std::nullopt);
    slip s;
    if (acquire(now, draw, s).admitted) report(s, tideover::call_outcome::ignored, now);
  }

  bool enough(instant now, bool failed, bool slow) {
    if (rules_.trip == trips::in_a_row) {
      row_ = failed ? row_ + 1 : rules_.with == flaw::never_forgets ? row_ : 0;
      return failed && row_ >= o_.failure_threshold;
    }
    add(now, failed, slow);
    if (rules_.trip == trips::throttle || (!failed && !slow)) return false;
    auto const c = seen(now);
    if (c.total < o_.min_calls) return false;
    auto const reaches = [&](std::uint64_t part, double share) {
      return static_cast<double>(part) >= share * static_cast<double>(c.total) - 1e-7;
    };
    return reaches(c.failures, o_.failure_rate) ||
           (o_.slow_after.count() > 0 && reaches(c.slow, o_.slow_rate));
  }
  std::int64_t slice(instant now) const {
    std::int64_t const width =
        std::max<std::int64_t>(o_.window.count() / static_cast<std::int64_t>(rules_.buckets), 1);
    std::int64_t const here = now.ns / width;
    // A clock that goes back by less than the window stands still.
    bool const still = here < newest_ && newest_ - here <= static_cast<std::int64_t>(rules_.buckets);
    return still ? newest_ : here;
  }
  void add(instant now, bool failed, bool slow) {
    if (rules_.trip == trips::in_last) {
      last_.push_back({failed, slow});
      if (last_.size() > rules_.last && rules_.with != flaw::never_forgets) last_.pop_front();
      return;
    }
    std::int64_t const here = slice(now);
    newest_ = here;
    auto const n = static_cast<std::int64_t>(rules_.buckets);
    // There is room for one window: what stood in this place goes.
    std::erase_if(slices_, [&](auto const& s) { return s.first != here && (s.first - here) % n == 0; });
    auto& c = slices_[here];
    ++c.total;
    if (failed) ++c.failures;
    if (slow) ++c.slow;
  }
  counts seen(instant now) const {
    counts c;
    if (rules_.trip == trips::in_last) {
      for (auto const& s : last_) {
        ++c.total;
        if (s.failed) ++c.failures;
        if (s.slow) ++c.slow;
      }
      return c;
    }
    std::int64_t const here = slice(now);
    for (auto const& [at, s] : slices_) {
      if (rules_.with != flaw::never_forgets &&
          (at > here || at <= here - static_cast<std::int64_t>(rules_.buckets))) {
        continue;
      }
      c.total += s.total, c.failures += s.failures, c.slow += s.slow;
    }
    return c;
  }

  double turned_away(instant now) const {
    auto const c = seen(now);
    if (c.total < o_.min_calls) return 0;
    double const accepts = static_cast<double>(c.total - c.failures);
    double const all = static_cast<double>(c.total);
    return std::clamp((all - o_.throttle_factor * accepts) / (all + 1), 0.0, o_.throttle_most);
  }

  tideover::breaker_options o_;
  oracle_rules rules_;
  instant made_;
  state state_ = state::closed;
  std::uint64_t generation_ = 1;
  unsigned attempt_ = 0;
  instant until_{}, lease_{}, ramp_end_{};
  nanoseconds span_{0};
  std::uint32_t out_ = 0, good_ = 0, bad_ = 0, row_ = 0;
  bool told_ = false;
  std::deque<sample> last_;
  std::map<std::int64_t, counts> slices_;
  std::int64_t newest_ = 0;
  tideover::breaker_stats stats_;
  std::vector<heard> events_;
  std::optional<double> meddling_;
};

}  // namespace tideover_test
