// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/circuit_breaker_options.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/classifier.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

/// The breaker's state machine: events with a time go in, decisions come out. It knows no lock, no clock and
/// no call. The state, its generation and all that decides a transition stand in one 64-bit word, and every
/// transition is one compare-and-exchange of it: whoever's succeeds has made it, alone, and a report is
/// compared with the generation in the very exchange that it changes.
///
///     state 3 | generation 24 | attempt 5 | payload 32          from the lowest bit
///     closed, ramping   failures in a row 32
///     open              the time until which, in units of 2^28 ns, rounded down
///     half open         probes out 10 | succeeded 11 | failed 11
///     observing         failures in a row 31 | told that it would open 1
///
/// Two words besides refine times; each names the generation that it speaks of, so that a thread that was
/// held up cannot speak for another one, and neither decides alone:
///     rest   generation 24 | the part of the open time below 2^28 ns. Written by the thread that opened,
///            right after; until then the time is taken to be the end of its unit, 0.27 s late at most.
///     term   generation 24 | when the lease or ramp ends, in units of 2^20 ns (1.05 ms), rounded up. Raised
///            before a probe is let through, never after; by whoever looks first, once a ramp begins.
///
/// Times count from ten years before the breaker was made, should its clock be set back, and to 26 years
/// after; what lies beyond is for ever.
///
/// Generations are counted modulo 2^24: a permit that outlives exactly a multiple of 16,777,216 changes would
/// be taken for a present one.
///
/// Memory order. All decisions are read-modify-writes of the one word, and the modifications of one object
/// have one order that all threads agree on, however weak the memory: exchanging it acquires and releases so
/// that what a thread stored before a transition (statistics begun anew, the term) is seen by whoever loads,
/// acquiring, the word that it made. The words besides need no more than that a thread which sees their
/// content sees it whole; they are written with release and read with acquire so that the span, a plain hint,
/// is the one that belongs to the rest.
namespace tideover::inline v0::detail {

/// The word, taken apart.
struct breaker_word {
  std::uint64_t bits = 0;

  static constexpr unsigned generation_bits = 24;
  static constexpr std::uint32_t generation_mask = (1u << generation_bits) - 1;
  static constexpr unsigned most_attempts = 31;
  static constexpr std::uint32_t told = 1u << 31;

  constexpr breaker_state state() const noexcept { return static_cast<breaker_state>(bits & 7); }
  constexpr std::uint32_t generation() const noexcept {
    return static_cast<std::uint32_t>(bits >> 3) & generation_mask;
  }
  constexpr unsigned attempt() const noexcept { return static_cast<unsigned>(bits >> 27) & 31; }
  constexpr std::uint32_t payload() const noexcept { return static_cast<std::uint32_t>(bits >> 32); }
  /// State, generation and attempt: what a permit keeps.
  constexpr std::uint32_t head() const noexcept { return static_cast<std::uint32_t>(bits); }

  static constexpr breaker_word of(breaker_state s, std::uint32_t generation, unsigned attempt,
                                   std::uint32_t payload) noexcept {
    return {std::uint64_t{payload} << 32 | std::uint64_t{std::min(attempt, most_attempts)} << 27 |
            std::uint64_t{generation & generation_mask} << 3 | static_cast<std::uint64_t>(s)};
  }
  constexpr breaker_word with(std::uint32_t payload) const noexcept {
    return {std::uint64_t{payload} << 32 | head()};
  }
  /// The next generation.
  constexpr breaker_word next(breaker_state s, unsigned attempt, std::uint32_t payload) const noexcept {
    return of(s, generation() + 1, attempt, payload);
  }
  static constexpr std::uint32_t generation_of(std::uint32_t head) noexcept {
    return head >> 3 & generation_mask;
  }
  static constexpr breaker_state state_of(std::uint32_t head) noexcept {
    return static_cast<breaker_state>(head & 7);
  }

  // Half open.
  constexpr std::uint32_t out() const noexcept { return payload() & 1023; }
  constexpr std::uint32_t good() const noexcept { return payload() >> 10 & 2047; }
  constexpr std::uint32_t bad() const noexcept { return payload() >> 21; }
  static constexpr std::uint32_t probing(std::uint32_t out, std::uint32_t good, std::uint32_t bad) noexcept {
    return bad << 21 | good << 10 | out;
  }

  friend constexpr bool operator==(breaker_word, breaker_word) noexcept = default;
};

/// The numbers that the machine goes by.
struct breaker_rules {
  std::uint32_t failure_threshold;
  std::uint32_t probes;
  std::uint32_t successes;
  std::uint32_t tolerated_failures;
  std::chrono::nanoseconds lease;
  std::chrono::nanoseconds ramp_over;
  unsigned ramp_steps;
};

/// A change that this thread has made, to be told; `before == after`: none.
struct breaker_change {
  breaker_word before;
  breaker_word after;
  breaker_cause cause = breaker_cause::reset;
  constexpr explicit operator bool() const noexcept { return before != after; }
};

struct breaker_admission {
  bool admitted = false;
  std::uint32_t head = 0;                   ///< for the report
  std::chrono::nanoseconds retry_after{0};  ///< 0: unknown
  breaker_change change{};
};

struct breaker_report {
  bool stale = false;
  breaker_change change{};
};

/// `Surroundings` is what the machine asks for: `open_for(attempt)`, how long to be open; `begin(g)`, called
/// before a generation is entered that counts; `chance(p)`, drawn. None of these throws.
template <class Locking>
class breaker_machine {
 public:
  /// A clock that lies further back than this, against what it said before, has been set back.
  static constexpr std::chrono::nanoseconds set_back = std::chrono::seconds(1);

  explicit breaker_machine(instant made) noexcept : origin_(made - years * 10) {}

  breaker_word look() const noexcept { return {word_.load(std::memory_order_acquire)}; }

  /// Whether a call may pass at `now`; for a state in which all may, `look` alone is enough.
  template <class Surroundings>
  breaker_admission acquire(instant now, breaker_rules const& rules, Surroundings& around) noexcept {
    breaker_word w = look();
    for (;;) {
      switch (w.state()) {
        case breaker_state::closed:
        case breaker_state::disabled:
        case breaker_state::observing:
          return {.admitted = true, .head = w.head()};
        case breaker_state::forced_open:
          return {};
        case breaker_state::open: {
          instant const until = until_of(w);
          if (now < until) {
            if (stand_still(w, until, now)) return {.retry_after = until_of(w) - now};
            continue;
          }
          breaker_word const probing =
              w.next(breaker_state::half_open, w.attempt(), breaker_word::probing(1, 0, 0));
          raise(probing.generation(), now + rules.lease);
          if (!exchange(w, probing)) continue;
          return {true, probing.head(), {}, {w, probing, breaker_cause::probing}};
        }
        case breaker_state::half_open: {
          if (w.out() > 0 && now >= term(w.generation(), now, rules.lease)) {
            auto const open_for = around.open_for(next_attempt(w));
            auto const opened = open(w, now, open_for);
            if (!exchange(w, opened)) continue;
            publish(opened, now, open_for);
            return {false, 0, open_for, {w, opened, breaker_cause::lease_expired}};
          }
          if (w.out() >= rules.probes || w.good() + w.out() >= rules.successes) return {};
          raise(w.generation(), now + rules.lease);
          breaker_word const one_more = w.with(w.payload() + breaker_word::probing(1, 0, 0));
          if (!exchange(w, one_more)) continue;
          return {.admitted = true, .head = one_more.head()};
        }
        case breaker_state::ramping: {
          instant const end = term(w.generation(), now, rules.ramp_over);
          if (now < end) {
            if (!around.chance(share_at(end - now, rules))) return {};
            return {.admitted = true, .head = w.head()};
          }
          breaker_word const closed = w.next(breaker_state::closed, 0, 0);
          around.begin(closed.generation());
          if (!exchange(w, closed)) continue;
          return {true, closed.head(), {}, {w, closed, breaker_cause::recovered}};
        }
      }
      return {};
    }
  }

  /// A failure or success in a row, where the word counts them; `now()` is asked if it opens.
  template <class Now, class Surroundings>
  breaker_report report_in_row(std::uint32_t head, bool failed, breaker_rules const& rules, Now now,
                               Surroundings& around) noexcept {
    breaker_word w = look();
    for (;;) {
      if (w.generation() != breaker_word::generation_of(head)) return {.stale = true};
      std::uint32_t const told = w.state() == breaker_state::observing ? w.payload() & breaker_word::told : 0;
      std::uint32_t const so_far = w.payload() - told;
      if (!failed) {
        if (so_far == 0 || exchange(w, w.with(told))) return {};
        continue;
      }
      if (so_far + 1 >= rules.failure_threshold) {
        if (told != 0) return {};
        return trip(w, now, around);
      }
      if (exchange(w, w.with(told | (so_far + 1)))) return {};
    }
  }

  /// The trip policy has seen enough of the generation of `head`, which was `w`.
  template <class Now, class Surroundings>
  breaker_report trip(breaker_word w, Now now, Surroundings& around) noexcept {
    std::uint32_t const generation = w.generation();
    do {
      if (w.generation() != generation) return {};  // another thread has
      switch (w.state()) {
        case breaker_state::observing: {
          if ((w.payload() & breaker_word::told) != 0) return {};
          breaker_word const told = w.with(breaker_word::told);
          breaker_word const before = w;
          if (exchange(w, told)) return {false, {before, told, breaker_cause::would_open}};
          break;
        }
        case breaker_state::closed:
        case breaker_state::ramping: {
          instant const at = now();
          auto const open_for = around.open_for(next_attempt(w));
          breaker_word const opened = open(w, at, open_for);
          breaker_word const before = w;
          if (exchange(w, opened)) {
            publish(opened, at, open_for);
            return {false, {before, opened, breaker_cause::tripped}};
          }
          break;
        }
        default:
          return {};
      }
    } while (true);
  }

  /// The end of a probe.
  template <class Now, class Surroundings>
  breaker_report report_probe(std::uint32_t head, call_outcome outcome, breaker_rules const& rules, Now now,
                              Surroundings& around) noexcept {
    breaker_word w = look();
    for (;;) {
      if (w.generation() != breaker_word::generation_of(head)) return {.stale = true};
      std::uint32_t const out = w.out() - 1;
      breaker_word after = w.with(breaker_word::probing(out, w.good(), w.bad()));
      breaker_cause cause = breaker_cause::probing;
      instant at{};
      std::chrono::nanoseconds open_for{0};
      if (outcome == call_outcome::success) {
        after = w.with(breaker_word::probing(out, w.good() + 1, w.bad()));
        if (w.good() + 1 >= rules.successes) {
          cause = breaker_cause::recovered;
          after = rules.ramp_steps > 0 ? w.next(breaker_state::ramping, w.attempt(), 0)
                                       : w.next(breaker_state::closed, 0, 0);
          around.begin(after.generation());
        }
      } else if (outcome == call_outcome::failure) {
        after = w.with(breaker_word::probing(out, w.good(), w.bad() + 1));
        if (w.bad() + 1 > rules.tolerated_failures) {
          cause = breaker_cause::probe_failed;
          at = now();
          open_for = around.open_for(next_attempt(w));
          after = open(w, at, open_for);
        }
      }
      breaker_word const before = w;
      if (!exchange(w, after)) continue;
      if (cause == breaker_cause::probing) return {};
      if (cause == breaker_cause::probe_failed) publish(after, at, open_for);
      if (after.state() == breaker_state::ramping) raise(after.generation(), now() + rules.ramp_over);
      return {false, {before, after, cause}};
    }
  }

  /// To `state`, empty, whatever it was; with `unless` not from there.
  template <class Surroundings, class Unless>
  breaker_change go(breaker_state state, breaker_cause cause, Surroundings& around, Unless unless) noexcept {
    breaker_word w = look();
    for (;;) {
      if (unless(w.state())) return {};
      breaker_word const after = w.next(state, 0, 0);
      around.begin(after.generation());
      breaker_word const before = w;
      if (exchange(w, after)) return {before, after, cause};
    }
  }

  /// The same state in a new generation: what was counted is forgotten, what was lent is not known any more;
  /// an open breaker is open until the same time.
  template <class Surroundings>
  breaker_change renew(Surroundings& around) noexcept {
    breaker_word w = look();
    for (;;) {
      std::uint64_t const rest = rest_.load(std::memory_order_acquire);
      bool const open = w.state() == breaker_state::open;
      breaker_word const after = w.next(w.state(), w.attempt(), open ? w.payload() : 0);
      around.begin(after.generation());
      breaker_word const before = w;
      if (!exchange(w, after)) continue;
      if (open && tag_of(rest, rest_bits) == before.generation()) {
        replace(rest_, rest_bits, after.generation(), rest & rest_mask);
      }
      return {before, after, breaker_cause::reconfigured};
    }
  }

  /// When an open breaker is to let a probe through.
  instant until_of(breaker_word w) const noexcept {
    if (w.payload() == ~0u) return instant::max();
    std::uint64_t const rest = rest_.load(std::memory_order_acquire);
    std::uint64_t const below = tag_of(rest, rest_bits) == w.generation() ? rest & rest_mask : rest_mask + 1;
    return origin_ + std::chrono::nanoseconds(
                         static_cast<std::int64_t>((std::uint64_t{w.payload()} << rest_bits) + below));
  }

  /// Level k of `steps` lets k / (steps + 1) through; the levels are of equal length.
  static double share_at(std::chrono::nanoseconds left, breaker_rules const& rules) noexcept {
    auto const whole = static_cast<double>(rules.ramp_over.count());
    auto const gone = std::clamp(whole - static_cast<double>(left.count()), 0.0, whole);
    unsigned const level =
        std::min(static_cast<unsigned>(gone / whole * rules.ramp_steps) + 1, rules.ramp_steps);
    return static_cast<double>(level) / (rules.ramp_steps + 1);
  }

 private:
  template <class T>
  using cell = typename Locking::template cell<T>;
  static constexpr std::chrono::nanoseconds years = std::chrono::hours(24 * 365);
  static constexpr unsigned rest_bits = 28;
  static constexpr std::uint64_t rest_mask = (std::uint64_t{1} << rest_bits) - 1;
  static constexpr unsigned term_bits = 40;
  static constexpr std::uint64_t term_mask = (std::uint64_t{1} << term_bits) - 1;
  static constexpr unsigned term_shift = 20;

  static unsigned next_attempt(breaker_word w) noexcept {
    return std::min(w.attempt() + 1, breaker_word::most_attempts);
  }
  static std::uint32_t tag_of(std::uint64_t word, unsigned bits) noexcept {
    return static_cast<std::uint32_t>(word >> bits) & breaker_word::generation_mask;
  }
  static bool younger(std::uint32_t a, std::uint32_t b) noexcept {
    std::uint32_t const ahead = (a - b) & breaker_word::generation_mask;
    return ahead != 0 && ahead < 1u << (breaker_word::generation_bits - 1);
  }

  /// Makes `w`, which was read, into `to`; else `w` is what stands there now. Release: what was begun before
  /// is seen by those who see the new word. Acquire: on failure it is read like `look`.
  bool exchange(breaker_word& w, breaker_word to) noexcept {
    std::uint64_t seen = w.bits;
    for (;;) {
      if (word_.compare_exchange_weak(seen, to.bits, std::memory_order_acq_rel, std::memory_order_acquire)) {
        return true;
      }
      if (seen == w.bits) continue;  // it failed for no reason
      w.bits = seen;
      return false;
    }
  }

  std::uint64_t since_origin(instant t) const noexcept {
    return static_cast<std::uint64_t>(std::max<std::int64_t>((t - origin_).count(), 0));
  }
  breaker_word open(breaker_word w, instant now, std::chrono::nanoseconds open_for) const noexcept {
    std::uint64_t const units = since_origin(now + open_for) >> rest_bits;
    return w.next(breaker_state::open, next_attempt(w),
                  static_cast<std::uint32_t>(std::min<std::uint64_t>(units, ~0u)));
  }
  /// Writes what the word had no room for; by the thread that opened, for no other knows it.
  void publish(breaker_word opened, instant now, std::chrono::nanoseconds open_for) noexcept {
    span_.store(open_for.count(), std::memory_order_relaxed);  // seen by who acquires the rest
    replace(rest_, rest_bits, opened.generation(), since_origin(now + open_for) & rest_mask);
  }

  /// A clock that was set back counts as standing still: the time that is left is never more than it was in
  /// the beginning. False if `w` has changed meanwhile.
  bool stand_still(breaker_word& w, instant until, instant now) noexcept {
    if (until == instant::max()) return true;
    if (tag_of(rest_.load(std::memory_order_acquire), rest_bits) != w.generation()) return true;
    std::chrono::nanoseconds const span(span_.load(std::memory_order_relaxed));
    if (until - now <= span || until - now - span <= set_back) return true;
    std::uint64_t const units = since_origin(now + span) >> rest_bits;
    breaker_word const again = w.with(static_cast<std::uint32_t>(std::min<std::uint64_t>(units, ~0u)));
    if (!exchange(w, again)) return false;
    w = again;
    replace(rest_, rest_bits, w.generation(), since_origin(now + span) & rest_mask);
    return true;
  }

  /// When the lease or ramp of generation `g` ends. Nobody has said yet: then it begins now.
  instant term(std::uint32_t g, instant now, std::chrono::nanoseconds length) noexcept {
    std::uint64_t seen = term_.load(std::memory_order_acquire);
    if (tag_of(seen, term_bits) != g) {
      raise(g, now + length);
      return origin_ +
             std::chrono::nanoseconds(static_cast<std::int64_t>(term_ticks(now + length) << term_shift));
    }
    instant const end =
        origin_ + std::chrono::nanoseconds(static_cast<std::int64_t>((seen & term_mask) << term_shift));
    if (end - now <= length || end - now - length <= set_back) return end;
    // The clock was set back: as in stand_still. Failing means that somebody else has seen to it.
    term_.compare_exchange_weak(seen, word_for(term_bits, g, term_ticks(now + length)),
                                std::memory_order_acq_rel, std::memory_order_relaxed);
    return now + length;
  }
  void raise(std::uint32_t g, instant end) noexcept {
    std::uint64_t const ticks = term_ticks(end);
    std::uint64_t seen = term_.load(std::memory_order_relaxed);
    do {
      if (tag_of(seen, term_bits) == g ? (seen & term_mask) >= ticks : younger(tag_of(seen, term_bits), g)) {
        return;
      }
    } while (!term_.compare_exchange_weak(seen, word_for(term_bits, g, ticks), std::memory_order_acq_rel,
                                          std::memory_order_relaxed));
  }
  std::uint64_t term_ticks(instant end) const noexcept {
    std::uint64_t const ns = since_origin(end);
    std::uint64_t const up = (ns >> term_shift) + ((ns & ((1u << term_shift) - 1)) != 0 ? 1 : 0);
    return std::min(up, term_mask);
  }

  static std::uint64_t word_for(unsigned bits, std::uint32_t g, std::uint64_t content) noexcept {
    return std::uint64_t{g & breaker_word::generation_mask} << bits | content;
  }
  static void replace(cell<std::uint64_t>& word, unsigned bits, std::uint32_t g,
                      std::uint64_t content) noexcept {
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    do {
      if (younger(tag_of(seen, bits), g)) return;
    } while (!word.compare_exchange_weak(seen, word_for(bits, g, content), std::memory_order_release,
                                         std::memory_order_relaxed));
  }

  cell<std::uint64_t> word_{breaker_word::of(breaker_state::closed, 1, 0, 0).bits};
  cell<std::uint64_t> rest_{0};
  cell<std::uint64_t> term_{0};
  cell<std::int64_t> span_{0};
  instant origin_;
};

}  // namespace tideover::inline v0::detail
