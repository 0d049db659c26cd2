# The Lua module alone, as LuaRocks builds and installs it; its cmake backend passes what packaging/*.rockspec says:
#
# LIBDIR      where C modules go: hakmem.so, and beside it the libhakmem.so.0 that it is linked to
# LUADIR      where modules in Lua go: there are none
# PREFIX      the rock's own folder: types for editors
# LUA_INCDIR  where lua.h is

if(NOT HAKMEM_ROCK_PREFIX OR NOT LUADIR OR NOT LUA_INCDIR)
    message(
        FATAL_ERROR "With LIBDIR ('${LIBDIR}') there must also be PREFIX ('${HAKMEM_ROCK_PREFIX}'), LUADIR ('${LUADIR}') and "
                    "LUA_INCDIR ('${LUA_INCDIR}'): these are what LuaRocks passes for a rock"
    )
endif()
if(NOT EXISTS "${LUA_INCDIR}/lua.h")
    message(FATAL_ERROR "LUA_INCDIR is '${LUA_INCDIR}'; there is no lua.h in it")
endif()

set(LUA_INCLUDE_DIRS "${LUA_INCDIR}")
set(HAKMEM_LUA_MODULE_DIR lua/5.4)
add_subdirectory(bindings/lua/module)
set_target_properties(hakmem_lua_module PROPERTIES INSTALL_RPATH "$ORIGIN")

install(TARGETS hakmem_lua_module LIBRARY DESTINATION "${LIBDIR}")
install(PROGRAMS $<TARGET_FILE:hakmem> DESTINATION "${LIBDIR}" RENAME $<TARGET_SONAME_FILE_NAME:hakmem>)
install(FILES bindings/lua/module/hakmem.d.lua DESTINATION "${HAKMEM_ROCK_PREFIX}/types")
