// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "peers/kinds.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

/// The contestants without their types, so that one program measures all of them in turn.
namespace bench {

enum class workload { all_hit, read_through, mixed, hot_key, scan };

template <class Kind>
class contestant {
 public:
  using key_span = std::span<typename Kind::key const>;

  virtual ~contestant() = default;
  virtual std::string name() const = 0;
  virtual std::string set_up() const = 0;
  virtual bool may_be_shared() const = 0;
  virtual bool takes_part_in(workload) const = 0;
  /// Puts each key once.
  virtual void fill(key_span) = 0;
  /// One operation of the workload for each key. What it returns depends on every value that was read.
  virtual std::uint64_t run(workload, key_span) = 0;
};

/// Makes a contestant of a capacity.
template <class Kind>
using entry = std::unique_ptr<contestant<Kind>> (*)(std::size_t capacity);

/// All that can be had, the subject first. `every_eviction`: with what else ttl_cache offers behind it.
template <class Kind>
std::vector<entry<Kind>> entries(bool every_eviction);
template <>
std::vector<entry<numbers>> entries<numbers>(bool every_eviction);
template <>
std::vector<entry<texts>> entries<texts>(bool every_eviction);

}  // namespace bench
