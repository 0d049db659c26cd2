# The allocator, as libhakmem.so and libhakmem.a, both from all of core/.
#
# hakmem           shared; exports what core/hakmem.map names, is never unloaded
# hakmem_static    static; position independent, so that it can go into another shared library
# hakmem_internal  for unit tests: the static library with the headers of core/ and the definitions it was built with

file(GLOB HAKMEM_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/core/*.c")

add_library(hakmem SHARED ${HAKMEM_SOURCES})
add_library(hakmem_static STATIC ${HAKMEM_SOURCES})
add_library(hakmem::hakmem ALIAS hakmem)
add_library(hakmem::static ALIAS hakmem_static)

foreach(target IN ITEMS hakmem hakmem_static)
    target_include_directories(
        ${target}
        PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    )
    # Debug builds assert invariants and lock ranks. The os layer uses what GNU adds to POSIX (mremap, secure_getenv).
    target_compile_definitions(${target} PRIVATE $<$<CONFIG:Debug>:HKI_DEBUG> _GNU_SOURCE=)
    # TLS descriptors cost a tenth of the speed (core/README.md); 32 bytes fit into what glibc keeps for dlopen.
    target_compile_options(${target} PRIVATE -ftls-model=initial-exec)
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:hakmem_warnings>)
    set_target_properties(
        ${target}
        PROPERTIES OUTPUT_NAME hakmem C_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON
    )
endforeach()
target_link_libraries(hakmem PRIVATE Threads::Threads)
target_link_libraries(hakmem_static PUBLIC Threads::Threads)
set_target_properties(hakmem_static PROPERTIES EXPORT_NAME static)
# A module that brings hakmem along must stay when it is closed: threads that end call it, and blocks live on.
target_link_options(hakmem_static INTERFACE LINKER:-z,nodelete)

set_target_properties(
    hakmem
    PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0 LINK_DEPENDS "${PROJECT_SOURCE_DIR}/core/hakmem.map"
)
target_link_options(
    hakmem
    PRIVATE "LINKER:--version-script=${PROJECT_SOURCE_DIR}/core/hakmem.map" LINKER:-z,nodelete
            $<$<NOT:$<BOOL:${HAKMEM_SANITIZE}>>:LINKER:-z,defs>
)

add_library(hakmem_internal INTERFACE)
target_include_directories(hakmem_internal INTERFACE "${PROJECT_SOURCE_DIR}/core")
target_compile_definitions(hakmem_internal INTERFACE $<$<CONFIG:Debug>:HKI_DEBUG>)
target_link_libraries(hakmem_internal INTERFACE hakmem_static)
