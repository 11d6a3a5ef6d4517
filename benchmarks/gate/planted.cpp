// SPDX-License-Identifier: BSL-1.0

// The operation that the planted variant of the gate does more of. In a file of its own, so that the compiler
// makes of all others what it makes of them without that.
#include "gate/fixture.hpp"

#include <cstddef>
#include <utility>

// How often it is done twice; 0: never, which is the gate as it is meant.
#ifndef TIDEOVER_BENCHMARK_PLANT_EVERY
#define TIDEOVER_BENCHMARK_PLANT_EVERY 0
#endif

namespace bench::gate {

namespace {

#if TIDEOVER_BENCHMARK_PLANT_EVERY
struct each_and_some_twice {
  template <class Keys, class Operation>
  void operator()(Keys const& keys, Operation operation) const {
    std::size_t left = TIDEOVER_BENCHMARK_PLANT_EVERY;
    for (auto const& key : keys) {
      bool again = --left == 0;
      if (again) left = TIDEOVER_BENCHMARK_PLANT_EVERY;
      do {
        operation(key);  // in one place, as in the other variant: or it would be inlined here and not there
      } while (std::exchange(again, false));
    }
  }
};
#else
using each_and_some_twice = each_once;
#endif

}  // namespace

operation planted_operation() {
  return get_hit<cache<key_type, value_type>>(planted, entries, each_and_some_twice());
}

}  // namespace bench::gate
