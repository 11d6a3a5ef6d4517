// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// What the reference implementations reached on one trace at one capacity: hit ratios between 0 and 1.
struct reference_pair {
  std::string trace;
  std::size_t capacity = 0;
  std::map<std::string, double, std::less<>> hit_ratio;

  std::optional<double> of(std::string_view algorithm) const {
    auto const at = hit_ratio.find(algorithm);
    return at == hit_ratio.end() ? std::nullopt : std::optional(at->second);
  }
};

/// Reads `reference_hit_ratios.csv` (trace,capacity,algorithm,hit_ratio), in the order of the file. Throws
/// std::runtime_error that names the line that it could not read.
std::vector<reference_pair> read_reference(std::filesystem::path const& file);

}  // namespace bench
