# SPDX-License-Identifier: BSL-1.0
# The bridges: a target for each header that links a library of its own. The libraries are looked for only where a
# bridge is asked for: TIDEOVER_COMPONENTS for who builds with these sources, the COMPONENTS of find_package for
# who has them installed.
list(APPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}/find")

set(tideover_bridges fmt openssl xxhash)
set(tideover_fmt_library fmt::fmt)
set(tideover_openssl_library OpenSSL::Crypto)
set(tideover_xxhash_library xxHash::xxhash)
set(tideover_fmt_package fmt 9)
set(tideover_openssl_package OpenSSL 1.1.1)
set(tideover_xxhash_package xxHash 0.8)

if(TIDEOVER_BUILD_TESTS OR TIDEOVER_BUILD_BENCHMARKS OR TIDEOVER_BUILD_EXAMPLES)
  set(wanted "${tideover_bridges}")
else()
  set(wanted "")
endif()
set(TIDEOVER_COMPONENTS "${wanted}" CACHE STRING "The bridges to look for libraries for: ${tideover_bridges}")

foreach(bridge IN LISTS TIDEOVER_COMPONENTS)
  if(NOT bridge IN_LIST tideover_bridges)
    message(FATAL_ERROR "TIDEOVER_COMPONENTS: there is no bridge \"${bridge}\"; there are: ${tideover_bridges}")
  endif()
  if(NOT TARGET ${tideover_${bridge}_library})
    find_package(${tideover_${bridge}_package} REQUIRED)
  endif()
endforeach()

foreach(bridge IN LISTS tideover_bridges)
  add_library(tideover_${bridge} INTERFACE)
  add_library(tideover::${bridge} ALIAS tideover_${bridge})
  set_target_properties(tideover_${bridge} PROPERTIES EXPORT_NAME ${bridge})
  target_link_libraries(tideover_${bridge} INTERFACE tideover ${tideover_${bridge}_library})
endforeach()
