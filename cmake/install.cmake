# SPDX-License-Identifier: BSL-1.0
# What `cmake --install` writes: headers, the CMake package, tideover.pc and the licence. All of it is text and
# names no path of this machine: the prefix may be moved after the installation.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_DATADIR}/cmake/tideover")
set(pkgconfig_dir "${CMAKE_INSTALL_DATADIR}/pkgconfig")

list(TRANSFORM tideover_bridges PREPEND tideover_ OUTPUT_VARIABLE bridge_targets)
install(TARGETS tideover ${bridge_targets} EXPORT tideover-targets FILE_SET HEADERS)
install(EXPORT tideover-targets NAMESPACE tideover:: DESTINATION "${package_dir}")

# A component in the package: the packages that its library may come from.
set(TIDEOVER_COMPONENT_PACKAGES "")
foreach(bridge IN LISTS tideover_bridges)
  string(APPEND TIDEOVER_COMPONENT_PACKAGES "set(tideover_${bridge}_package ${tideover_${bridge}_package})\n"
                                            "set(tideover_${bridge}_library ${tideover_${bridge}_library})\n")
endforeach()
list(JOIN tideover_bridges " " TIDEOVER_BRIDGES)
install(FILES "${CMAKE_CURRENT_LIST_DIR}/find/FindxxHash.cmake" DESTINATION "${package_dir}/find")

configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/tideover-config.cmake.in"
                              "${PROJECT_BINARY_DIR}/package/tideover-config.cmake"
                              INSTALL_DESTINATION "${package_dir}")
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/package/tideover-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)

# pkg-config knows where it found the file; the way from there to the headers survives a move of the prefix.
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_INCLUDEDIR BASE_DIRECTORY "${CMAKE_INSTALL_PREFIX}/${pkgconfig_dir}"
           OUTPUT_VARIABLE include_from_pkgconfig)
configure_file("${CMAKE_CURRENT_LIST_DIR}/tideover.pc.in" "${PROJECT_BINARY_DIR}/package/tideover.pc" @ONLY)

install(FILES "${PROJECT_BINARY_DIR}/package/tideover-config.cmake"
              "${PROJECT_BINARY_DIR}/package/tideover-config-version.cmake" DESTINATION "${package_dir}")
install(FILES "${PROJECT_BINARY_DIR}/package/tideover.pc" DESTINATION "${pkgconfig_dir}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/tideover")
