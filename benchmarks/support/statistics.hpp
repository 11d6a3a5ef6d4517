// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace bench {

/// Where the middle of a sample lies. `low` and `high` bound the median of what was sampled with at least
/// 95 % confidence, by order statistics: nothing is assumed about the shape of the distribution, which on a
/// shared machine has a long tail.
struct median_summary {
  std::size_t count = 0;
  double median = 0;
  double first_quartile = 0;
  double third_quartile = 0;
  double low = 0;
  double high = 0;
};
median_summary summarise(std::vector<double> sample);

/// The mean of a few independent runs (seeds) and the half width of its 95 % interval by Student's t; 0 for
/// a single run.
struct mean_summary {
  std::size_t count = 0;
  double mean = 0;
  double half_width = 0;
};
mean_summary mean_of(std::span<double const> runs);

}  // namespace bench
