// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/eviction.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>
#include <random>
#include <string>
#include <vector>

/// An eviction policy by itself: the entries are a vector of its hooks, and a list that is searched from end
/// to end says who should be its victim.
namespace tideover_test {

template <class Policy>
struct bare_entries {
  struct view {
    std::vector<typename Policy::hook>* hooks;
    typename Policy::hook& operator[](tideover::entry_id id) const noexcept { return (*hooks)[id]; }
    std::uint32_t hash(tideover::entry_id id) const noexcept { return id * 2'654'435'769u; }
  };
  explicit bare_entries(std::size_t n) : hooks(n) {}
  view operator()() { return {&hooks}; }

  std::vector<typename Policy::hook> hooks;
};

/// What the policy's documentation says, as naively as it can be written: the victim is the last of the list.
/// `hit_moves`: whether a use moves an entry to the front.
struct naive_order {
  bool hit_moves;
  std::list<tideover::entry_id> order{};

  void insert(tideover::entry_id id) { order.push_front(id); }
  void remove(tideover::entry_id id) { order.remove(id); }
  void hit(tideover::entry_id id) {
    if (hit_moves) remove(id), insert(id);
  }
  void replace(tideover::entry_id old, tideover::entry_id id, bool in_place) {
    if (in_place) {
      *std::find(order.begin(), order.end(), old) = id;
    } else {
      remove(old), insert(id);
    }
  }
  tideover::entry_id victim() const { return order.empty() ? tideover::no_entry : order.back(); }
};

/// Random inserts, hits, removals, replacements and evictions; empty, or what went wrong.
template <class Policy>
std::string walk_eviction(naive_order expected, std::size_t entries, std::size_t steps, std::uint64_t seed) {
  using tideover::entry_id;
  constexpr bool in_place = requires(Policy & p, typename bare_entries<Policy>::view h, entry_id id) {
    p.on_replace(h, id, id);
  };
  std::mt19937_64 random(seed);
  Policy policy;
  bare_entries<Policy> bare(entries);
  std::vector<entry_id> outside, inside;
  for (entry_id id = 0; id != entries; ++id) outside.push_back(id);
  auto const take = [&](std::vector<entry_id>& from) {
    std::swap(from[random() % from.size()], from.back());
    entry_id const id = from.back();
    from.pop_back();
    return id;
  };
  auto const leave = [&](entry_id id) {
    policy.on_remove(bare(), id);
    expected.remove(id);
    outside.push_back(id);
  };

  for (std::size_t step = 1; step <= steps; ++step) {
    entry_id const chosen = policy.victim(bare());
    if (chosen != expected.victim()) {
      return "step " + std::to_string(step) + ": the victim is " + std::to_string(chosen) + " and not " +
             std::to_string(expected.victim()) + " (seed " + std::to_string(seed) + ")";
    }
    bool const growing = step / (4 * entries) % 2 == 0;  // fills up and runs empty in turn
    switch (random() % 8) {
      case 0:
      case 1:
      case 2:
        if (inside.empty()) break;
        {
          entry_id const id = inside[random() % inside.size()];
          policy.on_hit(bare(), id);
          expected.hit(id);
        }
        break;
      case 3:
        if (inside.empty() || outside.empty()) break;
        {
          entry_id const old = take(inside);
          entry_id const id = take(outside);
          if constexpr (in_place) {
            policy.on_replace(bare(), old, id);
          } else {
            policy.on_remove(bare(), old);
            policy.on_insert(bare(), id);
          }
          expected.replace(old, id, in_place);
          inside.push_back(id);
          outside.push_back(old);
        }
        break;
      case 4:
        if (!inside.empty()) leave(take(inside));
        break;
      case 5:
        if (!growing && !inside.empty()) {
          std::erase(inside, chosen);
          leave(chosen);
        }
        break;
      default:
        if (outside.empty() || (!growing && random() % 2 == 0)) break;
        entry_id const id = take(outside);
        policy.on_insert(bare(), id);
        expected.insert(id);
        inside.push_back(id);
    }
  }
  return {};
}

}  // namespace tideover_test
