# SPDX-License-Identifier: BSL-1.0
# What our own tests, examples and benchmarks share. None of it reaches a user of tideover::tideover.

# The law for our own code. An interface target, so that it is written once.
add_library(tideover_warnings INTERFACE)
set(tideover_warning_flags -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast -Werror)
target_compile_options(tideover_warnings INTERFACE ${tideover_warning_flags})
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Once it optimises, g++ 12 takes the value of an empty std::optional for one that is used uninitialised.
  target_compile_options(tideover_warnings INTERFACE -Wno-maybe-uninitialized)
endif()

# With a compiler's cache the second build of a clean checkout is a matter of seconds.
if(PROJECT_IS_TOP_LEVEL AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(TIDEOVER_CCACHE ccache)
  mark_as_advanced(TIDEOVER_CCACHE)
  if(TIDEOVER_CCACHE)
    # Paths count from the source directory, so that one clean checkout profits from another.
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=1
                                    "${TIDEOVER_CCACHE}")
  endif()
endif()

set(CMAKE_CXX_EXTENSIONS OFF)
