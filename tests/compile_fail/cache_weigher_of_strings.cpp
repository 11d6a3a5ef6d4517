// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ttl_cache: see tideover::weigher_policy in <tideover/policy/weigher.hpp>
#include <tideover/ttl_cache.hpp>

#include <string>

// It weighs values of another type.
struct weigher_of_strings {
  using policy_axis = tideover::axis::weigher;
  static constexpr bool weighs = true;
  std::size_t operator()(int, std::string const& value) const { return value.size(); }
};

tideover::ttl_cache<int, int, weigher_of_strings> cache({});
