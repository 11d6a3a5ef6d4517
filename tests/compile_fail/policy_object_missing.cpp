// SPDX-License-Identifier: BSL-1.0
// expect: tideover: this policy has no default; pass an object of it to the constructor
#include <tideover/policy/policy.hpp>

struct quartz {
  using policy_axis = tideover::axis::clock;
  explicit quartz(int) {}
};

int main() { tideover::detail::take_policy<quartz>(); }
