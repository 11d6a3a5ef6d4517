// SPDX-License-Identifier: BSL-1.0
// expect-success
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
struct watchmaker : tideover::bundle<quartz> {};
struct gardener : tideover::bundle<sundial> {};

template struct component<watchmaker, gardener, sundial>;
static_assert(__is_same(sundial,
                        tideover::policy_for<tideover::axis::clock, void, watchmaker, gardener, sundial>));
