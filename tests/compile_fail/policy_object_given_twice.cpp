// SPDX-License-Identifier: BSL-1.0
// expect: tideover: two objects of one policy were passed to the constructor
// expect-errors: 2
#include <tideover/policy/policy.hpp>

struct quartz {
  using policy_axis = tideover::axis::clock;
};

int main() {
  quartz one, two;
  tideover::detail::take_policy<quartz>(one, two);
}
