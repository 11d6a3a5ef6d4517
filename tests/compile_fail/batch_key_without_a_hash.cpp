// SPDX-License-Identifier: BSL-1.0
// expect: tideover::keyed: what F(item) returns needs a default constructor, copies, operator== and std::hash
#include <tideover/batch_processor.hpp>

struct tenant {
  int id = 0;
  friend bool operator==(tenant const&, tenant const&) = default;
};
tideover::keyed by_tenant([](int i) { return tenant{i}; });
tideover::batch_processor<int, decltype(by_tenant)> b([](std::span<int>) {}, {}, by_tenant);
