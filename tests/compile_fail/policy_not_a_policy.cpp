// SPDX-License-Identifier: BSL-1.0
// expect: tideover: this template argument is not a policy (no `policy_axis` member)
// expect-errors: 2
#include <tideover/policy/policy.hpp>

template <class... Policies>
struct component {
  static_assert(tideover::axes<tideover::axis::clock>::accept<Policies...>);
};

template struct component<int>;
