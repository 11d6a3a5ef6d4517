// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/batch_processor_options.hpp>
#include <tideover/instant.hpp>
#include <tideover/policy/clock.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// What a batch processor must do, written from the contract: slow, plain, and with no header of ours but the
/// options and the clock's instant. One item is one record in a table; every count is taken by counting them.
namespace tideover_test {

using tideover::batch_options;
using tideover::batch_trigger;
using tideover::instant;

enum class oracle_flaw {
  none,
  linger_from_the_last_item,
  one_item_too_many,
  forgets_bytes,
  drops_the_newest,
  retries_everything,
  keys_overtake,
  attempts_once_more,
  expired_are_sent,
  cancels_the_sealed,
  too_large_counts,
  splits_lose_order,
  flush_covers_later_items,
  shutdown_forgets_in_flight,
  duplicates_take_room_in_the_batch,
};

struct oracle_rules {
  bool eager = false, drop_oldest = false, keyed = false, retry = false, bisect = false, dedupe = false,
       alone = false;
  oracle_flaw flaw = oracle_flaw::none;
};

class batch_oracle {
 public:
  enum class state { pending, delivered, failed, mismatched, expired, cancelled, dropped, shut_down };
  enum class answer { accepted, full, closed, too_large, expired };
  enum class reply { delivered, thrown, too_large, each, wrong_size };
  struct added {
    int key = 0;
    std::size_t bytes = 1;
    instant deadline = instant::max();
  };

  batch_oracle(batch_options const& o, oracle_rules r, std::chrono::nanoseconds delay)
      : o_(o), r_(r), delay_(delay) {}

  answer add(int id, added const& a, instant now) {
    if (closed_) return answer::closed;
    if ((!r_.alone && a.bytes > o_.max_bytes) || a.bytes > o_.max_pending_bytes) return answer::too_large;
    if (a.deadline <= now) return answer::expired;
    auto const room_for = [&](std::size_t bytes) {
      return count(state::pending) < o_.max_pending && pending_bytes() + bytes <= o_.max_pending_bytes;
    };
    auto const room = [&] { return room_for(a.bytes); };
    if (!room()) {
      if (!r_.drop_oldest) return answer::full;
      if (open_.empty() || pending_bytes() - open_bytes() + a.bytes > o_.max_pending_bytes) {
        return answer::full;
      }
    }
    auto const at = open_of(a.key);
    bool cannot_join = false;
    if (auto const e = r_.dedupe && at ? equal_in(*at, a.key) : std::nullopt) {
      std::vector<int> const& own = open_[*at].items[*e];
      int const first = own.front();
      std::size_t const before = bytes_of(own), all = bytes_of_group(open_[*at]);
      std::size_t const more = a.bytes > before ? a.bytes - before : 0;
      cannot_join = more != 0 && open_[*at].items.size() > 1 && all + more > o_.max_bytes;
      if (!cannot_join && !room_for(more)) {
        // The others are older than what is renewed.
        std::size_t const others = open_bytes() - before;
        cannot_join = open() == own.size() || pending_bytes() - others + more > o_.max_pending_bytes;
        while (!cannot_join && !room_for(more)) drop_oldest(first, {});
      }
      if (!cannot_join) {
        std::size_t const g = *open_of(a.key);
        insert(id, a);
        std::vector<int>& joined = open_[g].items[*equal_in(g, a.key)];
        instant const until = std::max(deadline_of(joined), a.deadline);
        joined.push_back(id);
        for (int member : joined) table_[member].deadline = until;
        ++duplicates_;
        if (bytes_of_group(open_[g]) >= o_.max_bytes) seal(g, batch_trigger::bytes, now);
        return answer::accepted;
      }
    }
    // What is open is looked at before anything makes room.
    std::optional<std::size_t> full;
    batch_trigger why = batch_trigger::bytes;
    if (at) {
      group const& g = open_[*at];
      bool const bytes = r_.flaw != oracle_flaw::forgets_bytes && bytes_of_group(g) + a.bytes > o_.max_bytes;
      if (bytes || cannot_join || g.items.size() + g.cancelled >= o_.max_items) full = at;
      if (!bytes) why = cannot_join ? batch_trigger::pressure : batch_trigger::count;
    }
    bool const make_new = !at || full;
    while (!room()) {
      if (!drop_oldest({}, make_new ? std::nullopt : std::optional(lane_of(a.key)))) break;
    }
    if (full) {
      if (auto const again = open_of(a.key)) seal(*again, why, now);
    }
    if (make_new) open_.push_back(group{.key = lane_of(a.key), .opened = now, .epoch = flushes_});
    insert(id, a);
    std::size_t const into = *open_of(a.key);
    group& g = open_[into];
    g.items.push_back({id});
    if (r_.flaw == oracle_flaw::linger_from_the_last_item) g.opened = now;
    std::size_t const most = o_.max_items + (r_.flaw == oracle_flaw::one_item_too_many ? 1u : 0u);
    std::size_t size = g.items.size();
    if (r_.flaw == oracle_flaw::duplicates_take_room_in_the_batch) {
      size = 0;
      for (auto const& e : g.items) size += e.size();
    }
    if (size >= most) {
      seal(into, batch_trigger::count, now);
    } else if (bytes_of_group(g) >= o_.max_bytes) {
      seal(into, batch_trigger::bytes, now);
    } else if (o_.linger.count() == 0) {
      seal(into, batch_trigger::time, now);
    } else if (r_.eager && outstanding(g.key) == 0) {
      seal(into, batch_trigger::idle, now);
    }
    return answer::accepted;
  }

  bool cancel(int id) {
    for (std::size_t g = 0; g < open_.size(); ++g) {
      auto& items = open_[g].items;
      for (std::size_t i = 0; i < items.size(); ++i) {
        if (items[i].size() != 1 || items[i].front() != id) continue;
        table_[id].is = state::cancelled;
        items.erase(items.begin() + std::ptrdiff_t(i));
        ++open_[g].cancelled;
        if (items.empty()) open_.erase(open_.begin() + std::ptrdiff_t(g));
        return true;
      }
    }
    if (r_.flaw == oracle_flaw::cancels_the_sealed) {
      for (auto& g : sealed_) {
        for (auto& s : g.parts) {
          for (auto const& e : s.items) {
            if (e.front() == id) return true;
          }
        }
      }
    }
    return false;
  }

  void flush(instant now) {
    ++flushes_;
    while (!open_.empty()) seal(0, batch_trigger::flush, now);
  }
  void close(instant until, instant now) {
    closing_at_ = closed_ ? std::min(closing_at_, until) : until;
    closed_ = true;
    while (!open_.empty()) seal(0, batch_trigger::shutdown, now);
  }
  void tick(instant now) {
    while (!open_.empty() && open_.front().opened + o_.linger <= now) seal(0, batch_trigger::time, now);
    std::stable_sort(delayed_.begin(), delayed_.end(),
                     [](group const& a, group const& b) { return a.due < b.due; });
    while (!delayed_.empty() && delayed_.front().due <= now) {
      group g = std::move(delayed_.front());
      delayed_.erase(delayed_.begin());
      int const key = g.key;
      if (g.retry_at > now) {
        for (auto& s : g.parts) expire(s.items, now);
        std::erase_if(g.parts, [](part const& s) { return s.items.empty(); });
        if (g.parts.empty()) {
          ended(key, now);
        } else {
          g.due = due_of(g);
          if (g.due <= now) g.due = g.retry_at;  // a flaw kept what has expired
          delayed_.push_back(std::move(g));
          std::stable_sort(delayed_.begin(), delayed_.end(),
                           [](group const& a, group const& b) { return a.due < b.due; });
        }
        continue;
      }
      // Before the others of its lane.
      auto first = std::find_if(sealed_.begin(), sealed_.end(), [&](group const& s) { return s.key == key; });
      sealed_.insert(first, std::move(g));
      ready(key);
    }
    if (closed_ && count(state::pending) != 0 && now >= closing_at_) {
      bool const forgets = r_.flaw == oracle_flaw::shutdown_forgets_in_flight;
      for (auto& [id, it] : table_) {
        if (it.is != state::pending) continue;
        bool flying = false;
        for (auto const& g : flying_) {
          for (auto const& s : g.parts) {
            for (auto const& e : s.items) flying = flying || std::count(e.begin(), e.end(), id) != 0;
          }
        }
        if (!(forgets && flying)) it.is = state::shut_down;
      }
      if (!forgets) {
        for (auto& g : flying_) g.abandoned = true;
      }
      sealed_.clear(), delayed_.clear(), turns_.clear();
    }
  }

  /// What the sink must be given now.
  std::optional<std::vector<int>> take(instant now) {
    tick(now);
    while (!turns_.empty() && flying_.size() < o_.max_in_flight) {
      int const key = turns_.front();
      auto const at =
          std::find_if(sealed_.begin(), sealed_.end(), [&](group const& s) { return s.key == key; });
      std::size_t flying = 0;
      for (auto const& g : flying_) flying += g.flight_bytes;
      if (!flying_.empty() && flying + bytes_of_group(*at) > o_.max_in_flight_bytes) return std::nullopt;
      turns_.pop_front();
      group g = std::move(*at);
      sealed_.erase(at);
      g.flight_bytes = bytes_of_group(g);
      flying_.push_back(std::move(g));
      if (!r_.keyed || r_.flaw == oracle_flaw::keys_overtake) ready(key);
      if (begin(flying_.back(), now)) return values(flying_.back());
      finish(now);
    }
    return std::nullopt;
  }
  /// The innermost call of the sink ends so. What the same batch gives to it at once, if anything.
  std::optional<std::vector<int>> settle(reply how, std::vector<bool> const& good, instant now) {
    ++calls_;
    group& g = flying_.back();
    bool const all_good = how == reply::delivered ||
                          (how == reply::each && std::find(good.begin(), good.end(), false) == good.end());
    if (!all_good) ++bad_calls_;
    if (g.abandoned) return finish(now), std::nullopt;
    part& p = g.parts.front();
    std::size_t const n = p.items.size();
    unsigned const limit = o_.max_attempts + (r_.flaw == oracle_flaw::attempts_once_more ? 1u : 0u);
    bool const again = r_.retry && p.attempts + 1 < limit;
    auto const halve = [&](unsigned attempts) {
      ++splits_;
      part second{{p.items.begin() + std::ptrdiff_t((n + 1) / 2), p.items.end()}, attempts};
      p.items.resize((n + 1) / 2);
      p.attempts = attempts;
      if (r_.flaw == oracle_flaw::splits_lose_order) std::swap(p, second);
      g.parts.insert(g.parts.begin() + 1, std::move(second));
    };
    std::vector<std::vector<int>> kept;
    if (how == reply::too_large && n > 1) {
      halve(p.attempts + (r_.flaw == oracle_flaw::too_large_counts ? 1u : 0u));
    } else if (how == reply::thrown && !again && r_.bisect && n > 1) {
      halve(p.attempts + 1);
    } else {
      for (std::size_t i = 0; i < n; ++i) {
        state end = state::delivered;
        if (how == reply::wrong_size) end = state::mismatched;
        if (how == reply::too_large) end = state::failed;
        if (how == reply::thrown || (how == reply::each && !good[i]))
          end = again ? state::pending : state::failed;
        if (r_.flaw == oracle_flaw::retries_everything && how == reply::each && again && !all_good) {
          end = state::pending;
        }
        for (int member : p.items[i]) table_[member].is = end;
        if (end == state::pending) {
          kept.push_back(p.items[i]);
          retries_ += p.items[i].size();
        }
      }
      ++p.attempts;
      p.items = kept;
      if (kept.empty()) g.parts.erase(g.parts.begin());
    }
    if (!kept.empty()) {
      group later = std::move(flying_.back());
      flying_.pop_back();
      later.retry_at = now + delay_;
      later.due = due_of(later);
      delayed_.push_back(std::move(later));
      return std::nullopt;
    }
    if (begin(g, now)) return values(g);
    finish(now);
    return std::nullopt;
  }

  // ---- What it says ---------------------------------------------------------------------------------------

  std::size_t count(state s) const {
    std::size_t n = 0;
    for (auto const& [id, it] : table_) n += it.is == s ? 1u : 0u;
    return n + (s == state::pending ? 0 : past_.at(s));
  }
  /// Forgets what is settled, so that counting stays quick.
  void forget_settled() {
    for (auto it = table_.begin(); it != table_.end();) {
      if (it->second.is == state::pending) {
        ++it;
      } else {
        ++past_[it->second.is];
        it = table_.erase(it);
      }
    }
  }
  std::map<int, state> states() const {
    std::map<int, state> all;
    for (auto const& [id, it] : table_) all[id] = it.is;
    return all;
  }
  std::size_t accepted() const { return accepted_; }
  std::size_t pending_bytes() const {
    std::size_t n = 0;
    for (auto const* list : {&open_, &sealed_, &delayed_, &flying_}) {
      for (auto const& g : *list) n += g.abandoned ? 0 : bytes_of_group(g);
    }
    return n;
  }
  std::size_t open() const {
    std::size_t n = 0;
    for (auto const& g : open_) {
      for (auto const& e : g.items) n += e.size();
    }
    return n;
  }
  std::size_t in_flight() const { return flying_.size(); }
  std::size_t calls() const { return calls_; }
  std::size_t bad_calls() const { return bad_calls_; }
  std::size_t splits() const { return splits_; }
  std::size_t retries() const { return retries_; }
  std::size_t duplicates() const { return duplicates_; }
  std::array<std::uint64_t, tideover::batch_triggers> const& batches_by() const { return batches_by_; }
  std::array<std::uint64_t, tideover::batch_triggers> const& items_by() const { return items_by_; }
  instant next_deadline() const {
    if (!turns_.empty() && flying_.size() < o_.max_in_flight) {
      std::size_t flying = 0;
      for (auto const& g : flying_) flying += g.flight_bytes;
      for (auto const& g : sealed_) {
        if (g.key != turns_.front()) continue;
        if (flying_.empty() || flying + bytes_of_group(g) <= o_.max_in_flight_bytes) return instant::min();
        break;
      }
    }
    instant t = instant::max();
    for (auto const& g : open_) t = std::min(t, g.opened + o_.linger);
    for (auto const& g : delayed_) t = std::min(t, g.due);
    if (closed_ && count(state::pending) != 0) t = std::min(t, closing_at_);
    return t;
  }
  std::vector<int> pending_ids() const {
    std::vector<int> ids;
    for (auto const& [id, it] : table_) {
      if (it.is == state::pending) ids.push_back(id);
    }
    return ids;
  }
  bool flush_is_over(std::vector<int> const& before) const {
    for (int id : before) {
      auto const it = table_.find(id);
      if (it != table_.end() && it->second.is == state::pending) return false;
    }
    return r_.flaw != oracle_flaw::flush_covers_later_items || count(state::pending) == 0;
  }

 private:
  struct record {
    int key;
    std::size_t bytes;
    instant deadline;
    state is = state::pending;
  };
  struct part {
    std::vector<std::vector<int>> items;
    unsigned attempts = 0;
  };
  struct group {
    int key = 0;
    std::vector<std::vector<int>> items{};  // while it is open; ids that share a place stand together
    std::size_t cancelled = 0;
    instant opened{};
    std::uint64_t epoch = 0;
    std::vector<part> parts{};  // once it is sealed
    instant retry_at{}, due{};
    std::size_t flight_bytes = 0;
    bool abandoned = false;
  };

  int lane_of(int key) const { return r_.keyed ? key : 0; }
  std::size_t open_bytes() const {
    std::size_t n = 0;
    for (auto const& g : open_) n += bytes_of_group(g);
    return n;
  }
  /// With dedupe the key says what is equal.
  std::optional<std::size_t> equal_in(std::size_t g, int key) const {
    for (std::size_t i = 0; i < open_[g].items.size(); ++i) {
      if (table_.at(open_[g].items[i].front()).key == key) return i;
    }
    return std::nullopt;
  }
  /// Of all that is open, but for the place whose first item is `but`. The batch of `into` may be left empty.
  bool drop_oldest(std::optional<int> but, std::optional<int> into) {
    std::size_t oldest = open_.size(), position = 0;
    for (std::size_t g = 0; g < open_.size(); ++g) {
      auto const& items = open_[g].items;
      std::size_t const i = !items.empty() && items.front().front() == but ? 1 : 0;
      if (i >= items.size()) continue;
      if (oldest == open_.size() || items[i].front() < open_[oldest].items[position].front()) {
        oldest = g, position = i;
      }
    }
    if (oldest == open_.size()) return false;
    auto& items = open_[oldest].items;
    if (r_.flaw == oracle_flaw::drops_the_newest) position = items.size() - 1;
    for (int member : items[position]) table_[member].is = state::dropped;
    items.erase(items.begin() + std::ptrdiff_t(position));
    if (items.empty() && open_[oldest].key != into) open_.erase(open_.begin() + std::ptrdiff_t(oldest));
    return true;
  }
  std::optional<std::size_t> open_of(int key) const {
    std::optional<std::size_t> found;
    for (std::size_t g = 0; g < open_.size(); ++g) {
      if (open_[g].key == lane_of(key)) found = g;  // the newest: an older one is about to be sealed
    }
    return found;
  }
  void insert(int id, added const& a) {
    table_[id] = {a.key, a.bytes, a.deadline};
    ++accepted_;
  }
  std::size_t bytes_of(std::vector<int> const& e) const { return table_.at(e.back()).bytes; }
  instant deadline_of(std::vector<int> const& e) const { return table_.at(e.back()).deadline; }
  std::size_t bytes_of_group(group const& g) const {
    std::size_t n = 0;
    for (auto const& e : g.items) n += bytes_of(e);
    for (auto const& p : g.parts) {
      for (auto const& e : p.items) n += bytes_of(e);
    }
    return n;
  }
  std::size_t outstanding(int key) const {
    std::size_t n = 0;
    for (auto const* list : {&sealed_, &delayed_, &flying_}) {
      for (auto const& g : *list) n += g.key == key ? 1u : 0u;
    }
    return n;
  }
  void ready(int key) {
    if (std::find(turns_.begin(), turns_.end(), key) != turns_.end()) return;
    bool some = false, busy = false;
    for (auto const& g : sealed_) some = some || g.key == key;
    for (auto const& g : flying_) busy = busy || g.key == key;
    for (auto const& g : delayed_) busy = busy || g.key == key;
    if (r_.keyed && busy && r_.flaw != oracle_flaw::keys_overtake) return;
    if (some) turns_.push_back(key);
  }
  void seal(std::size_t at, batch_trigger why, instant now) {
    group g = std::move(open_[at]);
    open_.erase(open_.begin() + std::ptrdiff_t(at));
    ++batches_by_[std::size_t(why)];
    for (auto const& e : g.items) items_by_[std::size_t(why)] += e.size();
    expire(g.items, now);
    if (g.items.empty()) return;
    g.parts = {part{std::move(g.items), 0}};
    g.items.clear();
    int const key = g.key;
    sealed_.push_back(std::move(g));
    ready(key);
  }
  void expire(std::vector<std::vector<int>>& items, instant now) {
    if (r_.flaw == oracle_flaw::expired_are_sent) return;
    std::erase_if(items, [&](std::vector<int> const& e) {
      if (deadline_of(e) > now) return false;
      for (int member : e) table_[member].is = state::expired;
      return true;
    });
  }
  bool begin(group& g, instant now) {
    while (!g.parts.empty()) {
      expire(g.parts.front().items, now);
      if (!g.parts.front().items.empty()) return true;
      g.parts.erase(g.parts.begin());
    }
    return false;
  }
  std::vector<int> values(group const& g) const {
    std::vector<int> ids;
    for (auto const& e : g.parts.front().items) ids.push_back(e.back());
    return ids;
  }
  void finish(instant now) {
    int const key = flying_.back().key;
    flying_.pop_back();
    ended(key, now);
  }
  instant due_of(group const& g) const {
    instant due = g.retry_at;
    for (auto const& s : g.parts) {
      for (auto const& e : s.items) due = std::min(due, deadline_of(e));
    }
    return due;
  }
  void ended(int key, instant now) {
    ready(key);
    if (r_.eager && outstanding(key) == 0) {
      for (std::size_t g = 0; g < open_.size(); ++g) {
        if (open_[g].key == key) {
          seal(g, batch_trigger::idle, now);
          break;
        }
      }
    }
  }

  batch_options o_;
  oracle_rules r_;
  std::chrono::nanoseconds delay_;
  std::map<int, record> table_;
  std::map<state, std::size_t> past_{{state::delivered, 0}, {state::failed, 0},    {state::mismatched, 0},
                                     {state::expired, 0},   {state::cancelled, 0}, {state::dropped, 0},
                                     {state::shut_down, 0}};
  std::vector<group> open_, sealed_, delayed_, flying_;
  std::deque<int> turns_;
  std::uint64_t flushes_ = 0;
  bool closed_ = false;
  instant closing_at_ = instant::max();
  std::size_t accepted_ = 0, calls_ = 0, bad_calls_ = 0, splits_ = 0, retries_ = 0, duplicates_ = 0;
  std::array<std::uint64_t, tideover::batch_triggers> batches_by_{}, items_by_{};
};

}  // namespace tideover_test
