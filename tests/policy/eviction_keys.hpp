// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/eviction.hpp>
#include <tideover/policy/locking.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

/// An eviction policy by itself under a stream of keys, as a cache of one shard would use it: what is asked
/// for is hit or brought in, what is too much leaves, and now and then something is erased, replaced or the
/// capacity changes.
namespace tideover_test {

using tideover::entry_id;
using tideover::no_entry;

/// One to one, so that a policy that goes by hashes goes by keys.
inline std::uint32_t hash_of_key(std::uint32_t key) {
  key = (key ^ key >> 16) * 0x7FEB'352Du;
  key = (key ^ key >> 15) * 0x846C'A68Bu;
  return key ^ key >> 16;
}

template <class Policy, class Locking = tideover::single_threaded>
class keyed_policy {
 public:
  using allocator = std::allocator<std::byte>;
  using shared_type = typename tideover::detail::shared_part<Policy, Locking, allocator>::type;

  struct view {
    keyed_policy* self;
    typename Policy::hook& operator[](entry_id id) const noexcept { return self->entries_[id].hook; }
    std::uint32_t hash(entry_id id) const noexcept { return hash_of_key(self->entries_[id].key); }
    std::size_t shard() const noexcept { return 0; }
    shared_type& shared() const noexcept { return self->shared; }
    template <class T>
    tideover::relaxed_ref<T, Locking::is_shared> relaxed(T& x) const noexcept {
      return tideover::relaxed_ref<T, Locking::is_shared>(x);
    }
  };

  keyed_policy(std::size_t capacity, std::uint64_t seed)
      : shared(capacity, std::size_t{1}, seed, allocator()), capacity_(capacity) {
    entries_.reserve(1 << 16);
    tell_capacity();
  }

  view hooks() { return {this}; }
  std::optional<entry_id> find(std::uint32_t key) const {
    auto const at = resident_.find(key);
    return at == resident_.end() ? std::nullopt : std::optional(at->second);
  }
  std::uint32_t key_of(entry_id id) const { return entries_[id].key; }
  std::size_t size() const { return resident_.size(); }
  std::size_t capacity() const { return capacity_; }
  std::map<std::uint32_t, entry_id> const& resident() const { return resident_; }

  void hit(entry_id id) { policy.on_hit(hooks(), id); }
  entry_id insert(std::uint32_t key) {
    entry_id const id = slot(key);
    resident_[key] = id;
    policy.on_insert(hooks(), id);
    return id;
  }
  /// Who leaves, if there is too much.
  std::optional<entry_id> evict() {
    if (size() <= capacity_) return std::nullopt;
    entry_id const id = policy.victim(hooks());
    if (id != no_entry) remove(id);
    return id;
  }
  void remove(entry_id id) {
    policy.on_remove(hooks(), id);
    resident_.erase(key_of(id));
    spare_.push_back(id);
  }
  /// A new entry in the place of the old one.
  void replace(entry_id old) {
    std::uint32_t const key = key_of(old);
    entry_id const id = slot(key);
    if constexpr (requires { policy.on_replace(hooks(), old, id); }) {
      policy.on_replace(hooks(), old, id);
    } else {
      policy.on_remove(hooks(), old);
      policy.on_insert(hooks(), id);
    }
    resident_[key] = id;
    spare_.push_back(old);
  }
  void set_capacity(std::size_t n) {
    capacity_ = n;
    if constexpr (requires { shared.set_capacity(n); }) shared.set_capacity(n);
    tell_capacity();
  }
  /// As a cache does it: hit, or bring in and evict. Whether it was there.
  bool access(std::uint32_t key) {
    if (auto const id = find(key)) {
      hit(*id);
      return true;
    }
    insert(key);
    while (evict()) {
    }
    return false;
  }

  shared_type shared;
  Policy policy;

 private:
  struct entry {
    std::uint32_t key = 0;
    typename Policy::hook hook{};
  };
  void tell_capacity() {
    if constexpr (requires { policy.set_capacity(capacity_); }) policy.set_capacity(capacity_);
  }
  entry_id slot(std::uint32_t key) {
    entry_id id = 0;
    if (spare_.empty()) {
      id = static_cast<entry_id>(entries_.size());
      entries_.emplace_back();
    } else {
      id = spare_.back();
      spare_.pop_back();
    }
    entries_[id].key = key;
    return id;
  }

  std::size_t capacity_;
  std::vector<entry> entries_;
  std::vector<entry_id> spare_;
  std::map<std::uint32_t, entry_id> resident_;
};

/// Walks the policy beside an oracle, which has `insert`, `hit`, `replace`, `remove` and `set_capacity`, and
/// `may_leave(key)`: whether this is who has to go, of which it takes note. Empty, or what went wrong.
template <class Policy, class Oracle>
std::string walk_keys(keyed_policy<Policy>& subject, Oracle& oracle, std::size_t steps, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::size_t const most = subject.capacity();
  std::uint32_t loop = 0;
  std::size_t phase = 0;
  auto const below = [&](std::size_t n) { return static_cast<std::uint32_t>(random() % n); };
  auto const some_key = [&]() -> std::uint32_t {
    switch (phase % 4) {
      case 0:  // few are popular
        return below(1 + below(3 * most));
      case 1:  // a loop that does not fit
        return 1'000'000 + loop++ % static_cast<std::uint32_t>(most + most / 4 + 1);
      case 2:  // each key twice
        ++loop;
        return 2'000'000 + loop / 2 + loop % 2 * static_cast<std::uint32_t>(most / 2);
      default:
        return below(4 * most);
    }
  };
  auto const someone = [&] {
    auto at = subject.resident().begin();
    std::advance(at, static_cast<std::ptrdiff_t>(random() % subject.size()));
    return at->second;
  };
  for (std::size_t step = 1; step <= steps; ++step) {
    if (random() % (20 * most + 50) == 0) ++phase;
    std::uint64_t const dice = random() % 1000;
    if (dice < 20 && subject.size() != 0) {
      entry_id const id = someone();
      oracle.remove(subject.key_of(id));
      subject.remove(id);
    } else if (dice < 40 && subject.size() != 0) {
      entry_id const id = someone();
      std::uint32_t const key = subject.key_of(id);
      subject.replace(id);
      oracle.replace(key);
    } else if (dice < 42) {
      std::size_t const n = random() % 2 == 0 ? most : 1 + random() % most;
      subject.set_capacity(n);
      oracle.set_capacity(n);
    } else {
      std::uint32_t const key = some_key();
      if (auto const id = subject.find(key)) {
        subject.hit(*id);
        oracle.hit(key);
      } else {
        subject.insert(key);
        oracle.insert(key);
      }
    }
    while (auto const out = subject.evict()) {
      if (*out != no_entry && oracle.may_leave(subject.key_of(*out))) continue;
      return "step " + std::to_string(step) + ": evicted key " +
             (*out == no_entry ? "none" : std::to_string(subject.key_of(*out))) + ", not " +
             oracle.expected() + " (seed " + std::to_string(seed) + ")";
    }
  }
  return {};
}

}  // namespace tideover_test
