# hakmem_link_lua_first(TARGET ARCHIVE) links a program to all of Lua's archive, at the same place of a cache line in each
# program: see bindings/lua/lua_placement.c.

add_library(hakmem_lua_placement OBJECT "${PROJECT_SOURCE_DIR}/bindings/lua/lua_placement.c")

function(hakmem_link_lua_first target archive)
    # Options come before the program's own objects.
    target_link_options(
        ${target} PRIVATE $<TARGET_OBJECTS:hakmem_lua_placement> LINKER:--whole-archive "${archive}"
                          LINKER:--no-whole-archive
    )
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS $<TARGET_OBJECTS:hakmem_lua_placement> "${archive}")
    add_dependencies(${target} hakmem_lua_placement)
    target_link_libraries(${target} PRIVATE ${CMAKE_DL_LIBS} m)
endfunction()
