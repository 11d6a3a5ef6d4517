// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "pool/oracle.hpp"
#include "support/environment.hpp"

#include <tideover/detail/pool/machine.hpp>
#include <tideover/policy/backoff.hpp>
#include <tideover/policy/rng.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

/// Random walks of the machine, as its shell drives it, the way without the lock included, beside the oracle.
namespace tideover_test {

namespace machinery = tideover::detail;
using namespace std::chrono_literals;

/// The machine, spoken to in the oracle's words.
template <class Store, class Rules>
class walked_machine {
 public:
  walked_machine(pool_options const& o, std::chrono::nanoseconds backoff)
      : machine_({backoff}, tideover::xoshiro(1)) {
    owned([&](auto&) { machine_.configure(o); });
    validate_after_ = o.validate_after_idle.count() < 0 ? INT64_MAX : o.validate_after_idle.count();
  }
  ~walked_machine() {
    for (auto& [id, s] : leased_) delete s->box;
    owned([&](auto& fx) { machine_.close(fx); });
    for (auto* s : checking_) delete s->box;
    for (auto& [id, b] : dying_) delete b;
  }
  walked_machine(walked_machine const&) = delete;
  walked_machine& operator=(walked_machine const&) = delete;

  std::vector<pool_oracle::settled> ended;
  std::vector<pool_oracle::closing> closed;
  std::size_t fast_takes = 0, fast_puts = 0;

  void acquire(int ticket, std::size_t want, instant until, instant now) {
    if (want == 1) {
      if (machinery::pool_slot* s = machine_.store().try_take(machine_.slots(), machinery::no_slot)) {
        if (now < s->expires_at && !s->must_check && now.ns - s->proven.ns <= validate_after_) {
          ++fast_takes;
          ended.push_back({ticket, "granted", {id_of(*s)}});
          leased_[id_of(*s)] = s;
          return;
        }
        owned([&](auto& fx) { machine_.put_back(*s, now, fx); });
      }
    }
    auto t = std::make_unique<numbered>();
    t->number = ticket;
    t->want = static_cast<std::uint32_t>(want);
    t->deadline = until;
    numbered& it = *t;
    waiting_[ticket] = std::move(t);
    owned([&](auto& fx) {
      machine_.acquire(it, now, fx);
      bool is_woken = false;
      for (auto* w = fx.woken; w != nullptr; w = w->next) is_woken = is_woken || w == &it;
      if (!it.queued && !is_woken) tell(it);  // settled before anybody else was
    });
  }
  bool cancel(int ticket, bool late, instant now) {
    auto const t = waiting_.find(ticket);
    if (t == waiting_.end()) return false;
    bool could = false;
    owned([&](auto& fx) {
      could =
          machine_.cancel(*t->second, late ? tideover::errc::timed_out : tideover::errc::cancelled, now, fx);
    });
    if (could) waiting_.erase(ticket);
    return could;
  }
  void give_back(int id, bool broken, bool doubt, instant now) {
    machinery::pool_slot& s = *leased_.at(id);
    leased_.erase(id);
    if (!broken && !doubt) {
      s.idle_since = s.proven = now;
      if (machine_.store().try_put(machine_.slots(), s, [&] {
            return now < s.expires_at && s.generation == machine_.generation();
          })) {
        ++fast_puts;
        return;
      }
    }
    owned([&](auto& fx) { machine_.give_back(s, broken, doubt, pool_close_reason::discarded, now, fx); });
  }
  /// What it opens is called `number`.
  pool_oracle::job claim(int number) {
    machinery::pool_slot* s = nullptr;
    owned([&](auto&) { s = machine_.claim(true, true); });
    if (s->state == machinery::pool_slot_state::opening) {
      opening_[number] = s;
      return {true, number};
    }
    checking_.push_back(s);
    return {false, id_of(*s)};
  }
  std::size_t jobs() const { return machine_.pending(); }
  void opened(int number, instant now) {
    machinery::pool_slot& s = take_opening(number);
    auto* const box = new machinery::pool_box;
    owned([&](auto& fx) { machine_.opened(s, *box, now, fx); });
  }
  void failed(int number, bool tells_one, instant now) {
    machinery::pool_slot& s = take_opening(number);
    owned([&](auto& fx) { machine_.open_failed(s, tells_one, now, fx); });
  }
  void checked(int id, bool good, instant now) {
    auto const i = std::find_if(checking_.begin(), checking_.end(), [&](auto* x) { return id_of(*x) == id; });
    machinery::pool_slot& s = **i;
    checking_.erase(i);
    owned([&](auto& fx) { machine_.checked(s, good, now, fx); });
  }
  void destroyed(int id, instant now) {
    machinery::pool_box* const b = dying_.at(id);
    dying_.erase(id);
    std::uint32_t const slot = b->slot;
    delete b;
    owned([&](auto& fx) { machine_.destroyed(slot, now, fx); });
  }
  void tick(instant now) {
    owned([&](auto& fx) { machine_.tick(now, fx); });
  }
  void reconfigure(pool_options const& o, instant now) {
    owned([&](auto& fx) {
      machine_.configure(o);
      machine_.adjust(now, fx);
    });
    validate_after_ = o.validate_after_idle.count() < 0 ? INT64_MAX : o.validate_after_idle.count();
  }
  void invalidate(instant now) {
    owned([&](auto& fx) { machine_.invalidate(now, fx); });
  }
  void want_idle(std::size_t n, instant now) {
    owned([&](auto& fx) { machine_.want_idle(n, now, fx); });
  }
  void close_all() {
    owned([&](auto& fx) { machine_.close(fx); });
  }
  pool_stats stats() {
    pool_stats s;
    owned([&](auto&) { s = machine_.stats(); });
    return s;
  }
  std::vector<int> idle_order() {
    std::vector<int> ids;
    owned([&](auto&) {
      for (auto i = machine_.store().first(); i != machinery::no_slot;
           i = machine_.store().after(machine_.slots()[i])) {
        ids.push_back(id_of(machine_.slots()[i]));
      }
    });
    return ids;
  }

 private:
  struct numbered : machinery::pool_ticket {
    int number = 0;
  };

  static int id_of(machinery::pool_slot const& s) { return static_cast<int>(s.box->id); }
  template <class Event>
  void owned(Event event) {
    machinery::pool_effects fx;
    machine_.shut();
    event(fx);
    machine_.open_if_quiet();
    for (auto* t = fx.woken; t != nullptr;) {
      auto& ticket = static_cast<numbered&>(*t);
      t = t->next;
      tell(ticket);
    }
    for (auto* b = fx.doomed; b != nullptr;) {
      machinery::pool_box& box = *b;
      b = b->next;
      closed.emplace_back(static_cast<int>(box.id), box.why);
      if (box.slot != machinery::no_slot) {
        dying_[static_cast<int>(box.id)] = &box;
      } else {
        delete &box;
      }
    }
  }
  machinery::pool_slot& take_opening(int number) {
    machinery::pool_slot& s = *opening_.at(number);
    opening_.erase(number);
    return s;
  }
  void tell(numbered& t) {
    pool_oracle::settled s{t.number, "", {}};
    if (t.granted) {
      s.how = "granted";
      for (std::uint32_t i = t.slots; i != machinery::no_slot; i = machine_.slots()[i].job_next) {
        machinery::pool_slot& slot = machine_.slots()[i];
        s.objects.push_back(id_of(slot));
        leased_[id_of(slot)] = &slot;
      }
    } else {
      switch (t.refused) {
        case tideover::errc::timed_out:
          s.how = "timed_out";
          break;
        case tideover::errc::closed:
          s.how = "closed";
          break;
        case tideover::errc::queue_full:
          s.how = "queue_full";
          break;
        case tideover::errc::factory_error:
          s.how = "factory_error";
          break;
        case tideover::errc::invalid_argument:
          s.how = "invalid";
          break;
        default:
          s.how = "?";
      }
    }
    ended.push_back(std::move(s));
    waiting_.erase(t.number);
  }

  machinery::pool_machine<Store, Rules, tideover::constant_backoff, tideover::xoshiro> machine_;
  std::int64_t validate_after_ = 0;
  std::map<int, machinery::pool_slot*> leased_, opening_;
  std::map<int, machinery::pool_box*> dying_;
  std::vector<machinery::pool_slot*> checking_;
  std::map<int, std::unique_ptr<numbered>> waiting_;
};

/// What a walk has seen: each kind of event must have happened.
struct walk_report {
  std::string problem;
  std::map<std::string, std::size_t> seen;
};

inline std::string text_of(pool_stats const& s) {
  std::string all;
  for (auto n : {std::uint64_t(s.idle), std::uint64_t(s.leased), std::uint64_t(s.opening),
                 std::uint64_t(s.checking), std::uint64_t(s.closing), std::uint64_t(s.waiting), s.started,
                 s.granted, s.timed_out, s.cancelled, s.closed, s.rejected, s.errored, s.created, s.destroyed,
                 s.open_failures, s.check_failures, s.generation}) {
    all += std::to_string(n);
    all += ' ';
  }
  return all;
}

/// `Subject` beside an oracle, step by step, until they differ or `steps` are done.
template <class Subject>
walk_report walk(Subject& subject, pool_oracle& judge, pool_options o, bool exact_order, std::uint64_t seed,
                 std::size_t steps) {
  walk_report report;
  std::mt19937_64 random(seed);
  auto const below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  instant now = instant::at(1h);
  int tickets = 0;
  int claims = 0;
  std::map<int, int> called;  // the oracle's name for what the subject opens
  std::map<int, instant> line;
  std::vector<int> leased, checking, openings, dying;
  bool closed = false;
  for (std::size_t i = 0; i < steps && report.problem.empty(); ++i) {
    std::string what;
    subject.ended.clear(), subject.closed.clear(), judge.ended.clear(), judge.closed.clear();
    auto const both = [&](char const* name, auto f) {
      what = name;
      f(subject);
      f(judge);
    };
    auto const pick = [&](std::vector<int>& from) {
      std::size_t const n = below(from.size());
      int const id = from[n];
      from.erase(from.begin() + static_cast<std::ptrdiff_t>(n));
      return id;
    };
    auto const give_one_back = [&] {
      int const id = pick(leased);
      std::size_t const how = below(20);
      both(how == 0 ? "discard" : "return", [&](auto& p) { p.give_back(id, how == 0, how == 1, now); });
    };
    std::size_t const event = below(100);
    if (event < 30) {
      std::size_t const want = below(12) == 0 ? 2 + below(o.max_size) : 1;
      std::size_t const patience = below(4);
      instant const until =
          patience == 0 ? now : now + std::chrono::milliseconds(1 + below(patience == 1 ? 20 : 2000));
      int const ticket = ++tickets;
      line[ticket] = until;
      both(patience == 0 ? "try_acquire"
           : want > 1    ? "acquire_n"
                         : "acquire",
           [&](auto& p) { p.acquire(ticket, want, until, now); });
    } else if (event < 52) {
      if (leased.empty()) continue;
      give_one_back();
    } else if (event < 55) {
      if (line.empty()) continue;
      auto t = line.begin();
      std::advance(t, below(line.size()));
      int const ticket = t->first;
      bool const late = t->second <= now;
      bool a = false, b = false;
      what = late ? "late" : "cancel";
      a = subject.cancel(ticket, late, now);
      b = judge.cancel(ticket, late, now);
      if (a != b) report.problem = "cancel";
      if (a) line.erase(ticket);
    } else if (event < 75) {
      if (subject.jobs() != judge.jobs()) {
        report.problem = "jobs";
        break;
      }
      if (judge.jobs() == 0) continue;
      auto const a = subject.claim(++claims);
      int const number = judge.claim(a);
      if (number < 0) {
        report.problem = "a job that nobody needs";
        break;
      }
      (a.opens ? openings : checking).push_back(a.number);
      if (a.opens) called[a.number] = number;
      what = "claim";
    } else if (event < 88) {
      bool const open = below(2) == 0;
      if (open && !openings.empty()) {
        int const number = pick(openings);
        std::size_t const how = below(8);
        if (how < 6) {
          what = "opened";
          subject.opened(number, now);
          judge.opened(called[number], now);
        } else {
          what = "failed";
          subject.failed(number, how == 7, now);
          judge.failed(called[number], how == 7, now);
        }
      } else if (!open && !checking.empty()) {
        int const id = pick(checking);
        bool const good = below(4) != 0;
        both(good ? "checked" : "check_failed", [&](auto& p) { p.checked(id, good, now); });
      } else if (!dying.empty()) {
        int const id = pick(dying);
        both("destroyed", [&](auto& p) { p.destroyed(id, now); });
      }
    } else if (event < 94) {
      now = now + std::chrono::milliseconds(below(5) == 0 ? below(3000) : below(30));
      both("tick", [&](auto& p) { p.tick(now); });
    } else if (event < 96) {
      now = now + std::chrono::milliseconds(below(100));
      what = "time";
    } else if (event == 96) {
      o.max_size = 1 + below(6);
      o.min_size = below(o.max_size + 1);
      o.max_idle = below(3) == 0 ? o.min_size + below(3) : 100;
      o.max_connecting = 1 + below(3);
      both("reconfigure", [&](auto& p) { p.reconfigure(o, now); });
    } else if (event == 97) {
      if (below(4) == 0) both("invalidate", [&](auto& p) { p.invalidate(now); });
    } else if (event == 98) {
      std::size_t const n = below(3) == 0 ? below(o.max_size + 1) : 0;
      both("warm", [&](auto& p) { p.want_idle(n, now); });
    } else if (below(8) == 0 && i > steps / 2) {
      both("close", [&](auto& p) { p.close_all(); });
      closed = true;
    }
    if (!report.problem.empty() || what.empty()) continue;
    ++report.seen[what];
    // Objects that end in one step may do so in any order; tickets may not.
    std::sort(subject.closed.begin(), subject.closed.end());
    std::sort(judge.closed.begin(), judge.closed.end());
    auto const a = text_of(subject.stats()), b = text_of(judge.stats());
    if (subject.ended != judge.ended) report.problem = "other tickets ended";
    if (subject.closed != judge.closed) report.problem = "other objects closed";
    if (a != b) report.problem = "stats: " + a + "instead of " + b;
    if (exact_order && subject.idle_order() != judge.idle_order()) {
      report.problem = "idle order:";
      for (int id : subject.idle_order()) (report.problem += ' ') += std::to_string(id);
      report.problem += " instead of";
      for (int id : judge.idle_order()) (report.problem += ' ') += std::to_string(id);
    }
    if (!report.problem.empty()) {
      report.problem = std::string("step ") + std::to_string(i) + " (" + what + "): " + report.problem;
      break;
    }
    for (auto const& t : subject.ended) {
      ++report.seen[t.how];
      line.erase(t.ticket);
      for (int id : t.objects) leased.push_back(id);
    }
    for (auto const& [id, why] : subject.closed) {
      ++report.seen[tideover::to_string(why)];
      if (o.count_closing) dying.push_back(id);
      checking.erase(std::remove(checking.begin(), checking.end(), id), checking.end());
    }
    if (closed && leased.empty() && openings.empty() && checking.empty() && dying.empty()) break;
  }
  for (int id : leased) subject.give_back(id, true, false, now);
  return report;
}

inline std::vector<pool_options> walk_options() {
  pool_options const base{.min_size = 1,
                          .max_idle = 100,
                          .max_size = 4,
                          .max_idle_time = 400ms,
                          .max_lifetime = 3s,
                          .lifetime_jitter = 0,
                          .health_check_interval = 150ms,
                          .validate_after_idle = 60ms,
                          .max_connecting = 2,
                          .max_waiters = 5};
  pool_options closing = base, plain = base;
  closing.count_closing = true;
  closing.wait_through_errors = false;
  plain.min_size = 0;
  plain.max_lifetime = 200ms;
  plain.health_check_interval = 0ms;
  plain.validate_after_idle = 500ms;
  return {base, closing, plain};
}

}  // namespace tideover_test
