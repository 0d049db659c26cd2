# How everything is compiled: output folders, language level, warnings, sanitizers.

if(HAKMEM_TOP_LEVEL)
    if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
        set(CMAKE_BUILD_TYPE Release CACHE STRING "Release or Debug" FORCE)
    endif()
    set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
    set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
    set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
    # Installed programs find their libraries wherever the prefix is moved to.
    file(RELATIVE_PATH HAKMEM_BIN_TO_LIB "${CMAKE_INSTALL_FULL_BINDIR}" "${CMAKE_INSTALL_FULL_LIBDIR}")
    set(CMAKE_INSTALL_RPATH "$ORIGIN/${HAKMEM_BIN_TO_LIB}" "$ORIGIN")
    set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
endif()

# GNU C11: designated ranges, __builtin_*, 128-bit products.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)

add_library(hakmem_warnings INTERFACE)
target_compile_options(
    hakmem_warnings
    INTERFACE -Wall -Wextra -Wundef -Wconversion $<$<BOOL:${HAKMEM_WERROR}>:-Werror>
)

if(HAKMEM_SANITIZE STREQUAL "address")
    set(HAKMEM_SANITIZE_FLAGS -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
elseif(HAKMEM_SANITIZE STREQUAL "thread")
    set(HAKMEM_SANITIZE_FLAGS -fsanitize=thread -fno-omit-frame-pointer)
elseif(NOT HAKMEM_SANITIZE STREQUAL "")
    message(FATAL_ERROR "HAKMEM_SANITIZE is '${HAKMEM_SANITIZE}'; it can be empty, 'address' or 'thread'")
endif()
if(HAKMEM_SANITIZE)
    add_compile_options(${HAKMEM_SANITIZE_FLAGS})
    add_link_options(${HAKMEM_SANITIZE_FLAGS})
endif()
