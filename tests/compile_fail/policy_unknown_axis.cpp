// SPDX-License-Identifier: BSL-1.0
// expect: tideover: this component has no axis for this policy
// expect-errors: 2
#include <tideover/policy/policy.hpp>

template <class... Policies>
struct component {
  static_assert(tideover::axes<tideover::axis::clock>::accept<Policies...>);
};

struct patient {
  using policy_axis = tideover::axis::backoff;
};

template struct component<patient>;
