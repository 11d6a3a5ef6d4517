// SPDX-License-Identifier: BSL-1.0
#include "two.hpp"

void put_in_two(pages& cache) { cache.put("two", 2); }

std::error_code timed_out_in_two() { return tideover::errc::timed_out; }
