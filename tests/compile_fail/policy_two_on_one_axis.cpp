// SPDX-License-Identifier: BSL-1.0
// expect: tideover: two policies were given for one axis
// expect-errors: 2
#include <tideover/policy/policy.hpp>

template <class... Policies>
struct component {
  static_assert(tideover::axes<tideover::axis::clock>::accept<Policies...>);
};

struct quartz {
  using policy_axis = tideover::axis::clock;
};
struct sundial {
  using policy_axis = tideover::axis::clock;
};

template struct component<quartz, sundial>;
