// SPDX-License-Identifier: BSL-1.0
#pragma once

/// The version of tideover, read by CMake from here. Everything sits in `tideover::v<major>`, an inline
/// namespace, so that two major versions can be linked into one program.
#define TIDEOVER_VERSION_MAJOR 0
#define TIDEOVER_VERSION_MINOR 1
#define TIDEOVER_VERSION_PATCH 0
