// SPDX-License-Identifier: BSL-1.0
// expect: tideover::ttl_cache: see tideover::expiry_policy in <tideover/policy/expiry.hpp>
#include <tideover/ttl_cache.hpp>

#include <chrono>

// It has no deadline.
struct endless_expiry {
  using policy_axis = tideover::axis::expiry;
  static constexpr bool expires = true;
  struct hook {};
  void on_write(hook&, tideover::instant, std::chrono::nanoseconds) const noexcept {}
  void on_hit(hook&, tideover::instant) const noexcept {}
};

tideover::ttl_cache<int, int, endless_expiry> cache({});
