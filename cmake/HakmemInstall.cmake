# What `cmake --install` puts where. Everything finds its neighbours by relative paths, so a prefix can be moved.
# Components are the Debian packages of HakmemPackages.cmake.

include(CMakePackageConfigHelpers)

set(HAKMEM_CMAKE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/hakmem")
set(HAKMEM_PKGCONFIG_DIR "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(
    RELATIVE_PATH HAKMEM_PKGCONFIG_TO_PREFIX "${CMAKE_INSTALL_PREFIX}/${HAKMEM_PKGCONFIG_DIR}" "${CMAKE_INSTALL_PREFIX}"
)

function(hakmem_install_libraries export runtime_component development_component)
    install(
        TARGETS ${ARGN}
        EXPORT ${export}
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT ${runtime_component}
                NAMELINK_COMPONENT ${development_component}
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT ${development_component}
    )
    install(
        EXPORT ${export}
        NAMESPACE hakmem::
        DESTINATION "${HAKMEM_CMAKE_DIR}"
        COMPONENT ${development_component}
    )
endfunction()

function(hakmem_install_pkgconfig name component)
    configure_file("${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in" "${PROJECT_BINARY_DIR}/${name}.pc" @ONLY)
    install(FILES "${PROJECT_BINARY_DIR}/${name}.pc" DESTINATION "${HAKMEM_PKGCONFIG_DIR}" COMPONENT ${component})
endfunction()

hakmem_install_libraries(hakmemTargets libhakmem0 libhakmem-dev hakmem hakmem_static)
hakmem_install_pkgconfig(hakmem libhakmem-dev)
install(FILES include/hakmem.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT libhakmem-dev)

configure_package_config_file(
    cmake/hakmemConfig.cmake.in "${PROJECT_BINARY_DIR}/hakmemConfig.cmake" INSTALL_DESTINATION "${HAKMEM_CMAKE_DIR}"
)
# Before 1.0 a new minor version may break the contract.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/hakmemConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(
    FILES "${PROJECT_BINARY_DIR}/hakmemConfig.cmake" "${PROJECT_BINARY_DIR}/hakmemConfigVersion.cmake"
    DESTINATION "${HAKMEM_CMAKE_DIR}"
    COMPONENT libhakmem-dev
)

install(FILES README.md CHANGELOG.md LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT libhakmem-dev)
install(
    DIRECTORY examples
    DESTINATION "${CMAKE_INSTALL_DOCDIR}"
    COMPONENT libhakmem-dev
    FILES_MATCHING
    PATTERN "examples/python" EXCLUDE
    PATTERN "*.[ch]"
    PATTERN "*.lua"
    PATTERN "compare"
    PATTERN "README.md"
    PATTERN "CMakeLists.txt"
)

if(HAKMEM_BUILD_LUA)
    set_target_properties(hakmem_lua PROPERTIES EXPORT_NAME lua)
    set_target_properties(hakmem_lua_static PROPERTIES EXPORT_NAME lua_static)
    hakmem_install_libraries(hakmemLuaTargets libhakmem-lua0 libhakmem-lua-dev hakmem_lua hakmem_lua_static)
    hakmem_install_pkgconfig(hakmem_lua libhakmem-lua-dev)
    if(HAKMEM_OTHER_LUAS)
        install(
            TARGETS ${HAKMEM_OTHER_LUAS} ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT libhakmem-lua-dev
        )
    endif()
    install(
        FILES bindings/lua/hakmem_lua.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT libhakmem-lua-dev
    )
    install(
        TARGETS hakmem_lua_module LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}/${HAKMEM_LUA_MODULE_DIR}"
                                          COMPONENT lua-hakmem
    )
    install(
        FILES bindings/lua/module/hakmem.d.lua
        DESTINATION "${CMAKE_INSTALL_DATADIR}/hakmem/lua"
        COMPONENT lua-hakmem
    )
    install(TARGETS hklua RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT hklua)
endif()

if(TARGET hakmem_malloc)
    set_target_properties(hakmem_malloc PROPERTIES EXPORT_NAME malloc)
    hakmem_install_libraries(hakmemMallocTargets hakmem-malloc hakmem-malloc hakmem_malloc)
    install(FILES "${HAKMEM_MALLOC_OBJECT}" DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT hakmem-malloc)
    install(TARGETS hakmem_run RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT hakmem-malloc)
endif()

if(HAKMEM_BUILD_BENCH)
    install(TARGETS hkbench hkbench-lua RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT hakmem-bench)
    install(
        DIRECTORY bench/lua
        DESTINATION "${CMAKE_INSTALL_DATADIR}/hakmem/bench"
        COMPONENT hakmem-bench
        FILES_MATCHING
        PATTERN "*.lua"
    )
    install(DIRECTORY bench/programs DESTINATION "${CMAKE_INSTALL_DATADIR}/hakmem/bench" COMPONENT hakmem-bench)
endif()
