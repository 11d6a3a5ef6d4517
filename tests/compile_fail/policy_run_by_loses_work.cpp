// SPDX-License-Identifier: BSL-1.0
// expect: tideover::run_by: a function that can refuse work takes task&, or what it refuses is lost
#include <tideover/policy/executor.hpp>

struct refuses {
  bool operator()(tideover::task) const { return false; }
};

bool post(tideover::run_by<refuses>& executor, tideover::task& work) { return executor.try_post(work); }
