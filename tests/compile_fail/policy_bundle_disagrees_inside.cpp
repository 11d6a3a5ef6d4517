// SPDX-License-Identifier: BSL-1.0
// expect: tideover: two bundles disagree on one axis (name the policy directly to decide)
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
struct watchmaker : tideover::bundle<quartz> {};
struct museum : tideover::bundle<watchmaker, tideover::bundle<sundial>> {};

template struct component<museum>;
