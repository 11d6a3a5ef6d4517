// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tideover/policy/policy.hpp>

/// The store axis: where a component that loads values keeps them.
namespace tideover::inline v0 {

/// In a cache of its own, made from its options.
struct own_cache {
  using policy_axis = axis::store;
};

/// Nowhere: what has been loaded is given to those who wait, and forgotten.
struct uncached {
  using policy_axis = axis::store;
};

/// In a store that is there already, and outlives the component: anything that models `cache_store`. What
/// else writes to it is not noticed.
template <class Store>
class cache_in {
 public:
  using policy_axis = axis::store;
  using store_type = Store;

  explicit cache_in(Store& store) noexcept : store_(&store) {}
  Store& store() const noexcept { return *store_; }

 private:
  Store* store_;
};

}  // namespace tideover::inline v0
