# The CMake package of an installed Python package hakmem: find_package(hakmem CONFIG)
#
# hakmem::static  libhakmem.a and its header: an allocator of its own for who links it; hakmem::hakmem is the same
# hakmem::python  the headers for extension modules, which share the package's allocator: nothing is linked

include(CMakeFindDependencyMacro)
find_dependency(Threads)

# The package is a prefix like any other, wherever it is: include, lib, lib/cmake/hakmem.
get_filename_component(_hakmem_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

if(NOT TARGET hakmem::static)
    add_library(hakmem::static STATIC IMPORTED)
    set_target_properties(
        hakmem::static
        PROPERTIES IMPORTED_LOCATION "${_hakmem_prefix}/lib/libhakmem.a"
                   IMPORTED_LINK_INTERFACE_LANGUAGES C
                   INTERFACE_INCLUDE_DIRECTORIES "${_hakmem_prefix}/include"
                   INTERFACE_LINK_LIBRARIES Threads::Threads
                   INTERFACE_LINK_OPTIONS LINKER:-z,nodelete
    )
    add_library(hakmem::hakmem ALIAS hakmem::static)
    add_library(hakmem::python INTERFACE IMPORTED)
    set_target_properties(hakmem::python PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_hakmem_prefix}/include")
endif()

unset(_hakmem_prefix)
set(hakmem_FOUND TRUE)
