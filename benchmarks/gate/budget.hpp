// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace bench::gate {

/// What the operations may cost, and where that was measured. A file of lines, so that a change of it reads
/// well:
///
///     built: GNU 12.2.0, -std=c++20 -O3 -DNDEBUG; ...
///     processor: AMD EPYC
///     instructions 101.00 get hit, default
///     ratio 7.412 get hit, default / find
struct budget {
  std::string built;                           // counts of another build are not compared
  std::string processor;                       // ratios of another processor are not compared
  std::map<std::string, double> instructions;  // per operation
  std::map<std::string, double> ratios;        // time of an operation over that of its baseline
};

/// Throws std::runtime_error that names the line that it could not read.
budget read_budget(std::filesystem::path const& file);
void write_budget(std::filesystem::path const& file, budget const& b);

}  // namespace bench::gate
