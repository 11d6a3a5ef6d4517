// SPDX-License-Identifier: BSL-1.0
// expect: tideover::basic_cache_key: see tideover::digest_policy in <tideover/policy/digest.hpp>
#include <tideover/cache_key.hpp>

// A digest of 64 bits.
struct too_short {
  using policy_axis = tideover::axis::digest;
  unsigned long operator()(std::string_view text) const { return text.size(); }
};

tideover::basic_cache_key<too_short> const key("q");
