// SPDX-License-Identifier: BSL-1.0
// expect: tideover::batch_processor: a journal has one entry for each item
#include <tideover/batch_processor.hpp>

struct journal {
  using policy_axis = tideover::axis::journal;
  static constexpr bool keeps = true;
  using entry_type = int;
  int append(int const&) { return 0; }
  void retire(int const&) {}
};
struct self {
  int operator()(int i) const { return i; }
};
tideover::batch_processor<int, journal, tideover::dedupe_by<self>> b([](std::span<int>) {});
