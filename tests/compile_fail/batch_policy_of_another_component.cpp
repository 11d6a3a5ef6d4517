// SPDX-License-Identifier: BSL-1.0
// expect: tideover: this component has no axis for this policy
#include <tideover/batch_processor.hpp>
#include <tideover/policy/trip/consecutive_failures.hpp>

tideover::batch_processor<int, tideover::consecutive_failures> b([](std::span<int>) {});
