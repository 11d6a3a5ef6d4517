// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "tideover_all_headers.hpp"

#include <string>
#include <system_error>

/// What one.cpp asks of two.cpp: the same cache type, used in both.
using pages = tideover::ttl_cache<std::string, int>;
void put_in_two(pages& cache);
std::error_code timed_out_in_two();
