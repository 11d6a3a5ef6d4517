// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/catch.hpp"

#include <tideover/batch_processor.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

/// What the tests of the batch processor share.
namespace tideover_test {

using namespace std::chrono_literals;
using tideover::batch_event;
using tideover::batch_event_kind;
using tideover::batch_options;
using tideover::batch_processor;
using tideover::batch_stats;
using tideover::batch_trigger;
using tideover::errc;
using tideover::instant;
using tideover::manual_clock;
using tideover::outcome;

struct sink_down : std::exception {};

/// Writes down what it was given and says what it is told to say.
struct recorder {
  std::vector<std::vector<int>> calls{};
  std::function<std::vector<outcome>(std::span<int>)> answer{};

  auto sink() {
    return [this](std::span<int> batch) {
      calls.emplace_back(batch.begin(), batch.end());
      if (answer) return answer(batch);
      return std::vector<outcome>(batch.size());
    };
  }
};

/// A listener that writes down what it hears.
struct event_list {
  using policy_axis = tideover::axis::listener;
  std::vector<batch_event>* events;
  bool throws = false;
  void on_event(batch_event const& e) {
    events->push_back(e);
    if (throws) throw sink_down();
  }
};

/// By hand, in a time that stands still.
template <class... Policies>
using by_hand = batch_processor<int, manual_clock, tideover::hand_driven, Policies...>;

template <class Batches>
void add_all(Batches& b, std::initializer_list<int> items) {
  for (int i : items) REQUIRE(b.add(i));
}

inline bool adds_up(batch_stats const& s) {
  std::uint64_t sealed = 0;
  for (auto const n : s.items_by) sealed += n;
  return s.accepted == s.delivered + s.failed + s.pending &&
         s.failed == s.failed_by_sink + s.expired + s.cancelled + s.dropped + s.shut_down + s.mismatched &&
         s.accepted == sealed + s.open + s.cancelled + s.dropped;
}

using calls_of = std::vector<std::vector<int>>;

}  // namespace tideover_test

using namespace tideover_test;
