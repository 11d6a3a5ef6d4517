// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "batch/common.hpp"
#include "batch/oracle.hpp"
#include "support/environment.hpp"

#include <array>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <type_traits>

/// Random walks of a batch processor, driven by hand in a time that stands still, beside the oracle. The sink
/// itself goes on with the walk now and then: it adds, ticks and so has several batches in flight.
namespace tideover_test {

struct walk_item {
  int id = 0;
  int key = 0;
  std::size_t bytes = 1;
};
struct key_of_item {
  int operator()(walk_item const& i) const { return i.key; }
};
struct bytes_of_item {
  std::size_t operator()(walk_item const& i) const { return i.bytes; }
};
using walk_keys = tideover::keyed<key_of_item>;
using walk_equals = tideover::dedupe_by<key_of_item>;
using walk_bytes = tideover::measure_by<bytes_of_item>;

struct walk_tally {
  std::array<std::size_t, 8> ended{};
  std::size_t rejected = 0, nested = 0, in_flight_most = 0, splits = 0, retries = 0, duplicates = 0;
  std::array<std::uint64_t, tideover::batch_triggers> triggers{};
};

template <class... Policies>
class batch_walk {
 public:
  using subject = batch_processor<walk_item, manual_clock, tideover::hand_driven, tideover::constant_backoff,
                                  Policies...>;
  using end = batch_oracle::state;
  static constexpr auto delay = 10ms;
  static constexpr bool relaxed = (std::is_same_v<Policies, tideover::relaxed_bounds> || ...);

  batch_walk(batch_options const& o, oracle_rules rules, bool measured, std::uint64_t seed)
      : o_(o),
        measured_(measured),
        random_(seed),
        plain_(relaxed && random_() % 2 == 0),
        judge_(o, rules, delay),
        subject_([this](std::span<walk_item> items) { return sink(items); }, o, clock_,
                 tideover::constant_backoff{delay}) {}

  /// What went wrong, or nothing.
  std::string run(std::size_t steps) {
    for (std::size_t i = 0; i != steps && problem_.empty(); ++i) {
      step(0);
      if (problem_.empty()) compare();
      if (!problem_.empty()) problem_ = std::string("step ") + std::to_string(i) + ", " + problem_;
    }
    if (problem_.empty()) {
      doing_ = "shutdown";
      judge_.close(clock_.now(), clock_.now());
      subject_.shutdown(0ns);
      judge_.tick(clock_.now());
      compare();
      if (problem_.empty() && subject_.stats().pending != 0) problem_ = "something is pending after the end";
    }
    if (!problem_.empty()) judge_silent_ = true;
    return problem_;
  }
  walk_tally tally;

 private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  void wrong(std::string text) {
    if (problem_.empty()) problem_ = doing_ + ": " + std::move(text);
  }

  void step(int depth) {
    std::uint64_t const dice = below(1000);
    if (dice < 620) return add();
    if (dice < 680) return cancel();
    if (dice < 780) {
      doing_ = "advance";
      auto const next = judge_.next_deadline();
      if (below(2) == 0 && next != instant::max() && next > clock_.now()) {
        clock_.set(next + std::chrono::nanoseconds(int(below(3)) - 1));
      } else {
        clock_.advance(std::chrono::microseconds(below(8000)));
      }
      return;
    }
    if (dice < 960) {
      doing_ = "tick";
      subject_.tick();
      if (problem_.empty() && judge_.take(clock_.now())) wrong("it left something that could go");
      return;
    }
    if (dice < 975 || depth == 0) return flush(depth);
    if (dice < 985) {
      doing_ = "shutdown within the sink";
      std::chrono::milliseconds const patience(below(3) * 5);
      judge_.close(clock_.now() + patience, clock_.now());
      subject_.shutdown(patience);
    }
  }
  void add() {
    doing_ = "add";
    int const id = ++last_id_;
    walk_item item{id, int(below(5)), measured_ ? 1 + below(below(10) == 0 ? 40 : 12) : sizeof(walk_item)};
    batch_oracle::added a{item.key, item.bytes, instant::max()};
    bool const in_time = plain_ || below(4) != 0;
    if (!in_time) a.deadline = clock_.now() + std::chrono::microseconds(below(20'000));
    auto const expected = judge_.add(id, a, clock_.now());
    std::error_code got;
    if (!plain_ && below(2) == 0) {
      auto const heard = [this, id](outcome const& o) { hear(id, o); };
      auto const r = in_time ? subject_.add(item, heard) : subject_.add(item, heard, {a.deadline, {}});
      got = r.code();
      if (r) called_back_.insert(id);
    } else {
      auto r = in_time ? subject_.add(item) : subject_.add(item, {a.deadline, {}});
      got = r.code();
      if (r) tickets_.emplace(id, std::move(*r));
    }
    std::error_code should{};
    switch (expected) {
      case batch_oracle::answer::accepted:
        break;
      case batch_oracle::answer::full:
        should = errc::queue_full;
        break;
      case batch_oracle::answer::closed:
        should = errc::closed;
        break;
      case batch_oracle::answer::too_large:
        should = errc::too_large;
        break;
      case batch_oracle::answer::expired:
        should = errc::expired;
        break;
    }
    if (got != should) wrong("said '" + got.message() + "', not '" + should.message() + "'");
    if (got) ++tally.rejected;
  }
  void cancel() {
    doing_ = "cancel";
    if (tickets_.empty()) return;
    auto at = tickets_.lower_bound(int(below(std::uint64_t(last_id_) + 1)));
    if (at == tickets_.end()) at = std::prev(at);
    bool const expected = judge_.cancel(at->first);
    if (subject_.cancel(at->second) != expected) wrong(expected ? "was refused" : "was done");
  }
  void flush(int depth) {
    doing_ = "flush";
    auto const before = judge_.pending_ids();
    judge_.flush(clock_.now());
    std::size_t const calls = calls_;
    bool const over = subject_.flush(0ns);
    if (depth == 0 && calls == calls_ && problem_.empty() && judge_.take(clock_.now()))
      wrong("it sent nothing");
    if (depth == 0 && problem_.empty() && over != judge_.flush_is_over(before)) {
      wrong(over ? "says it is over" : "says it is not over");
    }
  }

  std::vector<outcome> sink(std::span<walk_item> items) {
    if (judge_silent_ || !problem_.empty()) return std::vector<outcome>(items.size());
    ++calls_;
    std::optional<std::vector<int>> expected;
    if (again_) {
      expected = std::exchange(again_, std::nullopt);
    } else {
      expected = judge_.take(clock_.now());
    }
    std::vector<int> got;
    for (auto const& i : items) got.push_back(i.id);
    if (!expected || got != *expected) {
      auto const list = [](std::vector<int> const& ids) {
        std::string text;
        for (int i : ids) (text += ' ') += std::to_string(i);
        return text;
      };
      wrong("the sink was given" + list(got) + ", not" +
            (expected ? list(*expected) : std::string(" anything")));
      return std::vector<outcome>(items.size());
    }
    for (int id : got) {
      if (settled_.count(id) != 0) wrong("an item was sent after it was settled");
    }
    tally.in_flight_most = std::max(tally.in_flight_most, judge_.in_flight());
    if (nesting_ < 3 && below(3) == 0) {
      ++nesting_;
      ++tally.nested;
      auto const was = doing_;
      for (std::uint64_t n = below(6); n != 0 && problem_.empty(); --n) step(nesting_);
      doing_ = was;
      --nesting_;
    }
    using reply = batch_oracle::reply;
    std::uint64_t const dice = below(100);
    std::vector<bool> good(items.size(), true);
    reply how = reply::delivered;
    if (dice < 15)
      how = reply::thrown;
    else if (dice < 25)
      how = reply::too_large;
    else if (dice < 60)
      how = reply::each;
    else if (dice < 63)
      how = reply::wrong_size;
    if (how == reply::each) {
      for (std::size_t i = 0; i != good.size(); ++i) good[i] = below(3) != 0;
    }
    if (problem_.empty()) again_ = judge_.settle(how, good, clock_.now());
    if (how == reply::thrown) throw sink_down();
    if (how == reply::too_large) throw std::system_error(std::make_error_code(std::errc::message_size));
    std::vector<outcome> answers(items.size() + (how == reply::wrong_size ? 1 : 0));
    if (how == reply::each) {
      for (std::size_t i = 0; i != good.size(); ++i) {
        if (!good[i]) answers[i] = outcome(errc::timed_out);
      }
    }
    return answers;
  }

  static end end_of(outcome const& o) {
    if (o.delivered()) return end::delivered;
    if (o.code() == errc::outcome_mismatch) return end::mismatched;
    if (o.code() == errc::expired) return end::expired;
    if (o.code() == errc::cancelled) return end::cancelled;
    if (o.code() == errc::dropped) return end::dropped;
    if (o.code() == errc::shut_down) return end::shut_down;
    return end::failed;
  }
  void hear(int id, outcome const& o) {
    if (called_back_.erase(id) == 0) wrong("a callback was called twice, or for nothing");
    settled_[id] = end_of(o);
  }

  void compare() {
    batch_stats const s = subject_.stats();
    auto const same = [&](char const* name, std::uint64_t is, std::uint64_t should) {
      if (is != should)
        wrong(std::string(name) + " is " + std::to_string(is) + ", not " + std::to_string(should));
    };
    if (!adds_up(s)) wrong("the counts do not add up");
    same("accepted", s.accepted, judge_.accepted());
    same("pending", s.pending, judge_.count(end::pending));
    same("delivered", s.delivered, judge_.count(end::delivered));
    same("failed_by_sink", s.failed_by_sink, judge_.count(end::failed));
    same("mismatched", s.mismatched, judge_.count(end::mismatched));
    same("expired", s.expired, judge_.count(end::expired));
    same("cancelled", s.cancelled, judge_.count(end::cancelled));
    same("dropped", s.dropped, judge_.count(end::dropped));
    same("shut_down", s.shut_down, judge_.count(end::shut_down));
    same("pending_bytes", s.pending_bytes, judge_.pending_bytes());
    same("open", s.open, judge_.open());
    same("in_flight", s.in_flight, judge_.in_flight());
    same("sink_calls", s.sink_calls, judge_.calls());
    same("sink_failures", s.sink_failures, judge_.bad_calls());
    same("splits", s.splits, judge_.splits());
    same("retries", s.retries, judge_.retries());
    same("duplicates", s.duplicates, judge_.duplicates());
    for (std::size_t t = 0; t != tideover::batch_triggers; ++t) {
      auto const name = tideover::to_string(batch_trigger(t));
      same(name, s.batches_by[t], judge_.batches_by()[t]);
      same(name, s.items_by[t], judge_.items_by()[t]);
    }
    if (subject_.next_deadline() != judge_.next_deadline()) {
      wrong("next_deadline is " + std::to_string(subject_.next_deadline().ns) + ", not " +
            std::to_string(judge_.next_deadline().ns));
    }
    if (s.pending > o_.max_pending) wrong("too many are pending");
    for (auto const& [id, is] : judge_.states()) {
      end got = end::pending;
      if (auto const t = tickets_.find(id); t != tickets_.end()) {
        if (auto const* o = t->second.peek()) got = end_of(*o);
      } else if (auto const h = settled_.find(id); h != settled_.end()) {
        got = h->second;
      }
      if (got != is) {
        wrong("item " + std::to_string(id) + " is " + std::to_string(int(got)) + ", not " +
              std::to_string(int(is)));
      }
      if (got == end::pending) continue;
      ++tally.ended[std::size_t(got)];
      tickets_.erase(id);
      settled_.erase(id);
    }
    judge_.forget_settled();
    tally.triggers = s.batches_by;
    tally.splits = s.splits, tally.retries = s.retries, tally.duplicates = s.duplicates;
  }

  batch_options o_;
  bool measured_;
  std::mt19937_64 random_;
  bool plain_;  // most adds are such as need no lock of all
  manual_clock clock_;
  batch_oracle judge_;
  std::string problem_, doing_;
  bool judge_silent_ = false;
  int last_id_ = 0, nesting_ = 0;
  std::size_t calls_ = 0;
  std::optional<std::vector<int>> again_;
  std::map<int, tideover::ticket> tickets_;
  std::set<int> called_back_;
  std::map<int, end> settled_;
  subject subject_;  // ends first: it may call the sink still
};

inline batch_options some_options(std::mt19937_64& random, bool measured) {
  auto const below = [&](std::uint64_t n) { return random() % n; };
  batch_options o;
  o.max_items = 1 + below(7);
  o.max_bytes = measured ? 10 + below(30) : sizeof(walk_item) * (1 + below(8));
  o.linger = below(6) == 0 ? 0ms : std::chrono::milliseconds(1 + below(10));
  o.max_pending = 1 + below(30);
  o.max_in_flight = 1 + below(3);
  o.max_pending_bytes = below(2) == 0 ? o.max_pending_bytes : o.max_bytes + below(100);
  o.max_in_flight_bytes = below(2) == 0 ? o.max_in_flight_bytes : 1 + below(60);
  o.max_attempts = unsigned(1 + below(4));
  o.shutdown_timeout = 0ms;  // a time that stands still is no time to wait for
  return o;
}

/// Many short walks; the first thing that went wrong, or nothing.
template <class... Policies>
std::string walk_all(oracle_rules rules, bool measured, std::size_t steps, std::uint64_t seed,
                     walk_tally& sum) {
  constexpr std::size_t each = 400;
  for (std::size_t done = 0; done < steps; done += each, ++seed) {
    std::mt19937_64 random(seed);
    batch_walk<Policies...> walk(some_options(random, measured), rules, measured, random());
    auto const problem = walk.run(each);
    for (std::size_t i = 0; i != sum.ended.size(); ++i) sum.ended[i] += walk.tally.ended[i];
    for (std::size_t i = 0; i != sum.triggers.size(); ++i) sum.triggers[i] += walk.tally.triggers[i];
    sum.rejected += walk.tally.rejected;
    sum.nested += walk.tally.nested;
    sum.splits += walk.tally.splits;
    sum.retries += walk.tally.retries;
    sum.duplicates += walk.tally.duplicates;
    sum.in_flight_most = std::max(sum.in_flight_most, walk.tally.in_flight_most);
    if (!problem.empty()) return problem + " (seed " + std::to_string(seed) + ")";
  }
  return {};
}

/// Steps of one walk of one set of policies.
inline std::size_t batch_steps() { return std::size_t(number_from("TIDEOVER_MODEL_STEPS", 120'000)) / 4; }

}  // namespace tideover_test
