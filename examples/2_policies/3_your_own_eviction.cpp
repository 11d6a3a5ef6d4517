// SPDX-License-Identifier: BSL-1.0
// An eviction policy of your own: second chance (CLOCK). A hit sets a bit; the oldest entry without it
// leaves.
#include <tideover/ttl_cache.hpp>

#include <cstdio>

class second_chance {
 public:
  using policy_axis = tideover::axis::eviction;
  struct hook {
    tideover::entry_links links;
    bool used = false;
  };

  template <class Hooks>
  void on_insert(Hooks hooks, tideover::entry_id id) noexcept {
    hooks[id].used = false;
    queue_.push_front(links(hooks), id);
  }
  template <class Hooks>
  void on_hit(Hooks hooks, tideover::entry_id id) noexcept {
    hooks[id].used = true;
  }
  template <class Hooks>
  void on_remove(Hooks hooks, tideover::entry_id id) noexcept {
    queue_.remove(links(hooks), id);
  }
  template <class Hooks>
  tideover::entry_id victim(Hooks hooks) noexcept {
    while (hooks[queue_.back()].used) {
      hooks[queue_.back()].used = false;
      queue_.move_to_front(links(hooks), queue_.back());
    }
    return queue_.back();
  }

 private:
  template <class Hooks>
  static auto links(Hooks hooks) noexcept {
    return [hooks](tideover::entry_id id) noexcept -> tideover::entry_links& { return hooks[id].links; };
  }
  tideover::entry_list queue_;
};

int main() {
  tideover::ttl_cache<int, int, second_chance> cache({.capacity = 2});
  cache.put(1, 1);
  cache.put(2, 2);
  cache.get(1);
  cache.put(3, 3);
  std::printf("1 %s, 2 %s\n", cache.contains(1) ? "stays" : "left", cache.contains(2) ? "stays" : "left");
}
// expect: 1 stays, 2 left
