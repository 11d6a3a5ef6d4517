// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "peers/contestants.hpp"
#include "peers/debian.hpp"
#include "peers/throughput.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

/// What gives a contestant's type its face. Included once for each kind, in a file of its own: it is there
/// that the compiler's time goes.
namespace bench {

template <class Kind, class C>
class contestant_of final : public contestant<Kind> {
 public:
  using key_span = typename contestant<Kind>::key_span;

  explicit contestant_of(std::size_t capacity) : cache_(capacity) {}

  std::string name() const override { return C::name; }
  std::string set_up() const override { return C::set_up; }
  bool may_be_shared() const override { return C::may_be_shared; }

  bool takes_part_in(workload w) const override {
    switch (w) {
      case workload::all_hit:
      case workload::hot_key:
        return reads<C, Kind>;
      case workload::mixed:
        return reads<C, Kind> && writes<C, Kind>;
      case workload::read_through:
      case workload::scan:
        return reads_through<C, Kind>;
    }
    return false;
  }

  void fill(key_span keys) override {
    if constexpr (writes<C, Kind>) {
      for (auto const& key : keys) cache_.put(key);
    }
  }

  std::uint64_t run(workload w, key_span keys) override {
    std::uint64_t sum = 0;
    switch (w) {
      case workload::all_hit:
      case workload::hot_key:
        if constexpr (reads<C, Kind>) {
          for (auto const& key : keys) cache_.read(key, sum);
        }
        break;
      case workload::mixed:
        if constexpr (reads<C, Kind> && writes<C, Kind>) {
          std::size_t i = 0;
          for (auto const& key : keys) {
            if (++i % 4 == 0) {
              cache_.put(key);
            } else {
              cache_.read(key, sum);
            }
          }
        }
        break;
      case workload::read_through:
      case workload::scan:
        if constexpr (reads_through<C, Kind>) {
          for (auto const& key : keys) sum += cache_.read_through(key);
        }
        break;
    }
    return sum;
  }

 private:
  C cache_;
};

template <class Kind, class C>
std::unique_ptr<contestant<Kind>> enter(std::size_t capacity) {
  return std::make_unique<contestant_of<Kind, C>>(capacity);
}

template <class Kind, class... C>
void enter_debian(std::vector<entry<Kind>>& all, std::tuple<C*...>) {
  (all.push_back(&enter<Kind, C>), ...);
}

/// The subject, those that everybody has, those of Debian; then the subject with other evictions.
template <class Kind, class... OtherEvictions>
std::vector<entry<Kind>> all_entries(bool every_eviction) {
  std::vector<entry<Kind>> all = {&enter<Kind, ours<Kind, tideover::steered>>, &enter<Kind, list_map<Kind>>,
                                  &enter<Kind, flat_map<Kind>>};
  enter_debian<Kind>(all, debian_peers<Kind>());
  if (every_eviction) (all.push_back(&enter<Kind, ours<Kind, OtherEvictions>>), ...);
  return all;
}

}  // namespace bench
