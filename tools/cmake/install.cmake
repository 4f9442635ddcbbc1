# cmake --install: the library, its public headers, the CMake package and the pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(CAIRN_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/cairn)
set(CAIRN_PKGCONFIG_DIR ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(TARGETS cairn EXPORT cairnTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET cairn_cli)
  install(TARGETS cairn_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# What is in <folder>/internal/ is for the library alone.
foreach(folder engine codecs manager)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cairn/${folder}
          FILES_MATCHING PATTERN "*.h" PATTERN internal EXCLUDE)
endforeach()
install(FILES ${CAIRN_INCLUDE_DIR}/cairn/version.h ${CAIRN_INCLUDE_DIR}/cairn/export.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cairn)
if(EXISTS ${PROJECT_SOURCE_DIR}/manager/cairn.h)
  install(FILES ${PROJECT_SOURCE_DIR}/manager/cairn.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cairn)
endif()
# In the folders that the README's links name.
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/ARCHITECTURE.md ${PROJECT_SOURCE_DIR}/CHANGELOG.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${PROJECT_SOURCE_DIR}/manager/from_orbax.md DESTINATION ${CMAKE_INSTALL_DOCDIR}/manager)
install(FILES ${PROJECT_SOURCE_DIR}/tools/examples/own_item/own_item.cpp
        DESTINATION ${CMAKE_INSTALL_DOCDIR}/tools/examples/own_item)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/cairn)

# ---- find_package(cairn) ------------------------------------------------------------------------
install(EXPORT cairnTargets NAMESPACE cairn:: DESTINATION ${CAIRN_CMAKE_DIR})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/cairnConfig.cmake.in cairnConfig.cmake
                              INSTALL_DESTINATION ${CAIRN_CMAKE_DIR})
# Before 1.0 a minor version may break its users.
write_basic_package_version_file(cairnConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cairnConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/cairnConfigVersion.cmake
        DESTINATION ${CAIRN_CMAKE_DIR})

# ---- pkg-config ---------------------------------------------------------------------------------
# A shared library brings what it was linked with; the users of a static one link that themselves.
set(CAIRN_PC_DEPENDENCIES "liburing libzstd blosc zlib libisal libxxhash tbb fmt")
set(CAIRN_PC_DEFINITIONS "-DBOOST_ASIO_SEPARATE_COMPILATION -DBOOST_ASIO_NO_DEPRECATED")
# bzip2 has no pkg-config file of its own everywhere.
if(BUILD_SHARED_LIBS)
  set(CAIRN_PC_REQUIRES "Requires.private: ${CAIRN_PC_DEPENDENCIES}")
  set(CAIRN_PC_LIBS "")
  string(APPEND CAIRN_PC_DEFINITIONS " -DBOOST_ASIO_DYN_LINK")
else()
  set(CAIRN_PC_REQUIRES "Requires: ${CAIRN_PC_DEPENDENCIES}")
  set(CAIRN_PC_LIBS " -lbz2")
endif()
# Relative, so that the tree may be moved, or installed elsewhere than configured.
file(RELATIVE_PATH CAIRN_PC_PREFIX /${CAIRN_PKGCONFIG_DIR} /)
string(REGEX REPLACE "/$" "" CAIRN_PC_PREFIX ${CAIRN_PC_PREFIX})
configure_file(${CMAKE_CURRENT_LIST_DIR}/cairn.pc.in cairn.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cairn.pc DESTINATION ${CAIRN_PKGCONFIG_DIR})
