// SPDX-License-Identifier: BSL-1.0
#include "support/statistics.hpp"

#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/students_t.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace bench {

namespace {

/// The value at share `p` of a sorted sample, interpolated between neighbours.
double quantile(std::vector<double> const& sorted, double p) {
  double const at = p * static_cast<double>(sorted.size() - 1);
  auto const below = static_cast<std::size_t>(at);
  auto const above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], at - static_cast<double>(below));
}

}  // namespace

median_summary summarise(std::vector<double> sample) {
  if (sample.empty()) return {};
  std::sort(sample.begin(), sample.end());
  auto const n = sample.size();
  // The k-th smallest and k-th largest enclose the true median unless fewer than k values fall on one side
  // of it, and how many fall there is binomial (n, 1/2). The largest k that is wrong in at most 2.5 % of
  // the cases on each side:
  boost::math::binomial_distribution<> const side(static_cast<double>(n), .5);
  std::size_t k = 0;
  while (boost::math::cdf(side, static_cast<double>(k)) <= .025) ++k;
  auto const outermost = k == 0 ? 0 : k - 1;
  return {n,
          quantile(sample, .5),
          quantile(sample, .25),
          quantile(sample, .75),
          sample[outermost],
          sample[n - 1 - outermost]};
}

mean_summary mean_of(std::span<double const> runs) {
  if (runs.empty()) return {};
  auto const n = static_cast<double>(runs.size());
  double const mean = std::accumulate(runs.begin(), runs.end(), 0.0) / n;
  if (runs.size() == 1) return {1, mean, 0};
  double squares = 0;
  for (double const x : runs) squares += (x - mean) * (x - mean);
  double const t = boost::math::quantile(boost::math::students_t(n - 1), .975);
  return {runs.size(), mean, t * std::sqrt(squares / (n - 1) / n)};
}

}  // namespace bench
