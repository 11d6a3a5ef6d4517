// SPDX-License-Identifier: BSL-1.0
// expect: tideover::pipeline: a stage cannot be called with what the stage before it returns
#include <tideover/parallel.hpp>

#include <vector>

struct parsed {};

void use(tideover::inline_run& here, std::vector<int>& items) {
  tideover::pipeline line([](int) { return parsed(); }, [](int i) { return i; });
  line.run(here, items);
}
