// SPDX-License-Identifier: BSL-1.0
#pragma once

/// The test framework, whichever of its versions this machine has: 2.13 (Debian 12) or 3.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
