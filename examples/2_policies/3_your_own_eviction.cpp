// SPDX-License-Identifier: BSL-1.0
// An eviction policy of your own: second chance (CLOCK). A hit sets a bit; the oldest entry without it
// leaves.
#include <tideover/ttl_cache.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>

class second_chance {
 public:
  using policy_axis = tideover::axis::eviction;
  static constexpr bool hits_need_no_lock = true;
  struct hook {
    tideover::entry_links links;
    std::uint8_t used = 0;
  };

  template <class Hooks>
  void on_insert(Hooks hooks, tideover::entry_id id) noexcept {
    hooks.relaxed(hooks[id].used).store(0);
    queue_.push_front(tideover::links_of(hooks), id);
  }
  template <class Hooks>
  void on_hit(Hooks hooks, tideover::entry_id id) const noexcept {
    auto const used = hooks.relaxed(hooks[id].used);
    if (used.load() == 0) used.store(1);  // a popular entry is read only: nobody waits for its cache line
  }
  template <class Hooks>
  void on_remove(Hooks hooks, tideover::entry_id id) noexcept {
    queue_.remove(tideover::links_of(hooks), id);
  }
  template <class Hooks>
  tideover::entry_id victim(Hooks hooks) noexcept {
    for (;; queue_.move_to_front(tideover::links_of(hooks), queue_.back())) {
      auto const used = hooks.relaxed(hooks[queue_.back()].used);
      if (used.load() == 0) return queue_.back();
      used.store(0);
    }
  }

  // In which order entries would leave, for `hottest`, `coldest` and snapshots: may be left out.
  static constexpr std::size_t queues = 1;
  static constexpr unsigned turns = 2;
  tideover::eviction_queue queue(std::size_t) const noexcept {
    return {"queue", queue_.front(), queue_.back()};
  }
  template <class Hooks>
  static std::size_t queue_of(Hooks, tideover::entry_id) noexcept {
    return 0;
  }
  template <class Hooks>
  static unsigned turn(Hooks hooks, tideover::entry_id id) noexcept {
    return hooks.relaxed(hooks[id].used).load();  // it is passed over once
  }

 private:
  tideover::entry_list queue_;
};

int main() {
  tideover::ttl_cache<int, int, second_chance> cache({.capacity = 2});
  cache.put(1, 1);
  cache.put(2, 2);
  cache.get(1);
  cache.put(3, 3);
  for (auto const& [key, value] : cache.coldest(1)) std::printf("%d leaves next\n", key);
  std::printf("1 %s, 2 %s\n", cache.contains(1) ? "stays" : "left", cache.contains(2) ? "stays" : "left");
}
// expect: 3 leaves next
// expect: 1 stays, 2 left
