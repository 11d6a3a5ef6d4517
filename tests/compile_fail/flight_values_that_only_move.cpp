// SPDX-License-Identifier: BSL-1.0
// expect: tideover::single_flight: each caller gets a copy, so Value must have one
#include <tideover/guarded_cache.hpp>
#include <tideover/single_flight.hpp>

#include <memory>
tideover::single_flight<int, std::unique_ptr<int>> flights;
