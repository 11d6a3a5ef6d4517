// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

/// The operations that the regression gate watches. All is fixed that could make one run differ from the
/// next: seeds of hash and generator, keys and their order, and the time, which is asked for and then
/// ignored.
namespace bench::gate {

struct operation {
  std::string name;
  std::string baseline;           // the name of one of `baselines()`; empty: its time is not judged
  std::size_t count;              // operations of a run
  std::function<void()> prepare;  // before each run, not measured
  std::function<void()> run;
};

std::vector<operation> operations();
/// Of these, what stands in front of a back-end besides the cache: guard, breaker, batch, loader, pool.
void add_backends(std::vector<operation>& all);

/// What the time of an operation is held against: code of others, in the same binary.
std::vector<operation> baselines();

/// The operation that the planted variant of this program does a twentieth more of.
inline constexpr char const* planted = "get hit, default";
operation planted_operation();

}  // namespace bench::gate
