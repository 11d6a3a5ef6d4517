// SPDX-License-Identifier: BSL-1.0

// The operation that the planted variant of the gate does more of. In a file of its own, so that the compiler
// makes of all others what it makes of them without that.
#include "gate/fixture.hpp"

#include <cstddef>
#include <utility>

// Of so many one is done twice; by default none, which is the gate as it is meant. The same code in both, so
// that the compiler makes the same of it.
#ifndef TIDEOVER_BENCHMARK_PLANT_EVERY
#define TIDEOVER_BENCHMARK_PLANT_EVERY 1'000'000'000
#endif

namespace bench::gate {

namespace {

struct each_and_some_twice {
  template <class Keys, class Operation>
  void operator()(Keys const& keys, Operation operation) const {
    std::size_t left = TIDEOVER_BENCHMARK_PLANT_EVERY;
    for (auto const& key : keys) {
      bool again = --left == 0;
      if (again) left = TIDEOVER_BENCHMARK_PLANT_EVERY;
      do {
        operation(key);
      } while (std::exchange(again, false));
    }
  }
};

}  // namespace

operation planted_operation() {
  return get_hit<cache<key_type, value_type>>(planted, entries, each_and_some_twice());
}

}  // namespace bench::gate
