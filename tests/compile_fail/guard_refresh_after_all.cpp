// SPDX-License-Identifier: BSL-1.0
// expect: tideover::refresh_after: the fraction must be above 0 and below 1
#include <tideover/guarded_cache.hpp>
#include <tideover/single_flight.hpp>

tideover::refresh_after<std::ratio<5, 4>> const late;
bool const says = late({}, {}, {}, {}, *static_cast<tideover::xoshiro*>(nullptr));
