// SPDX-License-Identifier: BSL-1.0
#include "support/bombing_allocator.hpp"
#include "support/catch.hpp"
#include "support/environment.hpp"
#include "support/watchdog.hpp"

#include <tideover/detail/hash_index.hpp>
#include <tideover/policy/locking.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <set>
#include <string>
#include <vector>

// The index beside a std::multimap from hash to number.

namespace {

using tideover::entry_id;
using tideover::no_entry;
using tideover_test::bomb;

struct walk_plan {
  char const* name;
  std::size_t most;     ///< entries at a time
  std::uint64_t homes;  ///< different upper 24 of the lower 32 bits, evenly apart; 0: any
  unsigned tags;        ///< different tags
  bool reserved;        ///< room for `most` from the start, so that nothing ever grows
};

class walk {
  auto lower() {
    return [this](entry_id id) { return static_cast<std::uint32_t>(hashes_[id]); };
  }

 public:
  walk(walk_plan plan, std::uint64_t seed)
      : plan_(plan),
        random_(seed),
        entries_(tideover_test::bombing_allocator<std::byte>(memory_)),
        hashes_(plan.most, 0),
        inside_(plan.most, false) {
    if (plan.reserved) entries_.reserve(plan.most, lower());
  }

  std::string run(std::size_t steps) {
    for (std::size_t step = 1; step <= steps; ++step) {
      bool const growing = step / (6 * plan_.most) % 2 == 0;
      std::string problem = one_step(growing);
      if (problem.empty() && entries_.size() != expected_.size()) problem = "the size is wrong";
      if (problem.empty() && step % 512 == 0) problem = look_at_all();
      if (!problem.empty())
        return std::string(plan_.name) + ", step " + std::to_string(step) + ": " + problem;
    }
    return failed_growths_ == 0 && !plan_.reserved ? "no growth ever failed" : "";
  }

 private:
  std::uint64_t some_hash() {
    std::uint64_t const lower = plan_.homes == 0 ? random_() & 0xFFFF'FFFFu
                                                 : random_() % plan_.homes * (0x1'0000'0000u / plan_.homes);
    return random_() << 40 | (lower & 0xFFFF'FF00u) | random_() % plan_.tags;
  }
  static std::uint64_t told_apart(std::uint64_t hash) {  // a tag of zero is taken for one
    std::uint64_t const low = hash & 0xFFFF'FFFFu;
    return (low & 0xFF) == 0 ? low | 1 : low;
  }

  std::string one_step(bool growing) {
    auto const id = static_cast<entry_id>(random_() % plan_.most);
    switch (random_() % (growing ? 8 : 6)) {
      case 0:
        return look_for(some_hash());
      case 1:
        return inside_[id] ? look_for(hashes_[id]) : "";
      case 2:
      case 3:
        if (inside_[id]) remove(id);
        return "";
      case 4:
        if (random_() % 64 == 0) return drain();
        return replace(id);
      default:
        if (!inside_[id]) return insert(id);
        return "";
    }
  }
  std::string insert(entry_id id) {
    // The first time always: some plans grow four times only.
    memory_.fuse = failed_growths_ == 0 || random_() % 4 != 0 ? 0 : bomb::never;
    try {
      entries_.reserve_one_more(lower());
    } catch (std::bad_alloc const&) {
      ++failed_growths_;
      return look_at_all();
    }
    hashes_[id] = some_hash();
    entries_.insert(hashes_[id], id);
    expected_.emplace(told_apart(hashes_[id]), id);
    inside_[id] = true;
    return "";
  }
  void forget(entry_id id) {
    auto const [begin, end] = expected_.equal_range(told_apart(hashes_[id]));
    for (auto i = begin; i != end; ++i) {
      if (i->second == id) {
        expected_.erase(i);
        break;
      }
    }
    inside_[id] = false;
  }
  void remove(entry_id id) {
    entries_.erase(static_cast<std::uint32_t>(hashes_[id]), id);
    forget(id);
  }
  std::string replace(entry_id id) {
    auto const old = static_cast<entry_id>(random_() % plan_.most);
    if (!inside_[old] || inside_[id]) return "";
    entries_.replace(static_cast<std::uint32_t>(hashes_[old]), old, id);
    hashes_[id] = hashes_[old];
    forget(old);
    expected_.emplace(told_apart(hashes_[id]), id);
    inside_[id] = true;
    return "";
  }
  std::string drain() {
    std::multiset<entry_id> named, all;
    entries_.drain([&](entry_id id) { named.insert(id); });
    for (auto const& [hash, id] : expected_) all.insert(id);
    expected_.clear();
    inside_.assign(plan_.most, false);
    return named == all ? "" : "drain named others than are there";
  }
  /// All of one hash, and no other, are offered, each once; and one that is wanted is found.
  std::string look_for(std::uint64_t hash) {
    std::multiset<entry_id> offered, all;
    if (entries_.find(hash, [&](entry_id id) {
          offered.insert(id);
          return false;
        }) != no_entry)
      return "found what nobody said yes to";
    auto const [begin, end] = expected_.equal_range(told_apart(hash));
    for (auto i = begin; i != end; ++i) {
      all.insert(i->second);
      if (offered.count(i->second) != 1)
        return "offered " + std::to_string(offered.count(i->second)) + " times";
      if (entries_.find(hash, [&](entry_id id) { return id == i->second; }) != i->second) return "not found";
    }
    for (entry_id const id :
         offered) {  // neighbours with the same tag may be offered; none that is not there
      if (!inside_[id] || ((told_apart(hashes_[id]) ^ told_apart(hash)) & 0xFF) != 0)
        return "offered a stranger";
    }
    return "";
  }
  std::string look_at_all() {
    for (entry_id id = 0; id != plan_.most; ++id) {
      if (!inside_[id]) continue;
      std::string problem = look_for(hashes_[id]);
      if (!problem.empty()) return problem;
    }
    return "";
  }

  walk_plan plan_;
  std::mt19937_64 random_;
  bomb memory_;
  tideover::detail::hash_index<tideover::single_threaded, tideover_test::bombing_allocator<std::byte>>
      entries_;
  std::vector<std::uint64_t> hashes_;
  std::vector<bool> inside_;
  std::multimap<std::uint64_t, entry_id> expected_;
  long failed_growths_ = 0;
};

}  // namespace

TEST_CASE("hash_index: a random walk beside a multimap", "[detail]") {
  tideover_test::watchdog const dog("a search without end", std::chrono::seconds(600));
  std::uint64_t const seed = tideover_test::run_seed();
  std::size_t const steps = std::size_t(tideover_test::number_from("TIDEOVER_MODEL_STEPS", 100'000)) / 5;
  for (walk_plan const& plan : {
           walk_plan{"any hashes", 300, 0, 256, false},
           walk_plan{"all in one bucket", 60, 1, 1, false},
           walk_plan{"one bucket, many tags", 40, 1, 256, true},
           walk_plan{"two buckets", 18, 2, 2, true},
           walk_plan{"three buckets", 27, 3, 4, true},
           walk_plan{"both ends", 36, 4, 3, true},
           walk_plan{"few homes", 200, 5, 7, false},
       }) {
    CHECK(walk(plan, seed).run(steps) == "");
  }
}
