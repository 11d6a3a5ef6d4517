// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/connection_pool_options.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

/// What the contract says of a pool, written down naively: vectors of objects, and a deque of tickets. It
/// knows nothing of the pool but its options. With a flaw it breaks one promise.
namespace tideover_test {

using tideover::instant;
using tideover::pool_close_reason;
using tideover::pool_options;
using tideover::pool_stats;

enum class pool_flaw {
  none,
  one_too_many,        // P1
  expired_are_served,  // P5
  last_come_first,     // P6
  other_idle_order,    // P7
  no_elision,          // P9
  backoff_forgotten,   // P12
  lent_at_the_end,     // P14
  below_min,           // P15
  never_checked,       // P16
  no_suspects,         // P17
  old_generation,      // P18
  some_of_several,     // P22
  shrinks_late,        // P23
  waiters_left,        // P24
  leaks_a_place,       // P12
  count_
};

struct oracle_rules {
  bool oldest_first = false;
  bool newcomers_pass = false;
  bool drops_suspects = true;
  std::chrono::nanoseconds backoff{0};
  pool_flaw flaw = pool_flaw::none;
};

class pool_oracle {
 public:
  struct settled {
    int ticket;
    std::string how;
    std::vector<int> objects;
    friend bool operator==(settled const&, settled const&) = default;
  };
  using closing = std::pair<int, pool_close_reason>;
  struct job {
    bool opens;
    int number;  // of the opening, or of the object
    friend bool operator==(job const&, job const&) = default;
  };

  pool_oracle(pool_options const& o, oracle_rules r) : o_(o), r_(r) {}

  // What a step brought about.
  std::vector<settled> ended;
  std::vector<closing> closed;

  void acquire(int ticket, std::size_t want, instant until, instant now) {
    ++s_.started;
    enter({ticket, want, until}, now);
    step(now);
  }
  bool cancel(int ticket, bool late, instant now) {
    auto const w =
        std::find_if(line_.begin(), line_.end(), [&](waiter const& x) { return x.ticket == ticket; });
    if (w == line_.end()) return false;
    ++(late ? s_.timed_out : s_.cancelled);
    line_.erase(w);
    step(now);
    return true;
  }
  void give_back(int id, bool broken, bool doubt, instant now) {
    object x = take(leased_, id);
    if (broken) {
      close(x, pool_close_reason::discarded);
    } else {
      x.idle_since = x.proven = now;
      x.doubted = doubt;
      settle_in(x, true, now);
    }
    step(now);
  }
  /// The first job of this kind, or the check of this object; an opening's number, or -1: there is none.
  int claim(job const& like) {
    auto const j = std::find_if(jobs_.begin(), jobs_.end(), [&](job const& x) {
      return x.opens == like.opens && (x.opens || x.number == like.number);
    });
    if (j == jobs_.end()) return -1;
    int const number = j->number;
    jobs_.erase(j);
    return number;
  }
  /// As a subject of a walk: the first job; what it opens is called `number` from now on.
  job claim(int number) {
    job j = jobs_.front();
    jobs_.pop_front();
    if (j.opens) {
      auto const i =
          std::find_if(opening_.begin(), opening_.end(), [&](auto const& x) { return x.first == j.number; });
      i->first = j.number = -number - 1;
    }
    return j;
  }
  std::size_t jobs() const { return jobs_.size(); }
  void opened(int number, instant now) {
    std::uint64_t const generation = take_opening(number);
    object x;
    x.id = static_cast<int>(++s_.created);
    x.generation = generation;
    x.end = o_.max_lifetime.count() > 0 ? now + o_.max_lifetime : instant::max();
    x.idle_since = x.proven = now;
    retry_at_ = instant::min();
    settle_in(x, true, now);
    step(now);
  }
  void failed(int number, bool tells_one, instant now) {
    if (!is(pool_flaw::leaks_a_place)) take_opening(number);
    ++s_.open_failures;
    if (!is(pool_flaw::backoff_forgotten)) retry_at_ = now + r_.backoff;
    for (auto j = jobs_.begin(); j != jobs_.end() && now < retry_at_;) {
      if (j->opens) {
        take_opening(j->number);
        j = jobs_.erase(j);
      } else {
        ++j;
      }
    }
    if (tells_one || !o_.wait_through_errors) {
      drop_late(now);
      if (!line_.empty()) {
        end(line_.front(), "factory_error", s_.errored);
        line_.pop_front();
      }
    }
    step(now);
  }
  void checked(int id, bool good, instant now) {
    object x = take(checking_, id);
    if (good) {
      x.proven = now;
      x.doubted = false;
      settle_in(x, false, now);
    } else {
      ++s_.check_failures;
      close(x, pool_close_reason::check_failed);
      if (!is(pool_flaw::no_suspects)) {
        for (std::size_t i = 0; i < idle_.size();) {
          if (idle_[i].proven >= now) {
            ++i;
          } else if (r_.drops_suspects) {
            close_idle(i, pool_close_reason::suspect);
          } else {
            idle_[i++].doubted = true;
          }
        }
      }
    }
    step(now);
  }
  void destroyed(int id, instant now) {
    dying_.erase(std::find(dying_.begin(), dying_.end(), id));
    ++s_.destroyed;
    step(now);
  }
  void tick(instant now) {
    for (std::size_t i = 0; i < idle_.size();) {
      now >= idle_[i].end ? close_idle(i, pool_close_reason::lifetime) : void(++i);
    }
    std::size_t old = 0;
    for (object const& x : idle_) old += too_idle(x, now) ? 1u : 0u;
    std::size_t const there = idle_.size() + leased_.size() + checking_.size();
    std::size_t const least = is(pool_flaw::below_min) ? 0 : o_.min_size;
    for (std::size_t n = std::min(old, there > least ? there - least : 0); n != 0; --n) {
      close_idle(oldest(), pool_close_reason::idle);
    }
    if (line_.empty() && !shut_ && o_.health_check_interval.count() > 0 && checking_.empty() &&
        !idle_.empty()) {
      auto const i = std::min_element(idle_.begin(), idle_.end(),
                                      [](object const& a, object const& b) { return a.proven < b.proven; });
      if (now - i->proven >= o_.health_check_interval)
        begin_check(static_cast<std::size_t>(i - idle_.begin()));
    }
    step(now);
  }
  void reconfigure(pool_options const& o, instant now) {
    o_ = o;
    for (auto j = jobs_.begin(); j != jobs_.end() && total() > o_.max_size;) {
      if (j->opens) {
        take_opening(j->number);
        j = jobs_.erase(j);
      } else {
        ++j;
      }
    }
    while (total() > o_.max_size && !idle_.empty() && !is(pool_flaw::shrinks_late)) {
      close_idle(oldest(), pool_close_reason::shrunk);
    }
    while (idle_.size() > o_.max_idle) close_idle(oldest(), pool_close_reason::surplus);
    wanted_idle_ = std::min({wanted_idle_, o_.max_size, o_.max_idle});
    for (std::size_t i = 0; i < line_.size();) {
      if (line_[i].want <= o_.max_size) {
        ++i;
        continue;
      }
      end(line_[i], "invalid", s_.rejected);
      line_.erase(line_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    step(now);
  }
  void invalidate(instant now) {
    ++s_.generation;
    if (!is(pool_flaw::old_generation)) {
      while (!idle_.empty()) close_idle(0, pool_close_reason::invalidated);
    }
    step(now);
  }
  void want_idle(std::size_t n, instant now) {
    wanted_idle_ = std::min({n, o_.max_size, o_.max_idle});
    step(now);
  }
  void close_all() {
    if (shut_) return;
    shut_ = true;
    while (!line_.empty() && !is(pool_flaw::waiters_left)) {
      end(line_.front(), "closed", s_.closed);
      line_.pop_front();
    }
    while (!idle_.empty()) close_idle(0, pool_close_reason::pool_closed);
    for (; !jobs_.empty(); jobs_.pop_front()) {
      if (jobs_.front().opens) {
        take_opening(jobs_.front().number);
      } else {
        close(take(checking_, jobs_.front().number), pool_close_reason::pool_closed);
      }
    }
  }

  pool_stats stats() const {
    pool_stats s = s_;
    s.idle = idle_.size();
    s.leased = leased_.size();
    s.opening = opening_.size();
    s.checking = checking_.size();
    s.closing = dying_.size();
    s.waiting = line_.size();
    return s;
  }
  std::vector<int> idle_order() const {
    std::vector<int> ids;
    for (object const& x : idle_) ids.push_back(x.id);
    return ids;
  }

 private:
  struct object {
    int id = 0;
    std::uint64_t generation = 0;
    instant end{}, idle_since{}, proven{};
    bool doubted = false;
  };
  struct waiter {
    int ticket;
    std::size_t want;
    instant until;
  };
  using objects = std::vector<object>;

  void enter(waiter const& w, instant now) {
    if (shut_) return end(w, "closed", s_.closed);
    if (w.want > o_.max_size) return end(w, "invalid", s_.rejected);
    if ((line_.empty() || r_.newcomers_pass) && grant(w, now)) return;
    if (w.until <= now) {
      if (line_.empty() && checking_.empty()) {
        for (std::size_t i = 0; i < idle_.size(); ++i) {
          if (stale(idle_[i], now)) {
            begin_check(i);
            break;
          }
        }
      }
      return end(w, "timed_out", s_.timed_out);
    }
    if (line_.size() >= o_.max_waiters) return end(w, "queue_full", s_.rejected);
    is(pool_flaw::last_come_first) ? line_.push_front(w) : line_.push_back(w);
  }
  bool is(pool_flaw f) const { return r_.flaw == f; }
  static object take(objects& from, int id) {
    auto const i = std::find_if(from.begin(), from.end(), [&](object const& x) { return x.id == id; });
    object const x = *i;
    from.erase(i);
    return x;
  }
  std::uint64_t take_opening(int number) {
    auto const i =
        std::find_if(opening_.begin(), opening_.end(), [&](auto const& x) { return x.first == number; });
    auto const generation = i->second;
    opening_.erase(i);
    return generation;
  }
  void end(waiter const& w, char const* how, std::uint64_t& counted) {
    ended.push_back({w.ticket, how, {}});
    ++counted;
  }
  std::size_t total() const { return idle_.size() + leased_.size() + checking_.size() + opening_.size(); }
  bool stale(object const& x, instant now) const {
    if (is(pool_flaw::never_checked)) return false;
    return x.doubted || (o_.validate_after_idle.count() >= 0 && now - x.proven > o_.validate_after_idle);
  }
  bool too_idle(object const& x, instant now) const {
    return o_.max_idle_time.count() > 0 && now - x.idle_since > o_.max_idle_time;
  }
  std::size_t oldest() const { return r_.oldest_first ? 0 : idle_.size() - 1; }

  void close(object const& x, pool_close_reason why) {
    closed.emplace_back(x.id, why);
    if (o_.count_closing) {
      dying_.push_back(x.id);
    } else {
      ++s_.destroyed;
    }
  }
  void close_idle(std::size_t i, pool_close_reason why) {
    object const x = idle_[i];
    idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(i));
    close(x, why);
  }
  void begin_check(std::size_t i) {
    jobs_.push_back({false, idle_[i].id});
    checking_.push_back(idle_[i]);
    idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  /// Idle, or gone.
  void settle_in(object const& x, bool newest, instant now) {
    if (shut_) return close(x, pool_close_reason::pool_closed);
    if (x.generation != s_.generation && !is(pool_flaw::old_generation)) {
      return close(x, pool_close_reason::invalidated);
    }
    if (now >= x.end) return close(x, pool_close_reason::lifetime);
    if (total() + 1 > o_.max_size) return close(x, pool_close_reason::shrunk);
    if (line_.empty() && idle_.size() >= o_.max_idle) return close(x, pool_close_reason::surplus);
    auto at = idle_.begin();
    if (r_.oldest_first) {
      while (at != idle_.end() && (newest || at->idle_since <= x.idle_since)) ++at;
    } else {
      while (at != idle_.end() && !newest && at->idle_since > x.idle_since) ++at;
    }
    idle_.insert(at, x);
  }
  bool grant(waiter const& w, instant now) {
    std::vector<std::size_t> usable;
    for (std::size_t i = 0; i < idle_.size() && usable.size() < w.want;) {
      if (now >= idle_[i].end && !is(pool_flaw::lent_at_the_end)) {
        close_idle(i, pool_close_reason::lifetime);
        continue;
      }
      if (!stale(idle_[i], now)) usable.push_back(i);
      ++i;
    }
    if (usable.size() < w.want && !(is(pool_flaw::some_of_several) && !usable.empty())) return false;
    if (is(pool_flaw::other_idle_order) && w.want == 1) usable[0] = idle_.size() - 1;
    settled s{w.ticket, "granted", {}};
    for (std::size_t i : usable) s.objects.push_back(idle_[i].id);
    for (std::size_t n = usable.size(); n-- != 0;) {
      leased_.push_back(idle_[usable[n]]);
      idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(usable[n]));
    }
    ended.push_back(std::move(s));
    ++s_.granted;
    return true;
  }
  void drop_late(instant now) {
    while (!line_.empty() && line_.front().until <= now && !is(pool_flaw::expired_are_served)) {
      end(line_.front(), "timed_out", s_.timed_out);
      line_.pop_front();
    }
  }
  std::size_t lack(instant now) const {
    std::size_t wanted = 0, there = checking_.size();
    for (waiter const& w : line_) wanted += w.want;
    for (object const& x : idle_) there += stale(x, now) ? 0u : 1u;
    return wanted > there ? wanted - there : 0;
  }
  std::size_t needed(instant now) const {
    std::size_t const there = idle_.size() + leased_.size() + checking_.size() + dying_.size();
    std::size_t const most = o_.max_size + (is(pool_flaw::one_too_many) ? 1 : 0);
    if (there >= most) return 0;
    std::size_t want = lack(now);
    std::size_t const for_warmth =
        wanted_idle_ > idle_.size() + checking_.size() ? wanted_idle_ - idle_.size() - checking_.size() : 0;
    if (wanted_idle_ != 0) want += for_warmth;
    if (is(pool_flaw::no_elision) && !line_.empty()) ++want;
    if (o_.min_size > there) want = std::max(want, o_.min_size - there);
    return std::min({want, most - there, o_.max_connecting});
  }
  void step(instant now) {
    for (;;) {
      drop_late(now);
      if (line_.empty()) break;
      waiter const w = line_.front();
      if (!grant(w, now)) break;
      line_.pop_front();
    }
    if (shut_) return;
    for (std::size_t n = lack(now), i = 0; n != 0 && i < idle_.size();) {
      if (stale(idle_[i], now)) {
        begin_check(i);
        --n;
      } else {
        ++i;
      }
    }
    if (now < retry_at_ || needed(now) <= opening_.size()) return;
    if (line_.size() > 1) {
      for (std::size_t i = 0; i < line_.size();) {
        if (line_[i].until > now) {
          ++i;
          continue;
        }
        end(line_[i], "timed_out", s_.timed_out);
        line_.erase(line_.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
    while (opening_.size() < needed(now)) {
      opening_.emplace_back(++openings_, s_.generation);
      jobs_.push_back({true, openings_});
    }
  }

  pool_options o_;
  oracle_rules r_;
  objects idle_, leased_, checking_;  // the first idle one is lent next
  std::vector<std::pair<int, std::uint64_t>> opening_;
  std::vector<int> dying_;
  std::deque<waiter> line_;
  std::deque<job> jobs_;
  pool_stats s_;
  instant retry_at_ = instant::min();
  std::size_t wanted_idle_ = 0;
  int openings_ = 0;
  bool shut_ = false;
};

}  // namespace tideover_test
