// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cassert>
#include <cstddef>

/// What the whole library shares with the preprocessor. Every macro here may be defined by the user before
/// the first include, or on the command line; all translation units of a program must agree.

/// `TIDEOVER_ASSERT(condition, text)`: a caller's mistake (a lease outliving its pool, a value read from a
/// result that holds none). Replaceable; the default is `assert`, so it costs nothing under NDEBUG.
#ifndef TIDEOVER_ASSERT
#define TIDEOVER_ASSERT(condition, text) assert((condition) && (text))
#endif

/// 1 when exceptions are on. With -fno-exceptions the throwing verbs are absent, the `try_` verbs remain.
#ifndef TIDEOVER_EXCEPTIONS
#if defined(__cpp_exceptions) || defined(__EXCEPTIONS)
#define TIDEOVER_EXCEPTIONS 1
#else
#define TIDEOVER_EXCEPTIONS 0
#endif
#endif

/// Marks functions that must stay out of the callers' hot path: they throw, grow or report.
#define TIDEOVER_COLD [[gnu::noinline, gnu::cold]]

/// Behind a member function whose result points into its object: clang warns of what would dangle.
#if defined(__clang__)
#define TIDEOVER_LIFETIMEBOUND [[clang::lifetimebound]]
#else
#define TIDEOVER_LIFETIMEBOUND
#endif

namespace tideover::inline v0 {

/// Neighbours that different threads write are this many bytes apart. A constant of our own, because
/// `std::hardware_destructive_interference_size` is missing from clang 14 and varies with -mtune.
inline constexpr std::size_t cache_line = 64;

}  // namespace tideover::inline v0
