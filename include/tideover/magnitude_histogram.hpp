// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace tideover::inline v0 {

/// How often values of each magnitude occurred: bucket 0 counts zeros, bucket n values from 2^(n-1) to 2^n
/// - 1.
struct magnitude_histogram {
  std::array<std::uint64_t, 65> buckets{};
  std::uint64_t count = 0;
  double sum = 0;

  constexpr void add(std::uint64_t value) noexcept {
    ++buckets[static_cast<std::size_t>(std::bit_width(value))];
    ++count;
    sum += static_cast<double>(value);
  }
  constexpr void add(magnitude_histogram const& other) noexcept {
    for (std::size_t i = 0; i != buckets.size(); ++i) buckets[i] += other.buckets[i];
    count += other.count;
    sum += other.sum;
  }
  constexpr double mean() const noexcept { return count == 0 ? 0.0 : sum / static_cast<double>(count); }
};

}  // namespace tideover::inline v0
