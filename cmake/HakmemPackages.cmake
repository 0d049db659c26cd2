# Debian packages: `cpack -G DEB` in the build folder. One component is one package of the same name.

set(CPACK_PACKAGE_NAME hakmem)
set(CPACK_PACKAGE_VENDOR "hakmem")
set(CPACK_PACKAGE_CONTACT "The hakmem authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DIRECTORY "${PROJECT_BINARY_DIR}/packages")
set(CPACK_STRIP_FILES ON)
set(CPACK_GENERATOR DEB)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${PROJECT_BINARY_DIR}/lib")
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(HAKMEM_SAME_VERSION "(= ${PROJECT_VERSION})")

# hakmem_package(NAME SECTION SUMMARY [DEPENDS]) also gives the package its copyright file, as Debian's policy asks.
macro(hakmem_package name section summary)
    string(TOUPPER "${name}" upper)
    list(APPEND CPACK_COMPONENTS_ALL ${name})
    set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${name})
    set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${section})
    set(CPACK_COMPONENT_${upper}_DESCRIPTION "${summary}")
    set(CPACK_DEBIAN_${upper}_DESCRIPTION "${summary}")
    set(CPACK_DEBIAN_${upper}_PACKAGE_DEPENDS "${ARGN}")
    install(
        FILES LICENSE
        DESTINATION "${CMAKE_INSTALL_DATAROOTDIR}/doc/${name}"
        COMPONENT ${name}
        RENAME copyright
    )
endmacro()

set(CPACK_COMPONENTS_ALL "")
hakmem_package(libhakmem0 libs "allocator that checks every free - shared library")
hakmem_package(libhakmem-dev libdevel "allocator that checks every free - development files"
    "libhakmem0 ${HAKMEM_SAME_VERSION}"
)
if(HAKMEM_BUILD_LUA)
    hakmem_package(libhakmem-lua0 libs "Lua states in hakmem arenas - shared library"
        "libhakmem0 ${HAKMEM_SAME_VERSION}"
    )
    hakmem_package(libhakmem-lua-dev libdevel "Lua states in hakmem arenas - development files"
        "libhakmem-lua0 ${HAKMEM_SAME_VERSION}, libhakmem-dev ${HAKMEM_SAME_VERSION}, lib${LUA_MODULE_NAME}-dev"
    )
    hakmem_package(lua-hakmem interpreters "Lua module for arenas with limits and checked buffers"
        "libhakmem0 ${HAKMEM_SAME_VERSION}"
    )
    hakmem_package(hklua interpreters "Lua interpreter with memory limits, on hakmem"
        "libhakmem-lua0 ${HAKMEM_SAME_VERSION}"
    )
    set(CPACK_DEBIAN_HKLUA_PACKAGE_RECOMMENDS libreadline8) # loaded when somebody types
endif()
if(TARGET hakmem_malloc)
    hakmem_package(hakmem-malloc libs "malloc that checks every free, for any program")
endif()
if(HAKMEM_BUILD_BENCH)
    hakmem_package(hakmem-bench devel "benchmarks of hakmem and other allocators" "libhakmem0 ${HAKMEM_SAME_VERSION}")
endif()

include(CPack)
