// SPDX-License-Identifier: BSL-1.0
// expect: tideover::batch_processor: moving and destroying an item may not throw, or one could be lost
#include <tideover/batch_processor.hpp>

struct clumsy {
  clumsy() = default;
  clumsy(clumsy&&) noexcept(false) {}
};
tideover::batch_processor<clumsy> b([](std::span<clumsy>) {});
