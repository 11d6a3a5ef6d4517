// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/config.hpp>
#include <tideover/detail/hazard.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace tideover::inline v0::detail {

/// What reads that take no lock have come to. Each of the first threads counts on a cache line of its own,
/// with no locked instruction; those beyond share one. Sums are exact when no read is under way.
template <class Allocator>
class read_counts {
 public:
  enum kind : unsigned { hits, misses, negative_hits };

  explicit read_counts(Allocator const& allocator)
      : lines_(own_lines() + 1, line_allocator(allocator)),
        first_(lines_.data()),
        shared_(lines_.size() - 1) {}
  read_counts(read_counts const&) = delete;
  read_counts& operator=(read_counts const&) = delete;

  /// By a thread that has a hazard record.
  [[gnu::always_inline]] void add(hazard_record const& thread, kind k) noexcept {
    if (thread.number < shared_) {
      auto& count = first_[thread.number].counts[k];
      count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    } else {
      first_[shared_].counts[k].fetch_add(1, std::memory_order_relaxed);
    }
  }
  std::uint64_t sum(kind k) const noexcept {
    std::uint64_t n = 0;
    for (line const& l : lines_) n += l.counts[k].load(std::memory_order_relaxed);
    return n;
  }

 private:
  struct alignas(cache_line) line {
    std::array<std::atomic<std::uint64_t>, 3> counts{};
  };
  using line_allocator = typename std::allocator_traits<Allocator>::template rebind_alloc<line>;

  /// Twice as many as can run at once: some threads wait.
  static std::size_t own_lines() noexcept {
    return std::clamp<std::size_t>(std::bit_ceil(2 * std::size_t{std::thread::hardware_concurrency()}), 8,
                                   64);
  }

  std::vector<line, line_allocator> lines_;
  line* first_;  // for a step less
  std::size_t shared_;
};

/// Stands where every read takes the lock, and is counted under it.
struct no_read_counts {
  template <class Allocator>
  explicit no_read_counts(Allocator const&) noexcept {}
};

}  // namespace tideover::inline v0::detail
