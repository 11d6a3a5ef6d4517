// SPDX-License-Identifier: BSL-1.0
#include "support/streams.hpp"

namespace bench {

std::vector<synthetic_trace> synthetic_traces(std::size_t requests, std::uint64_t seed) {
  constexpr std::size_t universe = 100'000;
  std::vector<synthetic_trace> traces;
  auto const add = [&](char const* name, char const* what, std::vector<std::size_t> capacities) -> auto& {
    traces.push_back({name, what, std::move(capacities), {}});
    return traces.back().keys;
  };
  append(add("zipf_0.70", "Zipf .70 over 100,000 keys", {500, 2'000, 10'000, 50'000}),
         zipf_stream(.70, universe, seed), requests);
  append(add("zipf_0.99", "Zipf .99 over 100,000 keys", {500, 2'000, 10'000, 50'000}),
         zipf_stream(.99, universe, seed + 1), requests);
  append(add("scan", "each key once", {500, 10'000}), scan_stream(), requests / 4);
  append(add("loop_1011", "1,011 keys in turn", {256, 512, 1'000, 2'000}), loop_stream(1'011), requests / 4);
  auto& phases = add("phase_shift", "Zipf .90 over 20,000 keys, a loop of 5,000, Zipf .90 over 20,000 others",
                     {500, 2'000, 8'000});
  append(phases, zipf_stream(.90, 20'000, seed + 2), requests / 3);
  append(phases, loop_stream(5'000, 1'000'000), requests / 3);
  auto moved = zipf_stream(.90, 20'000, seed + 3);
  append(
      phases, [&] { return 2'000'000 + moved(); }, requests / 3);
  return traces;
}

}  // namespace bench
