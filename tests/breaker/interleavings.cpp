// SPDX-License-Identifier: BSL-1.0
// Every interleaving of three threads with three operations each over the one-word machine, atomic access by
// atomic access.
//
// How: the machine runs on cells whose memory the test owns. A thread's next step is taken by running its
// program anew from the start: accesses that it has made before get their recorded answers, the next one is
// made for real and recorded, and whatever follows runs on a copy that is thrown away (which also shows that
// a thread alone comes to its end from everywhere: the machine is obstruction-free). Between operations a
// thread knows nothing but its permit. States that have the same memory, and threads of the same standing
// and with the same records of what they are at, are the same, and are gone into once; so all interleavings
// are covered without being walked one by one.
//
// What it does not cover: orders that only weak memory allows. They cannot change a decision. Each transition
// is an exchange of the one word, and all threads agree on the order in which one object is modified, on
// every machine; a thread that reads an old value of the word finds that out in its exchange, or linearises
// where the value was current (a report of a permit that became stale a moment later). `rest` and `term`
// carry the generation that they speak of, so an old value of them is recognised, and then only lengthens a
// time; statistics are in words that carry it, too. What the orders add: the exchange releases what was
// begun before it (term, statistics), and loads of the word acquire it.
#include "breaker/common.hpp"
#include "support/environment.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <unordered_set>

namespace {

using tideover::detail::breaker_machine;
using tideover::detail::breaker_rules;
using tideover::detail::breaker_word;

constexpr std::size_t threads = 3;

/// The memory of the cells, in the order in which they were made.
struct world {
  std::vector<std::uint64_t> memory;
  std::vector<std::uint64_t>* log = nullptr;  // of the thread that runs: the answers so far
  std::size_t replayed = 0;
  bool took_its_step = false;
  std::vector<std::uint64_t> aside;  // the copy on which it runs to its end
  std::size_t alone = 0;             // accesses made on the copy
  std::size_t made = 0;
};
world* here = nullptr;

template <class T>
class stepped_cell {
 public:
  stepped_cell(T value = T{}) : at_(here->made++) {
    if (here->memory.size() <= at_) here->memory.push_back(static_cast<std::uint64_t>(value));
  }
  stepped_cell(stepped_cell const&) = delete;

  T load(std::memory_order) const {
    return static_cast<T>(step([&](std::uint64_t& m) { return m; }));
  }
  void store(T value, std::memory_order) {
    step([&](std::uint64_t& m) { return m = static_cast<std::uint64_t>(value), std::uint64_t{0}; });
  }
  T fetch_add(T n, std::memory_order) {
    return static_cast<T>(
        step([&](std::uint64_t& m) { return std::exchange(m, m + static_cast<std::uint64_t>(n)); }));
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order, std::memory_order) {
    auto const seen = static_cast<T>(step([&](std::uint64_t& m) {
      auto const was = m;
      if (was == static_cast<std::uint64_t>(expected)) m = static_cast<std::uint64_t>(desired);
      return was;
    }));
    return seen == expected || (expected = seen, false);
  }

 private:
  template <class F>
  std::uint64_t step(F f) const {
    if (here->replayed < here->log->size()) return (*here->log)[here->replayed++];
    if (!here->took_its_step) {
      here->took_its_step = true;
      auto const answer = f(here->memory[at_]);
      here->log->push_back(answer);
      ++here->replayed;
      here->aside = here->memory;
      return answer;
    }
    if (++here->alone > 200) throw std::logic_error("a thread alone does not come to its end");
    return f(here->aside[at_]);
  }
  std::size_t at_;
};

struct stepped {
  using policy_axis = tideover::axis::locking;
  struct mutex_type {
    void lock() {}
    void unlock() {}
  };
  template <class T>
  using cell = stepped_cell<T>;
  static constexpr std::size_t max_shards = 1;
  static constexpr bool is_shared = true;
};
using machine = breaker_machine<stepped>;

enum class op { acquire, success, failure, ignore, reset, force, renew };

/// What a thread knows between two operations.
struct standing {
  std::optional<std::uint32_t> permit;
  char const* said = "";
};

struct plan {
  breaker_rules rules;
  std::chrono::nanoseconds elapsed;  // since it was opened or the probe went out
  std::vector<op> before;            // by nobody in particular, one after the other
  std::array<std::array<op, 3>, threads> programs;
};

constexpr instant start = instant::at(1h);

struct around {
  std::chrono::nanoseconds open_for(unsigned) const noexcept { return 10s; }
  void begin(std::uint32_t) const noexcept {}
  bool chance(double) const noexcept { return true; }
};

void run(machine& m, plan const& p, op what, instant now, standing& s) {
  around a;
  auto const at = [&] { return now; };
  s.said = "";
  switch (what) {
    case op::acquire: {
      auto const got = m.acquire(now, p.rules, a);
      if (got.admitted) s.permit = got.head;
      s.said = got.admitted ? "in" : "no";
      break;
    }
    case op::success:
    case op::failure:
    case op::ignore: {
      if (!s.permit) break;
      auto const head = *std::exchange(s.permit, std::nullopt);
      auto const outcome = what == op::success   ? call_outcome::success
                           : what == op::failure ? call_outcome::failure
                                                 : call_outcome::ignored;
      tideover::detail::breaker_report r;
      if (breaker_word::state_of(head) == breaker_state::half_open) {
        r = m.report_probe(head, outcome, p.rules, at, a);
      } else if (outcome != call_outcome::ignored) {
        r = m.report_in_row(head, outcome == call_outcome::failure, p.rules, at, a);
      }
      s.said = r.stale ? "stale" : "told";
      break;
    }
    case op::reset:
      m.go(breaker_state::closed, breaker_cause::reset, a, [](breaker_state) { return false; });
      break;
    case op::force:
      m.go(breaker_state::forced_open, breaker_cause::mode_set, a,
           [](breaker_state st) { return st == breaker_state::forced_open; });
      break;
    case op::renew:
      m.renew(a);
      break;
  }
}

class explorer {
 public:
  explicit explorer(plan const& p) : plan_(p) {
    node n;
    {
      world w;
      here = &w;
      machine m(start);
      n.memory = w.memory;
    }
    // The beginning: one thread, to its end.
    std::array<op, 3> first{};
    std::copy(p.before.begin(), p.before.end(), first.begin());
    while (n.each[0].operation < p.before.size()) step(n, 0, first, start);
    n.each[0] = {};
    explore(n);
  }

  std::size_t states() const { return seen_.size(); }
  std::size_t ends() const { return ends_; }
  std::set<std::string> const& seen() const { return met_; }

 private:
  struct thread_node {
    std::size_t operation = 0;
    standing at;
    std::vector<std::uint64_t> log;  // of this operation
  };
  struct node {
    std::vector<std::uint64_t> memory;
    std::array<thread_node, threads> each;
  };

  static std::string key(node const& n) {
    std::string k;
    auto const add = [&](std::uint64_t x) { k.append(reinterpret_cast<char const*>(&x), sizeof x); };
    for (auto const m : n.memory) add(m);
    for (auto const& t : n.each) {
      add(t.operation << 40 | t.log.size() << 33 | std::uint64_t{t.at.permit.has_value()} << 32 |
          t.at.permit.value_or(0));
      for (auto const x : t.log) add(x);
    }
    return k;
  }

  /// One atomic access of thread t, and what it brings to an end.
  void step(node& n, std::size_t t, std::array<op, 3> const& program, instant now) {
    thread_node& mine = n.each[t];
    world w;
    here = &w;
    w.memory = n.memory;
    w.log = &mine.log;
    machine m(start);  // its cells find their memory made
    standing after = mine.at;
    run(m, plan_, program[mine.operation], now, after);
    check_step({n.memory[0]}, {w.memory[0]});
    n.memory = w.memory;
    if (w.alone > 0) return;  // it is in the middle of this one
    mine.at = after;
    mine.log.clear();
    ++mine.operation;
    met_.insert(after.said);
  }

  static void check_step(breaker_word before, breaker_word after) {
    if (before == after) return;
    // I3: one at a time and never back; the state never changes without it.
    std::uint32_t const by = (after.generation() - before.generation()) & breaker_word::generation_mask;
    if (by > 1) throw std::logic_error("a generation was skipped or taken back");
    if (by == 0 && before.state() != after.state())
      throw std::logic_error("a state changed within a generation");
    if (by == 1 && after.state() == breaker_state::half_open && before.state() == breaker_state::open &&
        after.out() != 1) {
      throw std::logic_error("half open begins with one probe");
    }
  }

  void explore(node const& n) {
    if (!seen_.insert(key(n)).second) return;
    bool end = true;
    for (std::size_t t = 0; t < threads; ++t) {
      if (n.each[t].operation == plan_.programs[t].size()) continue;
      end = false;
      node next = n;
      step(next, t, plan_.programs[t], start + plan_.elapsed);
      explore(next);
    }
    check(n);
    if (!end) return;
    ++ends_;
    met_.insert(std::string("end ") + to_string(breaker_word{n.memory[0]}.state()));
  }

  void check(node const& n) const {
    breaker_word const w{n.memory[0]};
    if (w.state() != breaker_state::half_open) return;
    std::uint32_t live = 0;
    bool between = true;
    for (auto const& t : n.each) {
      if (!t.log.empty()) between = false;
      if (t.at.permit && breaker_word::generation_of(*t.at.permit) == w.generation()) ++live;
    }
    // I1. In the middle of an operation a thread holds what its standing does not say yet.
    if (between && w.out() != live) throw std::logic_error("probes out are not the live permits");
    if (w.out() > plan_.rules.probes) throw std::logic_error("more probes than allowed");
    if (w.out() + w.good() > plan_.rules.successes) throw std::logic_error("more probes than could matter");
  }

  plan plan_;
  std::unordered_set<std::string> seen_;
  std::size_t ends_ = 0;
  std::set<std::string> met_;
};

breaker_rules rules(std::uint32_t threshold, std::uint32_t probes, std::uint32_t successes,
                    std::uint32_t failures) {
  return {threshold, probes, successes, failures, 5s, 0ns, 0};
}

using program = std::array<op, 3>;
constexpr program good_call{op::acquire, op::success, op::acquire};
constexpr program bad_call{op::acquire, op::failure, op::acquire};
constexpr program dropped{op::acquire, op::ignore, op::acquire};

struct tally {
  std::size_t plans = 0, states = 0, ends = 0;
  std::set<std::string> met;
};

/// All triples of programs, in no order, from one beginning.
tally explore_all(breaker_rules r, std::chrono::nanoseconds elapsed, std::vector<op> const& before,
                  std::vector<program> const& programs) {
  tally all;
  for (std::size_t a = 0; a < programs.size(); ++a) {
    for (std::size_t b = a; b < programs.size(); ++b) {
      for (std::size_t c = b; c < programs.size(); ++c) {
        explorer const e({r, elapsed, before, {programs[a], programs[b], programs[c]}});
        ++all.plans;
        all.states += e.states();
        all.ends += e.ends();
        all.met.insert(e.seen().begin(), e.seen().end());
      }
    }
  }
  return all;
}

/// Under tools that make everything much slower, fewer programs.
bool slow_tools() { return number_from("TIDEOVER_MODEL_STEPS", 120'000) < 50'000; }

std::vector<op> const to_open{op::acquire, op::failure};

}  // namespace

TEST_CASE(
    "I1: I3: all interleavings of three threads with three operations: closed, on the edge of tripping") {
  auto const t = explore_all(rules(2, 1, 1, 0), 0s, {op::acquire, op::failure},
                             {good_call, bad_call, dropped, {op::reset, op::acquire, op::failure}});
  INFO(t.plans << " plans, " << t.states << " states, " << t.ends << " ends");
  CHECK(t.states > 1000);
  CHECK(t.met.count("end open") == 1);
  CHECK(t.met.count("end closed") == 1);
  CHECK(t.met.count("stale") == 1);
}

TEST_CASE("I3: I1: all interleavings: open, and its time has come") {
  program const forced{op::acquire, op::force, op::success};
  auto const programs = slow_tools() ? std::vector<program>{bad_call, forced}
                                     : std::vector<program>{good_call, bad_call, dropped, forced};
  auto const t = explore_all(rules(1, 1, 1, 0), 10s, to_open, programs);
  INFO(t.plans << " plans, " << t.states << " states, " << t.ends << " ends");
  CHECK(t.states > 1000);
  if (!slow_tools()) {
    CHECK(t.met.count("end half_open") == 1);
    CHECK(t.met.count("end closed") == 1);
  }
  CHECK(t.met.count("end open") == 1);
  CHECK(t.met.count("end forced_open") == 1);
  CHECK(t.met.count("stale") == 1);
  // Whoever loses looks again: with three good calls somebody gets through, and nothing is stale but what
  // was let through before it closed.
  explorer const three({rules(1, 1, 1, 0), 10s, to_open, {good_call, good_call, good_call}});
  CHECK(three.seen().count("told") == 1);
  CHECK(three.seen().count("stale") == 0);
  CHECK(three.seen().count("end closed") == 1);
}

TEST_CASE("I1: I3: all interleavings: open, and reconfigured meanwhile") {
  if (slow_tools()) return;  // a big one
  explorer const e({rules(1, 1, 1, 0),
                    10s,
                    to_open,
                    {program{op::renew, op::acquire, op::failure},
                     program{op::acquire, op::force, op::success}, good_call}});
  CHECK(e.states() > 10'000);
  CHECK(e.seen().count("stale") == 1);
  CHECK(e.seen().count("end forced_open") == 1);
}

TEST_CASE("I1: I8: all interleavings: half open with several probes") {
  auto const r = rules(1, 2, 2, 1);
  std::size_t states = 0;
  std::set<std::string> met;
  for (auto const& programs :
       {std::array{good_call, good_call, dropped}, std::array{bad_call, dropped, dropped},
        std::array{good_call, bad_call, dropped}}) {
    explorer const e({r, 10s, to_open, programs});
    states += e.states();
    met.insert(e.seen().begin(), e.seen().end());
  }
  INFO(states << " states");
  CHECK(states > 10'000);
  CHECK(met.count("end half_open") == 1);
  CHECK(met.count("end closed") == 1);
}

TEST_CASE("the explorer would see a machine that does not look at the generation") {
  // The same three threads on a counter that is read and written in two steps: an update is lost.
  struct plain_counter {
    stepped_cell<std::uint64_t> n{0};
    void add() { n.store(n.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
  };
  std::set<std::uint64_t> sums;
  std::set<std::vector<std::uint64_t>> seen;
  struct node {
    std::vector<std::uint64_t> memory{0};
    std::array<std::vector<std::uint64_t>, 2> logs;
  };
  std::function<void(node const&)> const go = [&](node const& at) {
    bool end = true;
    for (std::size_t t = 0; t < 2; ++t) {
      node next = at;
      world w;
      here = &w;
      w.memory = at.memory;
      w.log = &next.logs[t];
      plain_counter c;
      c.add();
      if (!w.took_its_step) continue;
      end = false;
      next.memory = w.memory;
      go(next);
    }
    if (end) sums.insert(at.memory[0]);
  };
  go({});
  CHECK(sums == std::set<std::uint64_t>{1, 2});
}
